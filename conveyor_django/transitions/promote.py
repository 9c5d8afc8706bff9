"""Delayed jobs become waiting: when their time has come, or when somebody says so."""

from collections.abc import Collection, Iterable
from datetime import datetime
from functools import partial
from uuid import UUID

from conveyor_django.engines import Engine, get_engine
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.models import Job
from conveyor_django.states import JobState

from .locking import Reached, require
from .moves import make_ready
from .work import Work

_BATCH = 500


def promote(using: str, ids: Iterable[UUID]) -> None:
    """Raises `InvalidJobState` for a job that is not delayed."""
    engine = get_engine(using)
    targets = set(ids)

    def step() -> None:
        work = Work(engine, engine.lock_jobs(targets))
        for job in require(work.rows, targets):
            if job.state != JobState.DELAYED:
                raise InvalidJobState(f"job {job.pk} is {job.state}; only a delayed job can be promoted")
            make_ready(work, job)
        work.save()

    engine.transact(step)


def promote_some(using: str, ids: Iterable[UUID]) -> Reached:
    """Leaves alone jobs that are not delayed."""
    engine = get_engine(using)
    targets = set(ids)
    ready = engine.transact(partial(_promote_delayed, engine, targets))
    return Reached(ready, ready)


def promote_queue(using: str, queue_name: str) -> int:
    """Promote all delayed jobs of a queue; returns how many."""
    engine = get_engine(using)
    ids = Job.objects.using(using).in_queue(queue_name).delayed().values_list("pk", flat=True)
    return sum(len(engine.transact(partial(_promote_delayed, engine, chunk))) for chunk in engine.chunks(ids))


def next_due(using: str) -> float | None:
    """Seconds until the next delayed job is due, not above 0 for one that is; None without one."""
    return get_engine(using).next_due()


def promote_due(using: str) -> float | None:
    """Promote what is due, in any queue; returns the seconds until the next delayed job is, None without one.

    0 after a batch: who has other things to do does them before the next.
    """
    engine = get_engine(using)
    delayed = Job.objects.using(using).delayed().order_by("run_at")
    while True:
        next_due = delayed.values_list("run_at", flat=True).first()
        if next_due is None:
            return None
        if next_due > (now := engine.now()):
            return (next_due - now).total_seconds()
        due = list(delayed.filter(run_at__lte=now).values_list("pk", flat=True)[:_BATCH])
        if not engine.transact(partial(_promote_delayed, engine, due, until=now)):
            return 0.05  # others are at it
        if len(due) == _BATCH:
            return 0.0


def _promote_delayed(engine: Engine, ids: Collection[UUID], until: datetime | None = None) -> set[UUID]:
    work = Work(engine, engine.lock_jobs(ids, skip_locked=until is not None))
    ready = [
        job
        for job in work.rows.values()
        if job.state == JobState.DELAYED and (until is None or (job.run_at and job.run_at <= until))
    ]
    for job in ready:
        make_ready(work, job)
    work.save()
    return {job.pk for job in ready}
