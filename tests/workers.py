"""Workers in the test's own process."""

import contextlib
import gc
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, connection, connections

from conveyor_django import Worker

QUICK = {"HEARTBEAT_INTERVAL": 0.1, "HEARTBEAT_TIMEOUT": 1}  # for CONVEYOR: seconds
PATIENCE = 20  # seconds, for what takes a moment


def work(*queue_names: str, **options: Any) -> int:
    """Process what these queues hold (all registered ones by default), in this thread; returns how many attempts."""
    return Worker(queue_names or None, poll_interval=0.05, **options).run(until_idle=True)


@contextmanager
def working(*queue_names: str, **options: Any) -> Iterator[Worker]:
    """A worker that runs in a thread until it is stopped, at the latest at the end of the block."""
    worker = Worker(queue_names or None, **{"poll_interval": 0.05, **options})
    with running(worker):
        yield worker


@contextmanager
def running(worker: Worker, **how: Any) -> Iterator[threading.Thread]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            worker.run(**how)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, name="test-worker")
    thread.start()
    try:
        yield thread
    finally:
        worker.stop()
        thread.join(PATIENCE + 10)
        assert not thread.is_alive(), "the worker did not stop"
    if errors:
        raise errors[0]


def wait(event: threading.Event) -> None:
    """For processors: until the test says so, at most for a while."""
    assert event.wait(PATIENCE), "the test did not set the event"


class Gate:
    """Quick jobs, then one that stays in its processor until the test lets it go."""

    def __init__(self, at):
        self.at = at
        self.reached, self.open = threading.Event(), threading.Event()
        self.began = []

    def __call__(self, job):
        self.began.append(job.data["n"])
        if job.data["n"] == self.at:
            self.reached.set()
            wait(self.open)


# The database's sessions


def sessions() -> int:
    """How many connections there are to the test's database."""
    if connection.vendor == "sqlite":
        gc.collect()
        return sum(isinstance(thing, sqlite3.Connection) for thing in gc.get_objects())  # of this process only
    return len(session_ids())


def close_others() -> None:
    """All connections to SQLite that this process has, but for this thread's."""
    connection.ensure_connection()
    gc.collect()
    for thing in gc.get_objects():
        if isinstance(thing, sqlite3.Connection) and thing is not connection.connection:
            thing.close()


def terminate_sessions(only: Any = None) -> int:
    """End all sessions but this thread's, or that of one connection, from the server's side; returns how many."""
    ids = [_own_id(only)] if only else [number for number in session_ids() if number != _own_id(connection)]
    end = "SELECT pg_terminate_backend(%s)" if connection.vendor == "postgresql" else "KILL %s"
    with contextlib.closing(connection.copy()) as other, other.cursor() as cursor:
        for number in ids:
            with contextlib.suppress(DatabaseError):  # it is gone already
                cursor.execute(end, [number])
    return len(ids)


def session_ids() -> list[int]:
    statement = {
        "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'",
        "mysql": "SELECT id FROM information_schema.processlist WHERE db = %s",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(statement, [connection.settings_dict["NAME"]])
        return [number for (number,) in cursor.fetchall()]


def _own_id(session: Any) -> int:
    statement = "SELECT pg_backend_pid()" if session.vendor == "postgresql" else "SELECT connection_id()"
    with session.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]
