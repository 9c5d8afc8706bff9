"""The worker processes: started, lost and replaced."""

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from .violation import Violation
from .worker_process import Ways, work

_PLANNED_CODES = {70, -signal.SIGSEGV, 75}  # of processors that end their process, and of the worker's watchdog
_STOPPED = {0, -signal.SIGTERM}  # the latter before the worker had begun
_PATIENCE = 30.0
_PAUSE = 0.5  # seconds before one that could not start is replaced


@dataclass(eq=False)
class Member:
    process: Any
    told: set[int] = field(default_factory=set)  # the signals it got

    def send(self, number: int) -> None:
        self.told.add(number)
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)


class Crew:
    """Keeps `size` workers running; `ways()` is asked for each new one."""

    def __init__(self, size: int, folder: Path, ways: Callable[[], Ways], concurrency: int = 4) -> None:
        self._size = size
        self._folder = folder
        self._ways = ways
        self._concurrency = concurrency
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.chaos.preload"])
        self._members: list[Member] = []
        self._lock = threading.Lock()
        self._started = 0
        self._start_at = 0.0  # monotonic
        self.ends: Counter[str] = Counter()
        self.unplanned: list[Violation] = []  # ends that nobody asked for

    def tend(self) -> None:
        """Replace those that ended."""
        with self._lock:
            for member in list(self._members):
                if not member.process.is_alive():
                    self._members.remove(member)
                    self._ended(member)
            while len(self._members) < self._size and time.monotonic() >= self._start_at:
                self._members.append(self._start())

    def _start(self) -> Member:
        self._started += 1
        log = str(self._folder / f"worker-{self._started}.log")
        process = self._context.Process(target=work, args=[log, self._ways(), self._concurrency], name=log)
        process.start()
        return Member(process)

    def _ended(self, member: Member) -> None:
        code = member.process.exitcode
        self.ends[str(code)] += 1
        planned = (
            code in _PLANNED_CODES
            or (code == -signal.SIGKILL and signal.SIGKILL in member.told)
            or (code in _STOPPED and signal.SIGTERM in member.told)
            or (code == 1 and _found_no_database(Path(member.process.name)))
        )
        if code == 1:
            self._start_at = time.monotonic() + _PAUSE
        if not planned:
            self._complain(member, f"ended with exit code {code}")

    def strike(self, random: Random, number: int, among: Collection[int] = ()) -> Member | None:
        """Send a signal to one that is still to get it; of those with these pids, if there is one."""
        with self._lock:
            healthy = [member for member in self._members if number not in member.told and member.process.is_alive()]
            if not healthy:
                return None
            member = random.choice([member for member in healthy if member.process.pid in among] or healthy)
            member.send(number)
            return member

    def wake(self, member: Member) -> None:
        """End a SIGSTOP; another one may follow."""
        with self._lock:
            member.send(signal.SIGCONT)
            member.told.discard(signal.SIGSTOP)

    def stop(self) -> None:
        """Gracefully; one that doesn't end is killed, and that is told."""
        with self._lock:
            for member in self._members:
                member.send(signal.SIGCONT)
                member.send(signal.SIGTERM)
            deadline = time.monotonic() + _PATIENCE
            for member in self._members:
                member.process.join(max(0.0, deadline - time.monotonic()))
                if member.process.is_alive():
                    self._complain(member, "did not end on SIGTERM")
                    member.send(signal.SIGKILL)
                    member.process.join()
                self._ended(member)
            self._members.clear()

    def _complain(self, member: Member, what: str) -> None:
        self.unplanned.append(Violation("exit", f"{Path(member.process.name).name}: the worker {what}"))

    @property
    def logs(self) -> list[Path]:
        return sorted(self._folder.glob("worker-*.log"))


def _found_no_database(log: Path) -> bool:
    """Whether it said so in a sentence, and had not begun to work."""
    text = log.read_text(errors="replace")
    return text.startswith("CommandError: ") and "Traceback" not in text
