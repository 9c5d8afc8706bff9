"""Where one peer is measured: its workers, what they leave behind, and how large everything is."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .marks import Mark, Marks
from .peers.base import Peer
from .processes import Processes

_LOOK = 0.005  # seconds between looks at what has happened
_START = 60.0  # seconds that workers have to begin


class TooSlow(Exception):
    """It didn't happen in time."""


class Arena:
    def __init__(self, peer: Peer, scale: float, options: dict[str, Any]) -> None:
        self.peer = peer
        self.options = options  # of this entrant
        self.marks = Marks(Path(os.environ["BENCH_MARKS"]))
        self.workers: Processes | None = None
        self.scale = scale

    def size(self, full: int, least: int = 10) -> int:
        return max(least, round(full * self.scale))

    def start_workers(self, **environment: str) -> Processes:
        self.workers = Processes(self.peer.workers(), Path(os.environ["BENCH_LOG"]), environment)
        return self.workers

    def start_and_settle(self, **environment: str) -> Processes:
        """Workers that have run something and are idle."""
        workers = self.start_workers(**environment)
        self.peer.send(5, 0.05)
        self.wait_for_marks(5, _START)
        time.sleep(1.5)
        self.marks.forget()
        return workers

    def wait_for_marks(self, count: int, patience: float = 120) -> list[Mark]:
        self.wait(lambda: self.marks.count() >= count, patience, lambda: f"{self.marks.count()} of {count} handled")
        return self.marks.read()

    def wait(self, condition: Callable[[], bool], patience: float, describe: Callable[[], str]) -> None:
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                raise TooSlow(f"{describe()} within {patience:g} s")
            if self.workers and not self.workers.alive():
                raise TooSlow(f"a worker ended; {describe()}")
            time.sleep(_LOOK)

    def close(self) -> None:
        if self.workers:
            self.workers.stop()
        self.peer.close()
