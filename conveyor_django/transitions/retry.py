"""Retrying: finished jobs become unfinished again, and the parents above them reopen."""

import heapq
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from conveyor_django.engines import get_engine
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.models import Job
from conveyor_django.states import FINISHED, UNSUCCESSFUL, JobState

from .climb import through_child
from .locking import parent_ids, require
from .moves import make_ready
from .work import Work

_CLEARED: dict[str, Any] = {"failed_reason": "", "failed_by": None, "finished_at": None, "removal_due": False}


def retry(using: str, ids: Iterable[UUID], *, only_finished: bool = False) -> dict[UUID, tuple[str, str]]:
    """Returns the jobs that became unfinished again: `{id: (queue_name, state before)}`.

    Raises `InvalidJobState` for an unfinished job; with `only_finished` it is left alone.
    """
    engine = get_engine(using)
    targets = set(ids)

    def step() -> dict[UUID, tuple[str, str]]:
        subtree = engine.subtree_ids(targets, UNSUCCESSFUL)
        above = {a.id for a in engine.reopening_ancestors(parent_ids(using, targets))}
        work = Work(engine, engine.lock_jobs(subtree | above))
        if only_finished:
            top = [job for pk in sorted(targets) if (job := work.rows.get(pk)) and job.state in FINISHED]
        else:
            top = require(work.rows, targets)
            _refuse_unfinished(top)
        before = {pk: (job.queue_name, job.state) for pk, job in work.rows.items()}
        reopened = _reopen(work, top)
        work.save()
        return {pk: before[pk] for pk in reopened}

    return engine.transact(step)


def _refuse_unfinished(jobs: list[Job]) -> None:
    for job in jobs:
        if job.state not in FINISHED:
            raise InvalidJobState(f"job {job.pk} is {job.state}; only a finished job can be retried")


def _reopen(work: Work, top: list[Job]) -> set[UUID]:
    again = _with_failed_children(work, top)
    for job in again.values():
        if parent := work.parent_of(job):
            work.set(parent, pending_children=parent.pending_children + 1)
    for job in again.values():
        make_ready(work, job, attempts_made=0, stalls=0, return_value=None, stacktrace="", **_CLEARED)
    reopened = set(again)
    _reopen_above(work, again.values(), reopened)
    return reopened


def _with_failed_children(work: Work, top: list[Job]) -> dict[UUID, Job]:
    """A job that failed through children or was cancelled never runs again without its unsuccessful children."""
    children = work.children()
    again: dict[UUID, Job] = {}
    stack = list(top)
    while stack:
        job = stack.pop()
        if job.pk in again:
            continue
        again[job.pk] = job
        if job.state == JobState.CANCELLED or (job.state == JobState.FAILED and job.failed_by):
            stack.extend(child for child in children.get(job.pk, ()) if child.state in UNSUCCESSFUL)
    return again


def _reopen_above(work: Work, jobs: Iterable[Job], reopened: set[UUID]) -> None:
    """Let the parents hear, the deepest first: each is looked at when all its reopened children are counted."""
    heap = [(-job.depth, job.parent_id) for job in jobs if job.parent_id and job.parent_id not in reopened]
    heapq.heapify(heap)
    seen: set[UUID] = set()
    while heap:
        _, parent_id = heapq.heappop(heap)
        parent = work.rows[parent_id]
        if parent_id in seen:
            continue
        seen.add(parent_id)
        if parent.state in (JobState.WAITING, JobState.DELAYED):
            work.move(parent, JobState.WAITING_CHILDREN, run_at=None)
        elif parent.state == JobState.FAILED and parent.failed_by and _may_reopen(work, parent, reopened):
            work.move(parent, JobState.WAITING_CHILDREN, stacktrace="", **_CLEARED)
            reopened.add(parent_id)
            if grandparent := work.parent_of(parent):
                work.set(grandparent, pending_children=grandparent.pending_children + 1)
                heapq.heappush(heap, (-parent.depth, grandparent.pk))


def _may_reopen(work: Work, parent: Job, reopened: set[UUID]) -> bool:
    """Whether no child keeps the parent failed; the earliest that does gives it its reason."""
    children = Job.objects.using(work.engine.using).filter(parent=parent, state__in=UNSUCCESSFUL)
    # stable under the parent's lock; those reopened here still stand as they were
    if parent.failed_by and parent.failed_by not in reopened and children.filter(pk=parent.failed_by).exists():
        return False
    for child in children.order_by("finished_at", "pk").iterator(chunk_size=500):
        if child.pk not in reopened:
            work.set(parent, failed_by=child.pk, failed_reason=through_child(child))
            return False
    return True
