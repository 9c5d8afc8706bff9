"""A thread that does one thing again and again, with a database connection of its own."""

import threading
from collections.abc import Callable

from django.db import connections

from . import log
from .pulse import Pulse
from .sessions import limited_sessions


class Background:
    """Calls `step`, which returns the seconds until the next call, until `stop()`; errors are survived."""

    def __init__(self, name: str, using: str, step: Callable[[], float], retry_in: float) -> None:
        self._name = name
        self._using = using
        self._step = step
        self._retry_in = retry_in
        self._stop = threading.Event()
        self.pulse = Pulse()
        self._thread = threading.Thread(target=self._run, name=f"conveyor-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def join(self, timeout: float) -> None:
        if self._thread.ident is not None:  # it was started
            self._thread.join(timeout)

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def pause(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _run(self) -> None:
        with limited_sessions(self._using, self.pulse):
            self._repeat()

    def _repeat(self) -> None:
        pause = 0.0
        told: type[Exception] | None = None  # of this kind of failure: in an outage one line is enough
        try:
            while not self._stop.wait(pause):
                try:
                    with self.pulse.at_work():
                        pause = self._step()
                    told = None
                except Exception as error:  # a worker without its heartbeat would be of no use
                    if type(error) is not told:
                        log.background_failed(self._name, error)
                    told = type(error)
                    connections.close_all()
                    pause = self._retry_in
        finally:
            connections.close_all()
