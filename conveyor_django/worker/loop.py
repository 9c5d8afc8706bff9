"""The worker's heart: one loop with one connection that settles what ended and claims what its slots can take."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from django.db import Error, reset_queries

from conveyor_django.exceptions import ConveyorError
from conveyor_django.models import Job
from conveyor_django.transitions import claim, promote_due

from . import log
from .attempt import Attempt
from .executor import Executor
from .heartbeat_file import LifeSign
from .idle import has_work
from .lease import Lease
from .ledger import Ledger
from .maintenance import maintenance
from .outage import StillAway, through_outages
from .pulse import Pulse
from .wakeup import WakeUp
from .watchdog import Watchdog


class Config(Protocol):
    using: str
    queue_names: list[str] | None
    processor: Callable[[Any], Any] | None
    concurrency: int
    poll_interval: float
    shutdown_timeout: float
    heartbeat_file: str | None
    on_hang: Callable[[], None]


class Loop:
    def __init__(self, config: Config, stop: threading.Event) -> None:
        self._config = config
        self._stop = stop
        self.pulse = Pulse()
        self._wake = WakeUp(config.using)
        self._ledger = Ledger(config.using, self._wake.set, self._tell)
        self._executor = Executor(config.using, self._ledger.end)
        self._life = LifeSign(config.heartbeat_file, self.pulse)
        self._lease = Lease(
            config.using,
            config.queue_names,
            config.concurrency,
            self._ledger.leased,
            tell=self._tell,
            renewed=self._life.show,
        )
        self._maintenance = maintenance(config.using, lambda: self._lease.id)
        self._served: dict[str, int] = {}  # queue: how many attempts had been started when it was served last
        self._started = 0
        self._due_in = float("inf")  # seconds until the next delayed job

    @property
    def left_behind(self) -> int:
        return sum(not attempt.ended for attempt in self._ledger.busy)

    def wake(self) -> None:
        self._wake.set()

    def run(self, *, until_idle: bool, max_jobs: int | None) -> int:
        """Returns how many attempts were started."""
        watchdog = self._watchdog()
        try:
            watchdog.start()
            self._guard(self._lease.start)
            self._maintenance.start()
            self._wake.start()
            while self._goes_on():
                if not self._guard(lambda: self._turn(max_jobs)):
                    if self._guard(lambda: self._is_done(until_idle, max_jobs)):
                        break
                    self._wake.wait(self._pause())
            self._shut_down()
        except StillAway:
            log.stopped_without_database(len(self._ledger.leased))
        finally:
            self._end_threads()
            watchdog.stop()
        return self._started

    def _goes_on(self) -> bool:
        self._wake.clear()  # before looking at `stop`, whose wake-up would be lost
        return not self._stop.is_set()

    def _turn(self, max_jobs: int | None) -> bool:
        """Settle, then claim; whether anything moved."""
        reset_queries()
        moved = self._ledger.settle(self._lease.id)
        due_in = promote_due(self._config.using)
        self._due_in = float("inf") if due_in is None else due_in
        free = self._config.concurrency - len(self._ledger.busy)
        if max_jobs is not None:
            free = min(free, max_jobs - self._started)
        return (self._claim(free) if free > 0 else False) or moved

    def _claim(self, free: int) -> bool:
        worker = self._lease.id
        begin = partial(self._begin, worker)
        return bool(claim(self._config.using, worker, self._config.queue_names, free, served=self._served, taken=begin))

    def _begin(self, worker: UUID, jobs: list[Job]) -> None:
        """Right after the commit, before any receiver of `job_started` can take its time."""
        for job in jobs:
            self._started += 1
            self._served[job.queue_name] = self._started
            attempt = Attempt(job, worker, self._config.processor)
            self._ledger.add(attempt)
            self._executor.start(attempt)

    def _is_done(self, until_idle: bool, max_jobs: int | None) -> bool:  # noqa: FBT001
        # what ran out of time, was cancelled or lost may hold its thread for long: that is no reason to go on
        if any(not attempt.cancel_requested for attempt in self._ledger.leased.values()):
            return False
        if max_jobs is not None and self._started >= max_jobs:
            return True
        return until_idle and not has_work(self._config.using, self._config.queue_names)

    def _pause(self) -> float:
        return max(0.001, min(self._config.poll_interval, self._due_in, self._ledger.next_deadline()))

    def _shut_down(self) -> None:
        """Running jobs have their time; what is left goes back, without a counted attempt."""
        deadline = time.monotonic() + self._config.shutdown_timeout
        if self._ledger.leased:
            log.stopping(len(self._ledger.leased), self._config.shutdown_timeout)
        while self._ledger.leased and (left := deadline - time.monotonic()) > 0:
            self._wake.clear()
            if not self._guard(lambda: self._ledger.settle(self._lease.id)):
                self._wake.wait(min(left, self._ledger.next_deadline()))
        self._ledger.give_back()
        self._guard(lambda: self._ledger.settle(self._lease.id))
        self._ledger.summarize()

    def _end_threads(self) -> None:
        self._maintenance.stop()
        self._wake.stop()
        self._maintenance.join(timeout=2)
        self._executor.shutdown()
        with suppress(Error), self.pulse.at_work():  # the database may be away: then the lease runs out by itself
            self._lease.stop()
        self._life.end()

    def _watchdog(self) -> Watchdog:
        threads = {
            "loop": self.pulse,
            "heartbeat": self._lease.pulse,
            "maintenance": self._maintenance.pulse,
            "listener": self._wake.pulse,
        }
        return Watchdog(threads, self._config.on_hang)

    def _guard(self, step: Callable[[], Any]) -> Any:
        return through_outages(self._config.using, step, self._stop, self._patience, self.pulse)

    def _patience(self) -> float:
        """Seconds to wait for the database once told to stop: there is only something to say while jobs are leased."""
        return self._config.shutdown_timeout if self._ledger.leased else 0.0

    def _tell(self, attempt: Attempt, error: type[ConveyorError]) -> None:
        self._executor.interrupt(attempt, error)
