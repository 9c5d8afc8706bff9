"""Policy `remove`: a parent goes with what was not started under it; what ran or runs survives."""

from uuid import UUID

from conveyor_django.models import Job
from conveyor_django.states import FINISHED, QUEUED

from .work import Work


def remove_unrun(work: Work, top: Job) -> None:
    """Delete `top` and its queued descendants; an active or finished one whose parent goes becomes a root."""
    for job in _top_down(work, top):
        if job.pk in work.removed:
            continue  # by a failure of the same batch, and counted off then
        parent = work.rows[job.parent_id] if job.parent_id else None
        if job is top or job.state in QUEUED:
            if parent is not None and job is not top and parent.pk not in work.removed:
                work.count_off(parent)
            work.remove(job)
        elif parent is None or parent.pk in work.removed:
            make_root(work, job)
        elif (job.root_id, job.depth) != (parent.root_id, parent.depth + 1):
            work.set(job, root_id=parent.root_id, depth=parent.depth + 1)


def _top_down(work: Work, top: Job) -> list[Job]:
    children = work.children()
    order: list[Job] = []
    stack: list[Job] = [top]
    seen: set[UUID] = set()
    while stack:
        job = stack.pop()
        if job.pk not in seen:
            seen.add(job.pk)
            order.append(job)
            stack.extend(children.get(job.pk, ()))
    return order


def make_root(work: Work, job: Job) -> None:
    work.set(job, parent_id=None, root_id=job.pk, depth=0)
    if job.state in FINISHED and (job.remove_on_complete or job.remove_on_fail):
        work.set(job, removal_due=True)  # nobody above reads it any more
