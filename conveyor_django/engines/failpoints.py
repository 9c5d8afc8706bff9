"""Failpoints, for tests: named places around each statement and each commit of a transition, where a process ends,
stops or loses its session.

`CONVEYOR_FAILPOINT=cancel:3:before=kill` names one: before the third statement of `cancel`, the first time that this
process comes there. Without that variable a transition runs as if this file weren't there.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, NamedTuple, TypeVar

from django.db import OperationalError

T = TypeVar("T")
Action = Callable[[str, Any], None]  # called with the place and Django's connection


class Failpoint(NamedTuple):
    places: str  # a pattern, as of file names
    action: Action
    once: bool = True


def _kill(place: str, connection: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop(place: str, connection: Any) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _disconnect(place: str, connection: Any) -> None:
    """Before a statement or commit it is lost on its way, after it the reply is."""
    if has_line := hasattr(connection.connection, "fileno"):  # SQLite's has none: the file is what fails there
        with closing(socket.socket(fileno=os.dup(connection.connection.fileno()))) as line:
            line.shutdown(socket.SHUT_RDWR)
    if not has_line or place.endswith(":after"):
        raise OperationalError(f"the session was lost at the failpoint {place}")


def _print(place: str, connection: Any) -> None:
    sys.stderr.write(f"failpoint {place}\n")


ACTIONS: dict[str, Action] = {"kill": _kill, "stop": _stop, "disconnect": _disconnect, "print": _print}


def _from_environment() -> Failpoint | None:
    if not (setting := os.environ.get("CONVEYOR_FAILPOINT")):
        return None
    places, _, action = setting.partition("=")
    return Failpoint(places, ACTIONS[action], once=action != "print")


armed = _from_environment()


def watched(step: Callable[[], T], connection: Any) -> Callable[[], T]:
    """`step`, which runs inside a transaction of its own, passing its places."""
    verb = _verb(step)

    def run() -> T:
        # the first to hear of the commit: when its reply is lost, nobody else does
        connection.on_commit(partial(_pass, f"{verb}:commit:after", connection))
        with connection.execute_wrapper(_Statements(verb, connection)):
            result = step()
        _pass(f"{verb}:commit:before", connection)
        return result

    return run


class _Statements:
    """Numbers the statements of one transaction, from 1."""

    def __init__(self, verb: str, connection: Any) -> None:
        self._verb = verb
        self._connection = connection
        self._count = 0

    def __call__(self, execute: Callable[..., T], *statement: Any) -> T:
        self._count += 1
        place = f"{self._verb}:{self._count}"
        _pass(f"{place}:before", self._connection)
        result = execute(*statement)
        _pass(f"{place}:after", self._connection)
        return result


def _pass(place: str, connection: Any) -> None:
    global armed
    if (here := armed) and fnmatchcase(place, here.places):
        if here.once:
            armed = None
        here.action(place, connection)


def _verb(step: Any) -> str:
    """After the module and the function that a step is of: `finish`, `rescue.give_back`."""
    function = getattr(step, "func", step)  # of a partial
    module = function.__module__.rpartition(".")[2]
    name = function.__qualname__.partition(".")[0].lstrip("_")
    return name if name == module else f"{module}.{name}"
