"""Changes of an unfinished job that aren't changes of state."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from conveyor_django.engines import get_engine
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.models import Job
from conveyor_django.options import JobOptions
from conveyor_django.states import FINISHED, QUEUED, UNFINISHED, JobState

from .locking import Reached, require
from .work import Work


def change_priority(using: str, ids: Iterable[UUID], priority: int) -> None:
    checked = JobOptions(priority=priority).priority
    _edit(using, ids, lambda work, job: work.set(job, priority=checked), unfinished=True)


def change_priority_some(using: str, ids: Iterable[UUID], priority: int) -> Reached:
    """Leaves alone finished jobs."""
    checked = JobOptions(priority=priority).priority
    engine = get_engine(using)
    targets = set(ids)

    def step() -> Reached:
        work = Work(engine, engine.lock_jobs(targets))
        unfinished = [job for job in work.rows.values() if job.state in UNFINISHED]
        for job in unfinished:
            work.set(job, priority=checked)
        work.save()
        return Reached(changed := {job.pk for job in unfinished}, changed)

    return engine.transact(step)


def change_delay(using: str, ids: Iterable[UUID], seconds: float) -> None:
    """Of a delayed job, counted from now; of one in waiting-children, counted from its release."""

    def change(work: Work, job: Job) -> None:
        if job.state == JobState.DELAYED:
            work.set(job, run_at=work.now + timedelta(seconds=seconds))
            work.news.wake(job.queue_name)  # it may be the next one now
        elif job.state == JobState.WAITING_CHILDREN:
            work.set(job, delay=seconds, run_at=None)
        else:
            raise InvalidJobState(f"job {job.pk} is {job.state}; only one that is delayed or waits has a delay")

    _edit(using, ids, change)


def update_data(using: str, ids: Iterable[UUID], data: Any) -> None:
    _edit(using, ids, lambda work, job: work.set(job, data=data))


def replace_data(using: str, job_id: UUID, data: Any, *, still: Callable[[Any], bool]) -> bool:
    """Of an unfinished job that no worker has, unless `still` says that its data are no longer those that were seen.

    Returns whether it was done; raises `InvalidJobState`.
    """
    engine = get_engine(using)

    def step() -> bool:
        work = Work(engine, engine.lock_jobs([job_id]))
        (job,) = require(work.rows, [job_id])
        if job.state not in QUEUED:
            raise InvalidJobState(f"job {job.pk} is {job.state}; only one that waits can be edited")
        is_as_seen = still(job.data)
        if is_as_seen:
            work.set(job, data=data)
            work.save()
        return is_as_seen

    return engine.transact(step)


def _edit(using: str, ids: Iterable[UUID], change: Callable[[Work, Job], None], *, unfinished: bool = False) -> None:
    engine = get_engine(using)
    targets = set(ids)

    def step() -> None:
        work = Work(engine, engine.lock_jobs(targets))
        for job in require(work.rows, targets):
            if unfinished and job.state in FINISHED:
                raise InvalidJobState(f"job {job.pk} is {job.state}: it has finished")
            change(work, job)
        work.save()

    engine.transact(step)
