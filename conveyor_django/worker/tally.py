"""What this worker finished, by queue and minute: for the overview's rates. Never in the way of a job."""

import threading
import time
from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

from conveyor_django.engines import get_engine
from conveyor_django.ids import new_id
from conveyor_django.models import QueueMinute
from conveyor_django.outcomes import Completed, Failed, Outcome
from conveyor_django.spreads import step_of

from . import log
from .attempt import Attempt

KEPT = timedelta(days=2)
_MAX_PENDING = 1_000  # rows that wait for a database that is away; the oldest go first
_CHUNK = 1_000


class Minute:
    """One row of `QueueMinute`, which only this worker writes."""

    __slots__ = ("completed", "failed", "id", "is_written", "ran", "waited")

    def __init__(self) -> None:
        self.id: UUID = new_id()
        self.completed = self.failed = 0
        self.waited: Counter[int] = Counter()
        self.ran: Counter[int] = Counter()
        self.is_written = False


class Tally:
    """`add` is the loop's; `write` may be called in any thread."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._minutes: dict[tuple[str, datetime], Minute] = {}
        self._lock = threading.Lock()

    def add(self, attempt: Attempt, outcome: Outcome) -> None:
        """Only what has ended for good, and not what was cancelled meanwhile."""
        if isinstance(outcome, Failed):
            if attempt.attempts_made < attempt.max_attempts and not outcome.discarded:
                return
        elif not isinstance(outcome, Completed):
            return
        started = attempt.claimed_at
        if started is None:
            return
        key = (attempt.queue_name, started.replace(second=0, microsecond=0))
        waited = (started - attempt.waiting_since).total_seconds()
        ran = (attempt.ended_at or time.monotonic()) - attempt.started if attempt.started else 0.0
        with self._lock:
            minute = self._minutes.get(key)
            if minute is None:
                minute = self._minutes[key] = Minute()
            minute.is_written = False
            if isinstance(outcome, Failed):
                minute.failed += 1
            else:
                minute.completed += 1
            minute.waited[step_of(waited)] += 1
            minute.ran[step_of(ran)] += 1

    def write(self) -> None:
        """What is new since the last time. Jobs go on without statistics, whatever is wrong with them."""
        try:
            self._write()
        except Exception as error:  # a programmer's, too
            log.statistics_failed(error)

    def _write(self) -> None:
        with self._lock:
            pending = [(key, minute) for key, minute in self._minutes.items() if not minute.is_written]
            rows = [_row(queue_name, when, minute) for (queue_name, when), minute in pending]
            for _key, minute in pending:
                minute.is_written = True
        try:
            for row in rows:
                _save(self._using, row)
        except BaseException:
            with self._lock:
                for _key, minute in pending:
                    minute.is_written = False
                for key in list(self._minutes)[:-_MAX_PENDING]:
                    del self._minutes[key]
            raise
        self._forget()

    def _forget(self) -> None:
        with self._lock:
            newest = max((when for _, when in self._minutes), default=None)
            for key, minute in list(self._minutes.items()):
                if newest and minute.is_written and newest - key[1] > timedelta(minutes=5):
                    del self._minutes[key]


def forget_old_minutes(using: str) -> None:
    """Some of them: what is left goes the next time."""
    before = get_engine(using).now() - KEPT
    rows = QueueMinute.objects.using(using)
    ids = list(rows.filter(minute__lt=before).order_by("minute").values_list("pk", flat=True)[:_CHUNK])
    if ids:
        rows.filter(pk__in=ids).delete()


def _row(queue_name: str, when: datetime, minute: Minute) -> QueueMinute:
    return QueueMinute(
        id=minute.id,
        queue_name=queue_name,
        minute=when,
        completed=minute.completed,
        failed=minute.failed,
        waited=dict(minute.waited),
        ran=dict(minute.ran),
    )


def _save(using: str, row: QueueMinute) -> None:
    """Again and again the same row: whether it is there already, only the database knows for sure."""
    figures = {name: getattr(row, name) for name in ("completed", "failed", "waited", "ran")}
    rows = QueueMinute.objects.using(using)
    if not rows.filter(pk=row.pk).update(**figures):
        row.save(using=using, force_insert=True)
