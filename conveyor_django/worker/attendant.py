"""A worker as a process: its loop has a thread of its own, so that the main thread is free for signals.

A handler that interrupted the loop itself could stop it where it holds the lock that the handler needs.
"""

import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from itertools import repeat

from . import log
from .interrupts import end_at_once, interruptible
from .recycling import MEGABYTE, resident_memory, spread
from .reload import RELOAD, code_changes
from .worker import Worker

HUNG = 75  # the exit code of a process whose loop hangs: EX_TEMPFAIL, try again
_TICK = 0.5  # seconds between looks at what is not signalled


class Attendant:
    """`supervisor` is the pid of the process that started this one: when that is gone, the worker stops.

    With `ends_itself` the process ends when the worker's loop hangs, so that somebody can start another one.
    """

    def __init__(self, worker: Worker, *, supervisor: int | None = None, ends_itself: bool = False) -> None:
        self._worker = worker
        if ends_itself:
            worker.on_hang = partial(os._exit, HUNG)
        self._supervisor = supervisor
        self._error: BaseException | None = None
        self._attempts = 0

    def run(
        self,
        *,
        until_idle: bool = False,
        max_jobs: int | None = None,
        reload: bool = False,
        max_jobs_per_process: int | None = None,
        max_memory_per_process: int | None = None,  # megabytes
    ) -> int:
        """Run the worker to its end; returns the exit code, `RELOAD` when another process shall take its place."""
        lifetime = spread(max_jobs_per_process) if max_jobs_per_process else None
        how = [until_idle, lifetime or max_jobs]
        thread = threading.Thread(target=self._work, args=how, name="conveyor-worker", daemon=True)
        # systemd signals every process of a service and the supervisor passes it on: no second signal here
        second = self._ignore if self._supervisor else end_at_once
        with interruptible(self._stop, second):
            thread.start()
            anew = self._attend(thread, code_changes() if reload else repeat(False), max_memory_per_process)
        if self._error is not None:
            raise self._error
        if lifetime and self._attempts >= lifetime:
            anew = True
            log.enough_jobs(self._attempts)
        return RELOAD if anew else 0

    def _work(self, until_idle: bool, max_jobs: int | None) -> None:  # noqa: FBT001
        try:
            self._attempts = self._worker.run(until_idle=until_idle, max_jobs=max_jobs)
        except BaseException as error:  # noqa: B036 - it is raised in the main thread
            self._error = error

    def _attend(self, thread: threading.Thread, changes: Iterator[bool], max_memory: int | None) -> bool:
        """Wait for the worker's end; whether it was ended for a change of the code, or for its memory."""
        anew = False
        while thread.is_alive():
            if not anew and next(changes):
                anew = True
                log.code_changed()
                self._worker.stop()
            if max_memory and not anew:
                used = resident_memory() / MEGABYTE
                if used > max_memory and self._worker.retire():
                    anew = True
                    log.too_much_memory(used, max_memory)
            if self._supervisor not in (None, os.getppid()):
                self._supervisor = None
                log.orphaned()
                self._worker.stop()
            thread.join(_TICK)
        return anew

    def _stop(self, number: int) -> None:
        if not self._supervisor:
            log.stop_requested(signal.Signals(number).name)
        self._worker.stop()

    def _ignore(self, number: int) -> None:
        """The supervisor kills what has to end at once."""
