"""What the overview knows of queues and workers: bounded reads through indexes, as many as there may be rows."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Coalesce

from conveyor_django.conf import get_settings
from conveyor_django.engines import BoundedCount, BoundedMin, get_engine
from conveyor_django.models import Job, JobError, QueueState, WorkerProcess
from conveyor_django.registry import registered_queues
from conveyor_django.states import JobState

from .changelist import MAX_COUNT

MAX_QUEUES = 100
MAX_WORKERS = 10_000  # more than one database serves
MAX_FAILURES = 500  # newest failed attempts that are looked at
_IN_LINE = 1_000  # first jobs of a queue among which the one that waits longest is looked for
_GONE = timedelta(hours=1)  # so long a worker that is gone is shown


@dataclass(frozen=True)
class Samples:
    """Few jobs are in these states; no more of them are read than are counted anywhere."""

    active: list[tuple[str, UUID, UUID, UUID]]  # queue, id, root, worker
    delayed: list[tuple[str, UUID, UUID]]  # queue, id, root
    parents: list[tuple[str, UUID, UUID]]
    failed: list[tuple[str, UUID, UUID]]  # by themselves, within the window
    failed_is_capped: bool

    def counts(self) -> dict[str, Counter[str]]:
        """Of each state, by queue."""
        rows: dict[str, Collection[Any]] = {
            JobState.ACTIVE: self.active,
            JobState.DELAYED: self.delayed,
            JobState.WAITING_CHILDREN: self.parents,
            JobState.FAILED: self.failed,
        }
        return {state: Counter(row[0] for row in found) for state, found in rows.items()}

    def capped(self) -> set[str]:
        """States of which there may be more than were counted."""
        found: set[str] = {state for state, counted in self.counts().items() if counted.total() >= MAX_COUNT}
        return found | {JobState.FAILED} if self.failed_is_capped else found


@dataclass
class QueueRow:
    name: str
    counts: Counter[str] = field(default_factory=Counter)
    oldest: datetime | None = None  # since when the one waits that waits longest
    paused_at: datetime | None = None
    paused_by: str = ""
    workers: int = 0  # whose lease runs


@dataclass(frozen=True)
class WorkerRow:
    process: WorkerProcess
    state: str  # live, late or gone
    age: timedelta  # of its heartbeat
    running: int


def read_samples(using: str, since: datetime) -> Samples:
    jobs = Job.objects.using(using)
    place = ("queue_name", "pk", "root_id")
    errors = list(JobError.objects.using(using).order_by("-pk").values_list("job_id", "created_at")[:MAX_FAILURES])
    failed = jobs.failed().filter(pk__in={pk for pk, _when in errors}, finished_at__gte=since, failed_by=None)
    return Samples(
        # each in the order of its index, so that this is the one which is read
        active=list(jobs.active().order_by("worker").values_list(*place, "worker")[:MAX_COUNT]),
        delayed=list(jobs.delayed().order_by("run_at").values_list(*place)[:MAX_COUNT]),
        parents=list(jobs.waiting_children().order_by("-pk").values_list(*place)[:MAX_COUNT]),
        failed=list(failed.values_list(*place)),
        failed_is_capped=len(errors) >= MAX_FAILURES and errors[-1][1] >= since,
    )


def read_workers(using: str, samples: Samples, now: datetime) -> list[WorkerRow]:
    """Those whose lease runs, and those that are gone since a short time."""
    running = Counter(worker for *_, worker in samples.active)
    late = timedelta(seconds=2 * get_settings().HEARTBEAT_INTERVAL)
    known = WorkerProcess.objects.using(using).filter(Q(expires_at__gt=now) | Q(heartbeat_at__gte=now - _GONE))
    rows = []
    for process in known.order_by("-expires_at")[:MAX_WORKERS]:
        age = max(timedelta(0), now - process.heartbeat_at)
        state = "late" if age > late else "live"
        if process.dead_at is not None or process.expires_at <= now:
            state = "gone"
        rows.append(WorkerRow(process, state, age, running[process.pk]))
    order = ["live", "late", "gone"]
    return sorted(rows, key=lambda row: (order.index(row.state), row.process.host, row.process.pid))


def read_queues(
    using: str, samples: Samples, workers: list[WorkerRow], busy: Iterable[str]
) -> tuple[list[QueueRow], bool]:
    """By name, and whether there are more than are shown; `busy` ones have finished something lately."""
    counts = samples.counts()
    states = QueueState.objects.using(using).filter(paused_at__isnull=False).order_by("queue_name")
    paused = {state.queue_name: state for state in states[:MAX_COUNT]}
    serving = [row.process.queues for row in workers if row.state != "gone"]
    waiting = get_engine(using).waiting_queue_names()
    names = {*registered_queues(), *paused, *waiting, *busy, *(name for names in serving for name in names or ())}
    names.update(name for counted in counts.values() for name in counted)
    shown = sorted(names)[:MAX_QUEUES]
    lines = _read_lines(using, sorted({*shown} & {*waiting}))
    rows = []
    for name in shown:
        row = QueueRow(name)
        if state := paused.get(name):
            row.paused_at, row.paused_by = state.paused_at, state.paused_by
        row.counts.update({state: counted[name] for state, counted in counts.items()})
        row.counts[JobState.WAITING], row.oldest = lines.get(name, (0, None))
        row.workers = sum(names is None or name in names for names in serving)
        rows.append(row)
    return rows, len(names) > len(shown)


def _read_lines(using: str, names: list[str]) -> dict[str, tuple[int, datetime | None]]:
    """How many jobs wait in each of these queues, and since when the oldest: all in one statement."""
    columns: dict[str, BoundedCount | BoundedMin] = {}
    for number, name in enumerate(names):
        # in order, so that the index of waiting jobs is the one which is read
        line = Job.objects.using(using).waiting().filter(queue_name=name).in_order()
        first = line.annotate(moment=Coalesce("run_at", "created_at")).values("moment")[:_IN_LINE]
        columns[f"count_{number}"] = BoundedCount(line.values("pk")[:MAX_COUNT])
        columns[f"oldest_{number}"] = BoundedMin(first)
    row = read_numbers(using, columns)
    return {name: (row[f"count_{n}"] or 0, row[f"oldest_{n}"]) for n, name in enumerate(names)} if row else {}


def read_numbers(using: str, columns: dict[str, Any]) -> dict[str, Any]:
    """Nothing where there is no job: a row to select them beside is always found otherwise."""
    beside: Any = Job.objects.using(using).order_by("pk")
    return beside.values(**columns).first() or {} if columns else {}
