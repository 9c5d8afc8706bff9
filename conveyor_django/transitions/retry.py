"""Retrying: finished jobs become unfinished again, and the parents above them reopen."""

import heapq
from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Count

from conveyor_django.engines import get_engine
from conveyor_django.exceptions import InvalidJobState, TryAgain
from conveyor_django.models import Job
from conveyor_django.states import FINISHED, UNSUCCESSFUL, ChildFailurePolicy, JobState

from .climb import through_child
from .locking import Reached, parent_ids, require
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


def retry_some(using: str, ids: Iterable[UUID]) -> Reached:
    """Leaves alone unfinished jobs."""
    targets = set(ids)
    reopened = set(retry(using, targets, only_finished=True))
    return Reached(targets & reopened, reopened)


def _refuse_unfinished(jobs: list[Job]) -> None:
    for job in jobs:
        if job.state not in FINISHED:
            raise InvalidJobState(f"job {job.pk} is {job.state}; only a finished job can be retried")


def _reopen(work: Work, top: list[Job]) -> set[UUID]:
    unsuccessful = _unsuccessful_children(work)
    again = _with_failed_children(work, top, unsuccessful)
    for job in again.values():
        if parent := work.parent_of(job):
            work.set(parent, pending_children=parent.pending_children + 1)
            unsuccessful[parent.pk] -= job.state in UNSUCCESSFUL
    for job in again.values():
        make_ready(work, job, attempts_made=0, stalls=0, return_value=None, stacktrace="", **_CLEARED)
    reopened = set(again)
    _reopen_above(work, again.values(), reopened, unsuccessful)
    return reopened


def _unsuccessful_children(work: Work) -> Counter[UUID]:
    """How many failed or cancelled children each job has that may reopen with them; its lock keeps it so."""
    counts: Counter[UUID] = Counter()
    jobs = Job.objects.using(work.engine.using).in_state(*UNSUCCESSFUL)
    for chunk in work.engine.chunks(pk for pk, job in work.rows.items() if _depends_on_children(job)):
        counts.update(dict(jobs.filter(parent__in=chunk).values_list("parent").annotate(Count("pk")).order_by()))
    return counts


def _depends_on_children(job: Job) -> bool:
    """Whether its unsuccessful children run again first: not for one that can run without them, and has."""
    if job.state == JobState.FAILED and not job.failed_by:
        return job.fail_parent_on_child_failure != ChildFailurePolicy.IGNORE
    return job.state in UNSUCCESSFUL


def _with_failed_children(work: Work, top: list[Job], unsuccessful: Counter[UUID]) -> dict[UUID, Job]:
    """A job that failed through children or was cancelled never runs again without its unsuccessful children."""
    children = work.children()
    again: dict[UUID, Job] = {}
    stack = list(top)
    while stack:
        job = stack.pop()
        if job.pk in again:
            continue
        again[job.pk] = job
        if _depends_on_children(job):
            with_it = [child for child in children.get(job.pk, ()) if child.state in UNSUCCESSFUL]
            if len(with_it) < unsuccessful[job.pk]:
                raise TryAgain(f"a child of {job.pk} failed meanwhile")
            stack.extend(with_it)
    return again


def _reopen_above(work: Work, jobs: Iterable[Job], reopened: set[UUID], unsuccessful: Counter[UUID]) -> None:
    """Let the parents hear, the deepest first: each is looked at when all its reopened children are counted."""
    heap = [(-job.depth, job.parent_id) for job in jobs if job.parent_id and job.parent_id not in reopened]
    heapq.heapify(heap)
    seen: set[UUID] = set()
    stay_failed: list[Job] = []
    while heap:
        _, parent_id = heapq.heappop(heap)
        parent = work.rows[parent_id]
        if parent_id in seen:
            continue
        seen.add(parent_id)
        if parent.state in (JobState.WAITING, JobState.DELAYED):
            work.move(parent, JobState.WAITING_CHILDREN)  # `run_at` holds at the release
        elif parent.state == JobState.FAILED and parent.failed_by is not None:
            if unsuccessful[parent_id] > 0:
                stay_failed.append(parent)
                continue
            work.move(parent, JobState.WAITING_CHILDREN, stacktrace="", **_CLEARED)
            reopened.add(parent_id)
            if grandparent := work.parent_of(parent):
                work.set(grandparent, pending_children=grandparent.pending_children + 1)
                unsuccessful[grandparent.pk] -= 1
                heapq.heappush(heap, (-parent.depth, grandparent.pk))
    _blame_others(work, stay_failed, reopened)


def _blame_others(work: Work, parents: list[Job], reopened: set[UUID]) -> None:
    """Parents that stay failed have their reason from the earliest of the children that keep them so."""
    # those reopened here still stand in the database as they were
    unsuccessful = Job.objects.using(work.engine.using).in_state(*UNSUCCESSFUL)
    chunks = work.engine.chunks
    above: dict[UUID | None, UUID | None] = {}
    for chunk in chunks({parent.failed_by for parent in parents if parent.failed_by} - reopened):
        above.update(unsuccessful.filter(pk__in=chunk).values_list("pk", "parent_id"))
    left = {parent.pk: parent for parent in parents if above.get(parent.failed_by) != parent.pk}
    earliest: dict[UUID, UUID] = {}
    for chunk in chunks(left):
        wanted = set(chunk)
        children = unsuccessful.filter(parent__in=chunk).order_by("finished_at", "pk")
        for parent_id, pk in children.values_list("parent_id", "pk").iterator(chunk_size=500):
            if parent_id in wanted and pk not in reopened:
                earliest[parent_id] = pk
                wanted.discard(parent_id)
                if not wanted:
                    break
    for chunk in chunks(earliest.values()):
        for child in unsuccessful.filter(pk__in=chunk).only("state", "failed_reason", "parent_id"):
            parent: Any = work.parent_of(child)
            work.set(parent, failed_by=child.pk, failed_reason=through_child(child))
