"""What a job that is being processed shares with the worker that runs it."""

import threading
from typing import Any


class Run:
    """The hand-over between a running processor and the worker's loop: both threads may touch it at any time."""

    def __init__(self, job: Any) -> None:
        self.job = job
        self.cancel_requested = False
        self.discarded = False
        self.delay: float | None = None
        self._lock = threading.Lock()
        self._progress: tuple[Any] | None = None
        self._lines: list[str] = []

    def report_progress(self, value: Any) -> None:
        with self._lock:
            self._progress = (value,)

    def log(self, line: str) -> None:
        with self._lock:
            self._lines.append(line)

    def take_news(self) -> tuple[tuple[Any] | None, list[str]]:
        """Progress and log lines since the last call."""
        if self._progress is None and not self._lines:
            return None, []
        with self._lock:
            progress, self._progress = self._progress, None
            lines, self._lines = self._lines, []
        return progress, lines
