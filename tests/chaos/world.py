"""The database of one run, which is made, migrated, watched and dropped again."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.core.management import call_command
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.backends.signals import connection_created

from . import witness
from .servers import CannotServe, Server

T = TypeVar("T")
PATIENCE = 60.0  # seconds that the database may be away
own_sessions: set[int] = set()  # the harness's, which no fault ends


@contextmanager
def database(server: Server | None) -> Iterator[None]:
    """An empty database with the tables, the triggers, and nothing else in it; `server` is the run's own, if any."""
    name = connection.settings_dict["NAME"]
    is_file = connection.vendor == "sqlite"
    if not is_file:
        try:
            with connection._nodb_cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {name}")
        except OperationalError as error:
            raise CannotServe(f"no database can be made: {error}") from error
    try:
        call_command("migrate", verbosity=0)
        witness.install()
        if server:
            with connection.cursor() as cursor:
                for statement in server.grants(name):
                    cursor.execute(statement)
        yield
    finally:
        connection.close()
        if not is_file:
            with connection._nodb_cursor() as cursor:
                cursor.execute(f"DROP DATABASE {name}" + (" WITH (FORCE)" if connection.vendor == "postgresql" else ""))


def robustly(action: Callable[[], T]) -> T:
    """What a careful client does: again with a new connection when the database refused or went away."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return action()
        except (DatabaseError, InterfaceError):
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _remember_session(*, connection: Any, **kwargs: Any) -> None:
    if connection.vendor == "postgresql":
        own_sessions.add(connection.connection.info.backend_pid)
    elif connection.vendor == "mysql":
        own_sessions.add(connection.connection.thread_id())


connection_created.connect(_remember_session, dispatch_uid="tests.chaos.world")
