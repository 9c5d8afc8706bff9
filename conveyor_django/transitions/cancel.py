"""Cancelling: a job and its unfinished descendants, in one transaction; the parent above hears of a failure."""

from collections.abc import Iterable
from uuid import UUID

from conveyor_django.engines import get_engine
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.models import Job
from conveyor_django.states import UNFINISHED

from . import moves
from .climb import children_ended, reach_of_failure
from .locking import Reached, require
from .work import Work


def cancel(using: str, ids: Iterable[UUID]) -> int:
    """Returns the number of jobs cancelled.

    Raises `InvalidJobState` for a finished job without unfinished descendants.
    """
    return len(_cancel(using, set(ids), is_strict=True).all)


def cancel_some(using: str, ids: Iterable[UUID]) -> Reached:
    """Leaves alone finished jobs without unfinished descendants."""
    return _cancel(using, set(ids), is_strict=False)


def _cancel(using: str, targets: set[UUID], *, is_strict: bool) -> Reached:
    engine = get_engine(using)

    def step() -> Reached:
        parents = list(Job.objects.using(using).filter(pk__in=targets).values_list("parent_id", flat=True))
        reach = reach_of_failure(engine, parents)
        subtree = engine.subtree_ids(targets)
        work = Work(engine, engine.lock_jobs(subtree | reach.ids), reach.whole)
        top = require(work.rows, targets if is_strict else targets & work.rows.keys())
        cancelled, idle = _cancel_within(work, top)
        if is_strict and idle:
            raise InvalidJobState(f"job {idle[0].pk} is {idle[0].state} and nothing below it is unfinished")
        children_ended(work, [job for job in top if job.pk in cancelled and job.parent_id not in subtree])
        work.save()
        return Reached({job.pk for job in top} - {job.pk for job in idle}, cancelled)

    return engine.transact(step)


def _cancel_within(work: Work, top: list[Job]) -> tuple[set[UUID], list[Job]]:
    """What is cancelled, and those of `top` at and below which nothing was unfinished."""
    children = work.children()
    cancelled: set[UUID] = set()
    seen: set[UUID] = set()
    idle: list[Job] = []
    for target in reversed(top):  # parents first: what they take along isn't looked at again
        found = len(cancelled)
        stack = [target]
        while stack:
            job = stack.pop()
            if job.pk in seen:
                continue
            seen.add(job.pk)
            stack.extend(children.get(job.pk, ()))
            if job.state in UNFINISHED:
                moves.cancel(work, job)
                cancelled.add(job.pk)
            elif job.pending_children:
                work.set(job, pending_children=0)  # all below is cancelled
        if len(cancelled) == found and target.pk not in cancelled:
            idle.append(target)
    return cancelled, idle
