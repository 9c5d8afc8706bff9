"""Waiting for a database that went away."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connections

from conveyor_django.engines import get_engine
from conveyor_django.exceptions import TryAgain

from . import log
from .pulse import Pulse

T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class StillAway(Exception):
    """The worker was told to stop and the database didn't come back in time."""


def through_outages(
    using: str, step: Callable[[], T], stop: threading.Event, patience: Callable[[], float], pulse: Pulse
) -> T:
    """The result of `step`, called again with backoff while the database is away; `pulse` rests in between.

    Raises `StillAway` when `stop` is set and `patience()` seconds more have passed.
    """
    pause = _FIRST_PAUSE
    give_up_at: float | None = None
    while True:
        try:
            with pulse.at_work():
                result = step()
        except TryAgain:  # a moment of much traffic around the same jobs
            time.sleep(_FIRST_PAUSE)
        except (DatabaseError, InterfaceError) as error:
            if not get_engine(using).is_outage(error):
                raise
            connections[using].close()
            if stop.is_set():
                give_up_at = give_up_at or time.monotonic() + patience()
                if time.monotonic() >= give_up_at:
                    raise StillAway from error
            if crowded := get_engine(using).is_conflict(error):  # it is there, and busy
                pause = _FIRST_PAUSE
            else:
                log.database_away(error, pause)
            (time.sleep if stop.is_set() else stop.wait)(pause)
            pause = pause if crowded else min(pause * 2, _LONGEST_PAUSE)
        else:
            if pause > _FIRST_PAUSE:
                log.database_back()
            return result
