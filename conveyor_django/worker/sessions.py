"""The worker's own database sessions: one that stops in the middle of a transaction doesn't hold its locks for long.

A process that is stopped or cut off there would keep others from rescuing its jobs until it comes back.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import Error, connections
from django.db.backends.signals import connection_created

from conveyor_django.conf import get_settings
from conveyor_django.engines import get_engine

_here = threading.local()


@contextmanager
def limited_sessions(using: str) -> Iterator[None]:
    """This thread's sessions with `using`, the open one and later ones, end when a transaction idles for a lease."""
    _here.alias = using
    _limit_open_session(using, get_settings().HEARTBEAT_TIMEOUT)
    try:
        yield
    finally:
        _here.alias = None
        _limit_open_session(using, 0)


def _limit_open_session(using: str, seconds: float) -> None:
    if connections[using].connection is not None:
        with suppress(Error):  # the database may be away: then a new session is limited when it is made
            get_engine(using).limit_idle_transactions(seconds)


def _limit_new_session(*, connection: Any, **kwargs: Any) -> None:
    if getattr(_here, "alias", None) == connection.alias:
        get_engine(connection.alias).limit_idle_transactions(get_settings().HEARTBEAT_TIMEOUT)


connection_created.connect(_limit_new_session, dispatch_uid="conveyor_django.worker.sessions")
