"""Servers of the run's own, in a folder of the run, on free ports."""

import os
import shutil
import subprocess
import time
from abc import abstractmethod
from pathlib import Path

from .base import Service, Unavailable
from .given import GivenMariaDB, GivenPostgres, GivenRedis
from .programs import free_port, has_statements, listens, postgres, program

_PATIENCE = 60.0


class Server(Service):
    """Started when it is made; `pid` is the server's first process."""

    account = ""  # the system's, for programs that refuse to run as root

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        folder.mkdir()
        if os.geteuid() == 0 and self.account:
            shutil.chown(folder, self.account)
        self._make()
        with (folder.parent / "servers.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_account(), *self._command()], stdout=log, stderr=log, cwd="/", start_new_session=True
            )
        deadline = time.monotonic() + _PATIENCE
        while not listens(self.port):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise Unavailable(f"{type(self).__name__} didn't start: see {log.name}")
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _make(self) -> None:
        """Whatever there is to do before the first start."""

    @abstractmethod
    def _command(self) -> list[str]: ...

    def _call(self, *command: str) -> None:
        done = subprocess.run([*self._as_account(), *command], capture_output=True, text=True, cwd="/")
        if done.returncode:
            raise Unavailable(f"{command[0]} failed: {done.stderr or done.stdout}")

    def _as_account(self) -> list[str]:
        if os.geteuid() != 0 or not self.account:
            return []
        return [program("setpriv"), f"--reuid={self.account}", f"--regid={self.account}", "--init-groups"]


class Postgres(Server):
    """PostgreSQL's defaults, durable as they are; room for connections and a cache that holds what is measured."""

    account = "postgres"

    def _make(self) -> None:
        data = f"{self._folder}/data"
        self._call(postgres("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        self._given = GivenPostgres(f"postgresql://postgres@127.0.0.1:{self.port}/postgres")
        self.address = self._given.address

    def _command(self) -> list[str]:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self._folder,
            "max_connections": 200,
            "shared_buffers": "512MB",
        }
        if has_statements():
            settings |= {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "none"}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [postgres("postgres"), "-D", f"{self._folder}/data", *flags]

    def empty(self) -> None:
        self._given.empty()
        self._given.checkpoint()

    def stop(self) -> None:
        self._call(postgres("pg_ctl"), "stop", "-D", f"{self._folder}/data", "-m", "immediate", "-w")
        self._process.wait()


class MariaDB(Server):
    account = "mysql"

    def _make(self) -> None:
        self._call(
            program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={self._folder}/data",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )
        self._given = GivenMariaDB(f"mysql://root@127.0.0.1:{self.port}")
        self.address = self._given.address

    def _command(self) -> list[str]:
        return [
            program("mariadbd"),
            "--no-defaults",
            f"--datadir={self._folder}/data",
            f"--port={self.port}",
            f"--socket={self._folder}/socket",
            "--bind-address=127.0.0.1",
            "--innodb-buffer-pool-size=512M",
        ]

    def empty(self) -> None:
        self._given.empty()


class Redis(Server):
    """In memory only, as most sites run it for a queue: nothing is written to disk."""

    def _command(self) -> list[str]:
        self._given = GivenRedis(f"redis://127.0.0.1:{self.port}/0")
        self.address = self._given.address
        flags = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": self._folder}
        return [program("redis-server"), *(str(part) for name, value in flags.items() for part in (f"--{name}", value))]

    def empty(self) -> None:
        self._given.empty()


class Sqlite(Service):
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.address = str(folder / "jobs.sqlite3")

    def empty(self) -> None:
        for path in self._folder.iterdir():
            path.unlink()
