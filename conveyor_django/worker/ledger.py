"""What a worker leases: who runs, who has ended, and what of it is not on record yet."""

import queue
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple
from uuid import UUID

from django.db import DatabaseError, InterfaceError

from conveyor_django.engines import get_engine
from conveyor_django.exceptions import ConveyorError, JobTimeout
from conveyor_django.models import Job
from conveyor_django.outcomes import Completed, Ending, Failed, GivenBack, Outcome, Recorded, Report
from conveyor_django.transitions import Claiming, Done, turn

from . import log
from .attempt import Attempt
from .tally import Tally

GATHER = 0.02  # seconds that the end of a quick attempt may wait for the next ones
_NEWS_INTERVAL = 0.5  # seconds between writes of running jobs' progress and log lines
_SUMMARY_INTERVAL = 5.0


Taken = Callable[[list[Job]], None]


class Entry(NamedTuple):
    attempt: Attempt
    outcome: Outcome | None
    report: Report


class Ledger:
    """Used by the loop's thread; `end` may be called in any, and `leased` be read."""

    def __init__(
        self,
        using: str,
        wake: Callable[[], None],
        tell: Callable[[Attempt, type[ConveyorError]], None],
        is_quick: Callable[[], bool],
        tally: Tally,
    ) -> None:
        self.leased: dict[UUID, Attempt] = {}  # until what came of them is committed
        self.busy: set[Attempt] = set()  # until their thread or task has ended: they hold the slots
        self.may_have_delayed = False  # a retry, or a parent with a delay of its own, since this was set back
        self._using = using
        self._wake = wake
        self._tell = tell
        self._tally = tally
        self._is_quick = is_quick  # whether attempts take so little that each alone isn't worth a turn
        self._wake_at = 0.0
        self._ended: queue.SimpleQueue[tuple[Attempt, Ending]] = queue.SimpleQueue()
        self._entries: list[Entry] = []  # not written yet
        self._counts: Counter[str] = Counter()
        self._next_news = self._last_summary = time.monotonic()

    def add(self, attempt: Attempt) -> None:
        self.leased[attempt.job_id] = attempt
        self.busy.add(attempt)

    def end(self, attempt: Attempt, ending: Ending, more: bool = False) -> None:  # noqa: FBT001, FBT002
        """`more`: another attempt begins at once where this one ended, so that its end may wait for company."""
        attempt.ended_at = now = time.monotonic()
        attempt.ended = True
        self._ended.put((attempt, ending))
        if not (more and self._is_quick() and now < self._wake_at):
            self._wake_at = now + GATHER
            self._wake()

    def settle(self, worker: UUID) -> bool:
        """Write what has ended, and the news of what runs; whether anything ended."""
        moved = self.collect()
        self.write(worker, None)
        return moved

    def collect(self) -> bool:
        """Look at what has ended, or has had its time; whether anything has."""
        freed = self._collect_ended()
        self._collect_timeouts()
        ended = bool(self._entries) or freed
        self._collect_news()
        if time.monotonic() - self._last_summary >= _SUMMARY_INTERVAL:
            self.summarize()
        return ended

    def give_back(self, attempts: Iterable[Attempt]) -> None:
        """Settle these as not run: what their processors return later changes nothing."""
        for attempt in attempts:
            if not attempt.settled:
                self._settle_as(attempt, GivenBack())
            if not attempt.started:
                self.busy.discard(attempt)

    def give_back_all(self) -> None:
        self._collect_ended()
        left = [attempt for attempt in self.leased.values() if not attempt.settled]
        self.give_back(left)
        if left:
            log.left_behind([attempt.job_id for attempt in left])

    @property
    def has_entries(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._entries)

    def long_running(self, seconds: float) -> int:
        """How many hold their slots for longer than that."""
        before = time.monotonic() - seconds
        return sum(0 < attempt.started < before for attempt in self.busy)

    def next_deadline(self) -> float:
        """Seconds until something has to be looked at again."""
        deadlines = [a.started + a.timeout for a in self.busy if a.timeout and a.started and not a.settled]
        if self.busy:
            deadlines.append(self._next_news)
        return max(0.0, min(deadlines, default=float("inf")) - time.monotonic())

    def _settle_as(self, attempt: Attempt, outcome: Outcome) -> None:
        attempt.settled = True
        report = attempt.report(outcome)
        self._entries.append(Entry(attempt, outcome, report))
        self.may_have_delayed |= not isinstance(outcome, Completed) or report.parent_id is not None

    def _collect_ended(self) -> bool:
        freed = False
        while not self._ended.empty():
            attempt, ending = self._ended.get()
            self.busy.discard(attempt)
            freed = True
            if isinstance(ending, Recorded):
                attempt.settled = True
                self.may_have_delayed |= attempt.report(ending.outcome).parent_id is not None
                self._on_record(attempt, ending.outcome)
            elif not attempt.settled:
                self._settle_as(attempt, ending)
        return freed

    def _collect_timeouts(self) -> None:
        now = time.monotonic()
        for attempt in self.busy:
            limit = attempt.timeout
            if limit and attempt.started and not attempt.settled and now >= attempt.started + limit:
                self._settle_as(attempt, attempt.failure(JobTimeout(f"ran longer than {limit:g} s")))
                self._tell(attempt, JobTimeout)

    def _collect_news(self) -> None:
        if time.monotonic() < self._next_news:
            return
        self._next_news = time.monotonic() + _NEWS_INTERVAL
        for attempt in self.busy:
            if not (attempt.settled or attempt.cancel_requested):
                report = attempt.report(None)
                if report.progress is not None or report.log_lines:
                    self._entries.append(Entry(attempt, None, report))

    def write(self, worker: UUID, claiming: Claiming | None, taken: Taken | None = None) -> None:
        """Write what was collected, and claim; entries stay until it is committed."""
        if not (self._entries or claiming):
            return
        mine = [entry for entry in self._entries if entry.attempt.worker == worker]
        lost = {entry.report.job_id for entry in self._entries if entry.attempt.worker != worker}
        done = self._turn(worker, mine, claiming, taken)
        lost.update(done.lost)
        entries, self._entries = self._entries, []
        for entry in entries:
            self._written(entry, lost)
        log.lost(entry.report.job_id for entry in entries if entry.outcome and entry.report.job_id in lost)

    def _turn(self, worker: UUID, entries: list[Entry], claiming: Claiming | None, taken: Taken | None) -> Done:
        try:
            return turn(self._using, worker, [entry.report for entry in entries], claiming, taken)
        except (DatabaseError, InterfaceError) as error:
            if not entries or get_engine(self._using).is_outage(error):
                raise  # later
            if len(entries) > 1 or claiming:  # one of them is refused: the others must not suffer
                lost = [job_id for entry in entries for job_id in self._turn(worker, [entry], None, None).lost]
                return Done(lost, [])
            return turn(self._using, worker, [_refused(entries[0], error)], None)

    def _written(self, entry: Entry, lost: set[UUID]) -> None:
        attempt, outcome = entry.attempt, entry.outcome
        if outcome is None:
            return
        if attempt.job_id in lost:
            self._forget(attempt)
        else:
            self._on_record(attempt, outcome)

    def _on_record(self, attempt: Attempt, outcome: Outcome) -> None:
        self._forget(attempt)
        if attempt.ended:
            attempt.job._run = None  # else they would hold each other, and be garbage to collect
        self._counts[log.verb(outcome)] += 1
        self._tally.add(attempt, outcome)
        log.ended(attempt, outcome, time.monotonic() - attempt.started)

    def _forget(self, attempt: Attempt) -> None:
        if self.leased.get(attempt.job_id) is attempt:
            del self.leased[attempt.job_id]

    def summarize(self) -> None:
        """Say what ended since the last summary."""
        now = time.monotonic()
        if self._counts:
            log.summary(self._counts, len(self.busy), now - self._last_summary)
            self._counts.clear()
        self._last_summary = now


def _refused(entry: Entry, error: DatabaseError | InterfaceError) -> Report:
    """The database takes a failure that says so, where it didn't take the result, and goes without the news."""
    bare = entry.report._replace(progress=None, log_lines=[])
    if isinstance(entry.outcome, Completed):
        failed = entry.attempt.failure(error)
        reason = f"the database refused the return value: {failed.reason}"
        bare = bare._replace(outcome=Failed(reason, failed.stacktrace, failed.retry_in, failed.discarded))
    if bare == entry.report:
        raise error
    log.refused(entry.report.job_id, error)
    return bare
