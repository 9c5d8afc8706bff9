"""Servers that run already, at the addresses that are given."""

import os
from urllib.parse import urlsplit

from .base import Service

DATABASE = f"conveyor_bench_{os.getpid()}"  # others may be at it on the same server


class GivenPostgres(Service):
    """A server that runs already; a database is made in it (and dropped again)."""

    def __init__(self, address: str) -> None:
        self._admin = address
        self.address = urlsplit(address)._replace(path=f"/{DATABASE}").geturl()

    def empty(self) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)", f"CREATE DATABASE {DATABASE}")

    def stop(self) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")

    def checkpoint(self) -> None:
        """So that nobody's pages are written while another is measured; takes a superuser."""
        self._execute("CHECKPOINT")

    def _execute(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(self._admin, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)


class GivenMariaDB(Service):
    """A server that runs already; `address` is `mysql://user:password@host:port`."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/") + f"/{DATABASE}"

    def empty(self) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {DATABASE}", f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")

    def stop(self) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {DATABASE}")

    def _execute(self, *statements: str) -> None:
        import MySQLdb

        at = urlsplit(self.address)
        connection = MySQLdb.connect(
            host=at.hostname or "", port=at.port or 3306, user=at.username or "", password=at.password or ""
        )
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


class GivenRedis(Service):
    """A server that runs already. All of its keys are removed."""

    def __init__(self, address: str) -> None:
        self.address = address

    def empty(self) -> None:
        import redis

        redis.Redis.from_url(self.address).flushall()
