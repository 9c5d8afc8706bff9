"""Deferred removals: `remove_on_complete` and `remove_on_fail`, in slices, so that nobody waits for 100,000 deletes."""

import math
import time
from collections.abc import Iterable
from functools import partial
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from conveyor_django.engines import Engine, get_engine
from conveyor_django.models import Job
from conveyor_django.querysets import JobQuerySet
from conveyor_django.states import FINISHED, UNSUCCESSFUL, JobState

_PAGE = 200
_SLICE = 1000
_WANTED = Q(state=JobState.COMPLETED, remove_on_complete=True) | Q(state__in=UNSUCCESSFUL, remove_on_fail=True)
_UNREAD = Q(parent=None) | Q(parent__state=JobState.COMPLETED)  # by the parent: it may still read their values


def tidy(using: str) -> int:
    """Remove what is due and can go now; returns how many rows went. What can't go yet is looked at again."""
    return tidy_some(using, None, math.inf)[0]


def tidy_some(using: str, after: UUID | None, seconds: float) -> tuple[int, UUID | None]:
    """For so many seconds, of the jobs above `after`; returns also where to go on, None at the end."""
    engine = get_engine(using)
    taken = 0
    until = time.monotonic() + seconds
    # first by what is the same for all: for the order of ids alone, SQLite would read the whole table
    due = Job.objects.using(using).filter(removal_due=True).order_by("removal_due", "pk")
    while ids := list((due.filter(pk__gt=after) if after else due).values_list("pk", flat=True)[:_PAGE]):
        alone = _remove_alone(engine, ids)
        taken += len(alone)
        for after in ids:
            taken += 0 if after in alone else _tidy_one(engine, after)
            if time.monotonic() >= until:
                return taken, after
    return taken, None


def _remove_alone(engine: Engine, ids: list[UUID]) -> set[UUID]:
    """Those of them without parent and children, which are most: at once, but for what others are at."""
    jobs = Job.objects.using(engine.using)
    alone = jobs.filter(_WANTED, ~Exists(jobs.filter(parent=OuterRef("pk"))), removal_due=True, parent=None)

    def step() -> set[UUID]:
        rows = engine.lock_jobs(found, skip_locked=True)
        still = set(alone.filter(pk__in=rows).values_list("pk", flat=True))
        engine.delete_jobs(sorted(still))
        return still

    found = list(alone.filter(pk__in=ids).values_list("pk", flat=True))
    return engine.transact(step) if found else set()


def _tidy_one(engine: Engine, job_id: UUID) -> int:
    jobs = Job.objects.using(engine.using)
    if jobs.filter(_WANTED & _UNREAD, pk=job_id).exists():
        return _remove_finished(engine, job_id, [job_id])
    taken = 0
    children = _wanted_children(jobs, job_id)
    after: UUID | None = None
    while ids := list((children.filter(pk__gt=after) if after else children).values_list("pk", flat=True)[:_SLICE]):
        after = ids[-1]
        taken += _remove_finished(engine, job_id, ids)
    engine.transact(lambda: _settle(engine, job_id))
    return taken


def _wanted_children(jobs: JobQuerySet, job_id: UUID) -> JobQuerySet:
    return jobs.filter(_WANTED, parent=job_id, parent__state=JobState.COMPLETED).order_by("pk")


def _settle(engine: Engine, job_id: UUID) -> None:
    """Nothing more to do here, unless a child that is to go still has unfinished jobs below it."""
    jobs = Job.objects.using(engine.using)
    job = engine.lock_jobs([job_id]).get(job_id)
    if job is None or _wanted_children(jobs, job_id).exists():
        return
    if not jobs.filter(_WANTED & _UNREAD, pk=job_id).exists():
        jobs.filter(pk=job_id).update(removal_due=False)


def _remove_finished(engine: Engine, guard: UUID, ids: Iterable[UUID]) -> int:
    """Delete these jobs with their subtrees, children first, where all of a subtree is finished."""
    rows: dict[UUID, UUID | None] = {}
    unfinished: set[UUID] = set()
    for chunk in engine.chunks(engine.subtree_ids(ids)):
        jobs = Job.objects.using(engine.using).filter(pk__in=chunk).values_list("pk", "parent_id", "state")
        for job_id, parent_id, state in jobs:
            rows[job_id] = parent_id
            if state not in FINISHED:
                unfinished.add(job_id)
    taken = 0
    for part in engine.chunks(_whole_trees(rows, set(ids), unfinished), _SLICE):
        count = engine.transact(partial(_delete_slice, engine, guard, part))
        taken += count
        if count < len(part):  # something below was retried meanwhile: what lies above it stays
            break
    return taken


def _whole_trees(rows: dict[UUID, UUID | None], tops: set[UUID], unfinished: set[UUID]) -> set[UUID]:
    top_of: dict[UUID, UUID] = {}
    for job_id in sorted(rows, reverse=True):  # parents before children
        parent = rows[job_id]
        # a parent that isn't there went meanwhile
        top_of[job_id] = job_id if job_id in tops or parent is None else top_of.get(parent, job_id)
    held = {top_of[job_id] for job_id in unfinished}
    return {job_id for job_id in rows if top_of[job_id] not in held}


def _delete_slice(engine: Engine, guard: UUID, ids: list[UUID]) -> int:
    rows = engine.lock_jobs({*ids, guard})
    if guard not in rows or not rows[guard].removal_due:
        return 0  # retried, or somebody else is done with it
    if any(pk not in rows or rows[pk].state not in FINISHED or rows[pk].pending_children for pk in ids):
        return 0
    return engine.delete_jobs(ids)
