"""When the next delayed job is due, as far as the worker knows."""

import time

from conveyor_django.transitions import next_due, promote_due

_KNOWN_FOR = 0.1  # seconds: in a busy worker it is asked at most so often


class DueClock:
    def __init__(self, using: str) -> None:
        self._using = using
        self._due_at = float("inf")  # monotonic
        self._ask_at = 0.0
        self._heard = 0

    def is_due(self) -> bool:
        return time.monotonic() >= self._due_at

    def left(self) -> float:
        """Seconds, for ever if nothing is delayed."""
        return self._due_at - time.monotonic()

    def promote(self) -> None:
        """Let jobs whose time has come wait for a worker."""
        if self.is_due():
            self._set(promote_due(self._using))

    def look(self, heard: int) -> None:
        """Ask the database, unless that was just done and no notification has come since; `heard` is their number."""
        if time.monotonic() >= self._ask_at or heard != self._heard:
            self._heard = heard
            self._set(next_due(self._using))

    def doubt(self) -> None:
        """There may be another one."""
        self._ask_at = 0.0

    def _set(self, due_in: float | None) -> None:
        now = time.monotonic()
        self._due_at = float("inf") if due_in is None else now + due_in
        self._ask_at = now + _KNOWN_FOR
