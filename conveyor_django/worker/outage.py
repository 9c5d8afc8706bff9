"""Waiting for a database that went away."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connections

from . import log

T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


def through_outages(using: str, step: Callable[[], T], stop: threading.Event, patience: float) -> T:
    """The result of `step`, called again with backoff while the database is away.

    Once `stop` is set the error is raised after `patience` seconds more.
    """
    pause = _FIRST_PAUSE
    give_up_at: float | None = None
    while True:
        try:
            result = step()
        except (OperationalError, InterfaceError) as error:
            connections[using].close()
            if stop.is_set():
                give_up_at = give_up_at or time.monotonic() + patience
                if time.monotonic() >= give_up_at:
                    raise
            log.database_away(error, pause)
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        else:
            if pause > _FIRST_PAUSE:
                log.database_back()
            return result
