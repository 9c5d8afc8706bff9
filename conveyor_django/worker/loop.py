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
from conveyor_django.transitions import Claiming, Place, place

from . import log
from .attempt import Attempt
from .bookmarks import Bookmarks
from .due import DueClock
from .executor import Executor
from .heartbeat_file import LifeSign
from .idle import has_work
from .lease import Lease
from .ledger import GATHER, Ledger
from .maintenance import Removals, maintenance
from .outage import StillAway, through_outages
from .pulse import Pulse
from .shares import Shares
from .stale import close_stale_connections
from .tally import Tally
from .wakeup import WakeUp
from .watch import Pace, Watch
from .watchdog import Watchdog

_STUCK = 0.05  # seconds without an attempt that began: what was leased ahead is too much
_NUDGE = 0.001  # seconds
_POLLS_SAVED = 5  # one look at the database for so many, while new work is noticed without
_SHORTEST_POLL = 0.01  # seconds
_POLL_SHARE = 0.25  # of the time since there was work


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
        self._watch = Watch(config.using)
        self._tally = Tally(config.using)
        self._ledger = Ledger(config.using, self._wake.set, self._tell, lambda: self._executor.is_quick(), self._tally)
        self._executor = Executor(config.using, config.concurrency, self._ledger.end)
        self._life = LifeSign(config.heartbeat_file, self.pulse)
        self._lease = Lease(
            config.using,
            config.queue_names,
            config.concurrency,
            self._ledger.leased,
            tell=self._tell,
            renewed=self._life.show,
        )
        self._maintenance = maintenance(config.using, lambda: self._lease.id, self._tally)
        self._retiring = False
        self._served: dict[str, int] = {}  # queue: how many attempts had been started when it was served last
        self._shares = Shares(config.queue_names)
        self._bookmarks = Bookmarks()
        self._claimed: list[tuple[str, Place]] = []  # in this turn: queue and place, whatever becomes of the instances
        self._started = 0
        self._clock = DueClock(config.using)
        self._removals = Removals(config.using)
        self._suspects: list[Attempt] = []  # leased, and not to begin while others wait to
        self._begun, self._begun_at = 0, 0.0  # how many attempts had begun when it was looked at last
        self._worked_at = time.monotonic()  # when there was work last
        self._wants_more = False  # the last claim took all there was

    @property
    def left_behind(self) -> int:
        return sum(not attempt.ended for attempt in self._ledger.busy)

    def wake(self) -> None:
        self._wake.set()

    def retire(self) -> bool:
        """Take no more, and end when nothing runs any more; False when nothing has begun yet. For any thread."""
        self._retiring = self._executor.begun > 0
        self.wake()
        return self._retiring

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
                    self._rest(self._pause())
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
        """Settle and claim, at once; whether there may be more to do right now."""
        reset_queries()
        close_stale_connections(but=self._config.using)  # receivers of signals may use others
        if self._retiring:
            self._give_back_unstarted()
        self._recall_stuck()
        if self._ledger.collect():
            self._worked_at = time.monotonic()
        self._watch.mark()
        self._clock.promote()
        worker = self._lease.id
        claiming = self._claiming(max_jobs)
        began = time.monotonic()
        self._claimed = []
        self._ledger.write(worker, claiming, partial(self._begin, worker))
        self._wants_more = claiming is not None and len(self._claimed) < claiming.limit
        if claiming:
            self._shares.note(claiming.limit, claiming.rooms, [queue_name for queue_name, _ in self._claimed])
            self._bookmarks.note(claiming, self._claimed, time.monotonic() - began)
        self._begin_suspects()
        if self._ledger.may_have_delayed and not self._claimed:  # before it rests; a busy one looks often anyway
            self._ledger.may_have_delayed = False
            self._clock.doubt()
        self._clock.look(self._wake.heard)
        if self._clock.is_due() or self._ledger.has_entries:
            return True
        # what this turn released is among what it could claim; only elsewhere there may be more
        return bool(self._wants_more and claiming and (len(claiming.rooms) > 1 or claiming.after))

    def _claiming(self, max_jobs: int | None) -> Claiming | None:
        busy = len(self._ledger.busy)
        free = self._config.concurrency - busy
        if self._retiring or self._suspects:  # those have to begin first
            return None
        ahead = 0
        if not any(attempt.is_suspect for attempt in self._ledger.busy):
            ahead = self._executor.ahead(self._config.concurrency - self._ledger.long_running(_STUCK))
        free += ahead
        if max_jobs is not None:
            free = min(free, max_jobs - self._started)
        if free <= 0:
            return None
        rooms = self._shares.rooms(free, self._served)
        after = self._bookmarks.after() if ahead else {}
        return Claiming(self._config.queue_names, free, rooms, self._served, after)

    def _begin(self, worker: UUID, jobs: list[Job]) -> None:
        """Right after the commit, before any receiver of `job_started` can take its time."""
        self._claimed = [(job.queue_name, place(job)) for job in jobs]
        attempts = [Attempt(job, worker, self._config.processor) for job in jobs]
        for attempt in attempts:
            self._started += 1
            self._served[attempt.queue_name] = self._started
            self._ledger.add(attempt)
        self._suspects = [attempt for attempt in attempts if attempt.is_suspect]
        self._executor.start([attempt for attempt in attempts if not attempt.is_suspect])
        self._begun_at = self._worked_at = time.monotonic()

    def _begin_suspects(self) -> None:
        """What stalled before may end this process: then nothing may be leased that hasn't begun or isn't recorded."""
        others = len(self._ledger.busy) - len(self._suspects)
        if self._suspects and not self._executor.unstarted and others == self._executor.running:
            free = max(0, self._config.concurrency - others)
            self._give_back(self._suspects[free:])
            del self._suspects[free:]
            if not self._ledger.has_entries:
                self._executor.start(self._suspects)
                self._suspects = []

    def _recall_stuck(self) -> None:
        """What waits behind attempts that take longer than was thought goes back, to workers with free slots."""
        now = time.monotonic()
        if self._begun != self._executor.begun or not self._executor.unstarted:
            self._begun, self._begun_at = self._executor.begun, now
        elif now - self._begun_at > _STUCK:
            self._give_back(self._executor.recall())

    def _give_back_unstarted(self) -> None:
        self._give_back([*self._suspects, *self._executor.recall()])
        self._suspects = []

    def _give_back(self, attempts: list[Attempt]) -> None:
        self._started -= len(attempts)
        self._ledger.give_back(attempts)

    def _is_done(self, until_idle: bool, max_jobs: int | None) -> bool:  # noqa: FBT001
        # what ran out of time, was cancelled or lost may hold its thread for long: that is no reason to go on
        if any(not attempt.cancel_requested for attempt in self._ledger.leased.values()):
            return False
        if self._retiring or (max_jobs is not None and self._started >= max_jobs):
            return True
        return until_idle and not has_work(self._config.using, self._config.queue_names, self._removals)

    def _pause(self) -> float:
        poll = self._config.poll_interval
        if self._wake.listens or self._watch.works:
            poll *= _POLLS_SAVED
        else:
            poll = Pace(_SHORTEST_POLL, poll, _POLL_SHARE).pause(self._idle)
        return max(0.001, min(poll, self._clock.left(), self._ledger.next_deadline()))

    def _rest(self, seconds: float) -> None:
        """Until something happens, at most so long; what was leased ahead gets more threads if it needs them."""
        until = time.monotonic() + seconds
        while self._executor.unstarted and (left := until - time.monotonic()) > 0:
            if time.monotonic() - self._begun_at > _STUCK:
                return  # to be given back
            if self._wake.wait(min(left, _NUDGE)):
                return
            self._executor.nudge()
        if self._ledger.busy and self._executor.is_quick():
            self._wake.wait(max(0.0, min(until - time.monotonic(), GATHER)))
        else:
            self._sleep(until)

    def _sleep(self, until: float) -> None:
        """Until somebody calls, or others have written to the database and there are slots to fill."""
        watches = self._wants_more and self._watch.works
        while (left := until - time.monotonic()) > 0:
            if self._wake.wait(min(left, self._watch.pace.pause(self._idle)) if watches else left):
                return
            if watches and self._watch.has_news():
                self._clock.doubt()
                return

    @property
    def _idle(self) -> float:
        """Seconds since there was work."""
        return time.monotonic() - self._worked_at

    def _shut_down(self) -> None:
        """Running jobs have their time; what is left goes back, without a counted attempt."""
        deadline = time.monotonic() + self._config.shutdown_timeout
        self._give_back_unstarted()
        self._guard(lambda: self._ledger.settle(self._lease.id))
        if self._ledger.leased:
            log.stopping(len(self._ledger.leased), self._config.shutdown_timeout)
        while self._ledger.leased and (left := deadline - time.monotonic()) > 0:
            self._wake.clear()
            if not self._guard(lambda: self._ledger.settle(self._lease.id)):
                self._wake.wait(min(left, GATHER, self._ledger.next_deadline()))
        self._ledger.give_back_all()
        self._guard(lambda: self._ledger.settle(self._lease.id))
        self._ledger.summarize()

    def _end_threads(self) -> None:
        self._maintenance.stop()
        self._wake.stop()
        self._maintenance.join(timeout=2)
        self._executor.shutdown()
        with suppress(Error), self.pulse.at_work():  # the database may be away: then the lease runs out by itself
            self._lease.stop()
            self._tally.write()
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
