"""What must not be, found. Each finding is one statement, which sees what was committed and nothing half done."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from django.db.models import Case, Count, Exists, F, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Coalesce

from conveyor_django.conf import get_settings
from conveyor_django.engines import get_engine
from conveyor_django.models import Job, WorkerProcess
from conveyor_django.querysets import JobQuerySet
from conveyor_django.states import UNFINISHED, JobState

_WINDOW = 400  # rows that one statement looks at: so few that PostgreSQL does not compile it first
_PARENTS = 200
_UNFINISHED = Count("pk", filter=Q(state__in=UNFINISHED))
_READY = (JobState.WAITING, JobState.DELAYED)
_NOWHERE, _ELSEWHERE, _FITS = range(3)


class Fault(StrEnum):
    STUCK_PARENT = "stuck-parent"  # in waiting-children, and no child is unfinished
    RELEASED_EARLY = "released-early"  # waiting or delayed, and a child is unfinished
    WRONG_COUNT = "wrong-count"  # pending_children is not the number of unfinished children
    MISSING_PARENT = "missing-parent"
    WRONG_PLACE = "wrong-place"  # root or depth is not what follows from the parent
    ORPHANED = "orphaned"  # active, and its worker has been gone for so long that nobody else will rescue it


class Found(NamedTuple):
    fault: Fault
    ids: list[UUID]


def find(using: str) -> Iterator[Found]:
    """All that is wrong, a part at a time."""
    for jobs in _windows(using):
        yield from miscounted(jobs)
        yield from _misplaced(jobs)
    if orphaned := _orphaned(using):
        yield Found(Fault.ORPHANED, orphaned)


def find_in_parents(using: str, after: UUID | None) -> tuple[list[Found], UUID | None]:
    """What is wrong with the next few jobs in waiting-children; and the last of them, None after the last of all."""
    jobs = Job.objects.using(using)
    waiting = jobs.waiting_children().order_by("pk").values_list("pk", flat=True)
    ids = list((waiting.filter(pk__gt=after) if after else waiting)[:_PARENTS])
    found = list(miscounted(jobs.filter(pk__in=ids))) if ids else []
    return found, ids[-1] if len(ids) == _PARENTS else None


def miscounted(jobs: JobQuerySet) -> Iterator[Found]:
    # a subquery for each row, not a join: that would make databases read the whole table for a few rows
    children = Job.objects.using(jobs.db).filter(parent=OuterRef("pk")).order_by().values("parent")
    number = Subquery(children.annotate(number=_UNFINISHED).values("number"))
    counted = jobs.order_by("pk").annotate(unfinished=Coalesce(number, 0))
    suspect = counted.filter(~Q(pending_children=F("unfinished")) | Q(state__in=_READY, unfinished__gt=0))
    by_fault: dict[Fault, list[UUID]] = defaultdict(list)
    for job_id, state, pending, unfinished in suspect.values_list("pk", "state", "pending_children", "unfinished"):
        if fault := miscount(state, pending, unfinished):
            by_fault[fault].append(job_id)
    return (Found(fault, ids) for fault, ids in by_fault.items())


def miscount(state: str, pending: int, unfinished: int) -> Fault | None:
    if state == JobState.WAITING_CHILDREN and not unfinished:
        return Fault.STUCK_PARENT
    if state in _READY and unfinished:
        return Fault.RELEASED_EARLY
    return Fault.WRONG_COUNT if pending != unfinished else None


def _windows(using: str) -> Iterator[JobQuerySet]:
    jobs = Job.objects.using(using).order_by("pk")
    rest = jobs
    while last := rest.values_list("pk", flat=True)[_WINDOW - 1 : _WINDOW]:
        yield rest.filter(pk__lte=last[0])
        rest = jobs.filter(pk__gt=last[0])
    yield rest


def _misplaced(jobs: JobQuerySet) -> Iterator[Found]:
    parent = Job.objects.using(jobs.db).filter(pk=OuterRef("parent_id")).order_by()
    above = When(root=OuterRef("root"), level_below=OuterRef("depth"), then=Value(_FITS))
    fit = Case(above, default=Value(_ELSEWHERE))
    place = Subquery(parent.annotate(level_below=F("depth") + 1).values(place=fit))
    placed = jobs.order_by("pk").annotate(place=Coalesce(place, _NOWHERE))
    is_root = Q(parent__isnull=True)
    suspect = placed.filter(is_root & (~Q(root=F("pk")) | ~Q(depth=0)) | ~is_root & Q(place__lt=_FITS))
    by_fault: dict[Fault, list[UUID]] = defaultdict(list)
    for job_id, parent_id, found in suspect.values_list("pk", "parent_id", "place"):
        by_fault[Fault.MISSING_PARENT if parent_id and found == _NOWHERE else Fault.WRONG_PLACE].append(job_id)
    return (Found(fault, ids) for fault, ids in by_fault.items())


def _orphaned(using: str) -> list[UUID]:
    # a lease beyond its end: by then any worker that runs would have rescued them
    late = get_engine(using).now() - timedelta(seconds=get_settings().HEARTBEAT_TIMEOUT)
    worker = WorkerProcess.objects.using(using).filter(pk=OuterRef("worker"))
    lives = worker.filter(Q(dead_at=None, expires_at__gte=late) | Q(dead_at__gte=late))
    jobs = Job.objects.using(using).active().filter(~Exists(lives)).exclude(started_at__gte=late)
    return list(jobs.order_by("pk").values_list("pk", flat=True))
