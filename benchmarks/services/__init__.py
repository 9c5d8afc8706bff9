"""The servers that peers need: of the run's own where their programs are installed, else at the addresses given."""

import os
from pathlib import Path

from benchmarks.install import install_mysqlclient

from .base import Service, Unavailable
from .given import GivenMariaDB, GivenPostgres, GivenRedis
from .own import MariaDB, Postgres, Redis, Sqlite

OWN = {"postgres": Postgres, "mysql": MariaDB, "redis": Redis, "sqlite": Sqlite}
GIVEN = {"postgres": GivenPostgres, "mysql": GivenMariaDB, "redis": GivenRedis}


def open_service(name: str, folder: Path) -> Service:
    """By the address in BENCH_POSTGRES, BENCH_MYSQL or BENCH_REDIS, where there is one; empty, and answering."""
    if name == "mysql" and not install_mysqlclient():
        raise Unavailable("mysqlclient can't be installed: it is compiled, which takes the client's headers")
    if not (given := os.environ.get(f"BENCH_{name.upper()}")):
        return OWN[name](folder / name)
    service: Service = GIVEN[name](given)
    try:
        service.empty()
    except Exception as error:  # each driver has its own
        raise Unavailable(f"BENCH_{name.upper()}: {' '.join(str(error).split())}") from error
    return service


__all__ = ["Service", "Unavailable", "open_service"]
