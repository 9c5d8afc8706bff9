"""Waiting until nobody else writes to SQLite.

Its own way, the busy handler, sleeps longer and longer: of several processes some wait for seconds, and give up, while
others come in again and again. Short sleeps of random length treat all alike.
"""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import OperationalError

T = TypeVar("T")
_SHORTEST, _LONGEST = 0.0005, 0.004  # seconds


class StillBusy(OperationalError):
    """Others wrote for as long as this session is ready to wait."""


def is_busy(error: Exception) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def when_free(session: sqlite3.Connection, action: Callable[[], T]) -> T:
    """What `action` returns, called again while others write, as long as the session's `busy_timeout` says."""
    with _no_busy_handler(session) as timeout:
        until = time.monotonic() + timeout
        while True:
            try:
                return action()
            except OperationalError as error:
                if not is_busy(error):
                    raise
                if time.monotonic() >= until:
                    raise StillBusy(*error.args) from error
            time.sleep(random.uniform(_SHORTEST, _LONGEST))


@contextmanager
def _no_busy_handler(session: sqlite3.Connection) -> Iterator[float]:
    """Yields the seconds that it would wait. It is back when the commit waits for readers, as it may without WAL."""
    [milliseconds] = session.execute("PRAGMA busy_timeout").fetchone()
    session.execute("PRAGMA busy_timeout = 0")
    try:
        yield milliseconds / 1000
    finally:
        session.execute(f"PRAGMA busy_timeout = {milliseconds}")
