"""One attempt at a job: runs the processor and says what came of it, and writes nothing."""

import ctypes
import threading
import traceback
from collections.abc import Callable
from typing import Any
from uuid import UUID

from conveyor_django import registry
from conveyor_django.conf import get_settings
from conveyor_django.encoding import MAX_REASON, MAX_TEXT, clean_text, kind, normalize_text
from conveyor_django.exceptions import ConveyorError
from conveyor_django.models import Job
from conveyor_django.outcomes import Completed, Delayed, Failed, Outcome, Report
from conveyor_django.running import Run

from . import contexts

Function = Callable[[Any], Any]


class Attempt(Run):
    """A leased job in the hands of one thread or task; `settled` once what came of it is on record."""

    def __init__(self, job: Job, worker: UUID, function: Function | None = None) -> None:
        super().__init__(job)
        self.worker = worker
        # as claimed, whatever the processor does to its instance
        self.job_id: UUID = job.pk
        self.epoch = job.epoch
        self.queue_name = job.queue_name
        # a parent waits since it was added
        self.waiting_since, self.claimed_at = job.run_at or job.created_at, job.started_at
        self.is_suspect = job.stalls > 0  # a worker was lost while it had this job
        self._removes: bool = job.remove_on_complete or job.removes_children
        self.timeout = job.timeout
        self.attempts_made, self.max_attempts = job.attempts_made, job.max_attempts
        self._parent_id = job.parent_id
        self._backoff: dict[str, Any] = job.backoff if isinstance(job.backoff, dict) else {}
        self.settled = self.ended = False
        self.started = self.ended_at = 0.0  # monotonic; 0 until then
        self.number = 0  # in the order in which they were leased
        self.is_async = self.is_atomic = False
        self._function: Function | None = None
        self._error: BaseException | None = None
        self._guard = threading.Lock()
        self._thread: int | None = None  # while the processor's own code runs in it
        self._interrupt: type[ConveyorError] | None = None
        job._run = self
        try:
            if function is not None:
                self._function, self.is_async = function, registry.is_async(function)
            else:
                found = registry.get(job.queue_name, job.name)
                self._function, self.is_async, self.is_atomic = found.function, found.is_async, found.atomic
        except ConveyorError as error:
            self._error = error

    def run(self) -> Outcome:
        try:
            if self._error is not None:
                raise self._error
            assert self._function is not None
            try:
                self._arm(threading.get_ident())
                value = contexts.fresh().run(self._function, self.job)
            finally:
                self._disarm()
            return self._returned(value)
        except BaseException as error:  # noqa: B036 - SystemExit in a processor ends its job, not the worker
            self._disarm()  # the one interrupt there is may have struck the first call, half done
            return self.failure(error)

    async def arun(self) -> Outcome:
        try:
            assert self._function is not None
            if self._interrupt is not None:
                raise self._interrupt
            return self._returned(await self._function(self.job))
        except BaseException as error:  # noqa: B036 - else SystemExit would end the event loop
            return self.failure(error)

    def interrupt(self, error: type[ConveyorError]) -> bool:
        """Raise `error` in the processor's thread: a courtesy, since a blocking call doesn't notice.

        Once for an attempt; whether this was the first time.
        """
        with self._guard:
            if self._interrupt is not None:
                return False
            self._interrupt, self.cancel_requested = error, True
            if self._thread is not None:
                _raise_in(self._thread, error)
            return True

    def failure(self, error: BaseException) -> Failed:
        """What is recorded of an attempt that ended with `error`."""
        message = clean_text(error, MAX_REASON)
        reason = f"{kind(error)}: {message}" if message else kind(error)
        return Failed(reason=reason, stacktrace=_trace(error), retry_in=self._retry_in(error), discarded=self.discarded)

    def report(self, outcome: Outcome | None) -> Report:
        progress, lines = self.take_news()
        return Report(
            job_id=self.job_id,
            epoch=self.epoch,
            parent_id=self._parent_id,
            attempts_left=self.attempts_made < self.max_attempts,
            queue_name=self.queue_name,
            removes=self._removes,
            outcome=outcome,
            progress=progress,
            log_lines=lines,
        )

    def _returned(self, value: Any) -> Outcome:
        if self.delay is not None:
            return Delayed(self.delay)
        return Completed(*normalize_text(value, "the return value", get_settings().MAX_DATA_BYTES))

    def _retry_in(self, error: BaseException) -> float:
        try:
            return registry.backoff_seconds(self._backoff, self.attempts_made, error, self.job)
        except BaseException:  # noqa: B036 - a function of the site's that fails, or that this process doesn't have
            delay = self._backoff.get("delay")
            return float(delay) if isinstance(delay, (int, float)) else 0.0

    def _arm(self, thread: int) -> None:
        with self._guard:
            if self._interrupt is not None:
                raise self._interrupt
            self._thread = thread

    def _disarm(self) -> None:
        """From here on nothing is raised in this thread; an interrupt on its way is raised by this call."""
        with self._guard:
            self._thread = None
        if self._interrupt is not None:
            # CPython raises it at a turn of a loop; taking it back instead (SetAsyncExc with NULL) would leave
            # Python 3.11 and 3.12 slow, and hanging under a tracer, for the rest of the process's life
            for _ in range(100):
                pass


def _raise_in(thread: int, error: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))


def _trace(error: BaseException) -> str:
    try:
        return clean_text("".join(traceback.format_exception(error)), MAX_TEXT)
    except BaseException:  # noqa: B036 - an exception whose parts can't be shown, or of too many: the frames can
        return clean_text("".join(traceback.format_tb(error.__traceback__)), MAX_TEXT)
