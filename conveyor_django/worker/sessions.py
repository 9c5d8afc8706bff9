"""The worker's own database sessions: none of them waits for ever, and none keeps locks that others wait for.

A process that is stopped or cut off in the middle of a transaction would keep others from rescuing its jobs; a
connection that is half open would keep it from working at all.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from django.db import Error, connections
from django.db.backends.signals import connection_created

from conveyor_django.conf import get_settings
from conveyor_django.engines import get_engine

from .limits import lease_or_so
from .line import Line
from .pulse import Pulse

_here = threading.local()


@contextmanager
def limited_sessions(using: str, pulse: Pulse | None = None) -> Iterator[None]:
    """This thread's sessions with `using`, the open one and later ones, get the limits; `pulse` beats with them.

    A transaction may idle for a lease and a statement take as long; a connection that is dead is noticed by then.
    """
    pulse = pulse or Pulse()
    connection = connections[using]
    line = Line(connection)
    pulse.cut = partial(_cut, pulse, line)
    _here.alias, _here.line = using, line
    _limit_open_session(using, get_settings().HEARTBEAT_TIMEOUT, lease_or_so())
    try:
        with _options(using, connection), connection.execute_wrapper(pulse.on_statement):
            yield
    finally:
        _here.alias = _here.line = None
        _limit_open_session(using, None, None)


@contextmanager
def _options(using: str, connection: Any) -> Iterator[None]:
    """The driver's timeouts and keepalives, for this thread's new sessions; what the site says comes first."""
    settings = connection.settings_dict
    own = settings.get("OPTIONS") or {}
    if not own.get("pool"):  # its connections are everybody's
        options = {**get_engine(using).connect_options(lease_or_so()), **own}
        connection.settings_dict = {**settings, "OPTIONS": options}
    try:
        yield
    finally:
        connection.settings_dict = settings


def _cut(pulse: Pulse, line: Line) -> bool:
    beats = pulse.beats
    return line.cut(lambda: pulse.beats == beats)


def _limit_open_session(using: str, idle: float | None, statement: float | None) -> None:
    if connections[using].connection is not None:
        with suppress(Error):  # the database may be away: then a new session is limited when it is made
            _limit(using, idle, statement)


def _limit(using: str, idle: float | None, statement: float | None) -> None:
    engine = get_engine(using)
    engine.limit_idle_transactions(idle)
    engine.limit_statements(statement)


def _limit_new_session(*, connection: Any, **kwargs: Any) -> None:
    if getattr(_here, "alias", None) == connection.alias:
        _here.line.note()
        _limit(connection.alias, get_settings().HEARTBEAT_TIMEOUT, lease_or_so())


connection_created.connect(_limit_new_session, dispatch_uid="conveyor_django.worker.sessions")
