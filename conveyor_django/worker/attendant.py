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

    def run(self, *, until_idle: bool = False, max_jobs: int | None = None, reload: bool = False) -> int:
        """Run the worker to its end; returns the exit code, `RELOAD` when the code has changed."""
        thread = threading.Thread(target=self._work, args=[until_idle, max_jobs], name="conveyor-worker", daemon=True)
        # systemd signals every process of a service and the supervisor passes it on: no second signal here
        second = self._ignore if self._supervisor else end_at_once
        with interruptible(self._stop, second):
            thread.start()
            changed = self._attend(thread, code_changes() if reload else repeat(False))
        if self._error is not None:
            raise self._error
        return RELOAD if changed else 0

    def _work(self, until_idle: bool, max_jobs: int | None) -> None:  # noqa: FBT001
        try:
            self._worker.run(until_idle=until_idle, max_jobs=max_jobs)
        except BaseException as error:  # noqa: B036 - it is raised in the main thread
            self._error = error

    def _attend(self, thread: threading.Thread, changes: Iterator[bool]) -> bool:
        """Wait for the worker's end; whether it was stopped for a change of the code."""
        changed = False
        while thread.is_alive():
            if not changed and next(changes):
                changed = True
                log.code_changed()
                self._worker.stop()
            if self._supervisor not in (None, os.getppid()):
                self._supervisor = None
                log.orphaned()
                self._worker.stop()
            thread.join(_TICK)
        return changed

    def _stop(self, number: int) -> None:
        if not self._supervisor:
            log.stop_requested(signal.Signals(number).name)
        self._worker.stop()

    def _ignore(self, number: int) -> None:
        """The supervisor kills what has to end at once."""
