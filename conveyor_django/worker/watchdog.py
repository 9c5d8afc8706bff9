"""A thread that watches over the others: it cuts sessions with a silent database, and tells of a loop that hangs."""

import math
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import log
from .limits import CUT_AFTER, HUNG_AFTER, lease_or_so
from .pulse import Pulse

_TICKS = 20  # in a lease
_LOGGING = 2.0  # seconds


@dataclass
class _Watched:
    name: str
    pulse: Pulse
    seen: int = -1  # beats
    silent: int = 0  # ticks since the last beat


class Watchdog:
    """`on_hang` is called once the pulse named "loop" was silent for two leases.

    Time is counted by this thread's own ticks: while the process is stopped there are none.
    """

    def __init__(self, pulses: Mapping[str, Pulse], on_hang: Callable[[], None]) -> None:
        self._watched = [_Watched(name, pulse) for name, pulse in pulses.items()]
        self._on_hang = on_hang
        self._tick = lease_or_so() / _TICKS
        self._stop = threading.Event()
        self._loop = threading.get_ident()
        self._thread = threading.Thread(target=self._run, name="conveyor-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:  # it was started
            self._thread.join(_LOGGING)

    def _run(self) -> None:
        while not self._stop.wait(self._tick):
            for watched in self._watched:
                self._look_at(watched)

    def _look_at(self, watched: _Watched) -> None:
        beats = watched.pulse.beats
        if watched.pulse.resting or beats != watched.seen:
            watched.seen, watched.silent = beats, 0
            return
        watched.silent += 1
        if watched.silent == math.ceil(CUT_AFTER * _TICKS):
            if watched.pulse.cut():
                _say(log.session_cut, watched.name, watched.silent * self._tick)
        elif watched.silent == HUNG_AFTER * _TICKS and watched.name == "loop":
            _say(log.loop_hangs, watched.silent * self._tick, self._where())
            self._on_hang()

    def _where(self) -> str:
        """The calls that the loop is in, the innermost last."""
        frame = sys._current_frames().get(self._loop)
        calls = traceback.extract_stack(frame)[-6:] if frame else []
        return " > ".join(f"{call.filename.rpartition('/')[2]}:{call.lineno} {call.name}" for call in calls)


def _say(line: Callable[..., None], *facts: object) -> None:
    """Not waiting for ever: who hangs may hold the lock of a log handler."""
    speaker = threading.Thread(target=line, args=facts, daemon=True)
    speaker.start()
    speaker.join(_LOGGING)
