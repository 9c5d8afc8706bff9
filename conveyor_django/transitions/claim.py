"""Claiming: waiting jobs become active, leased to one worker."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from uuid import UUID

from django.db import transaction

from conveyor_django import signals
from conveyor_django.engines import Engine, get_engine
from conveyor_django.models import Job, QueueState, WorkerProcess
from conveyor_django.states import JobState

from .news import News


def claim(
    using: str,
    worker: UUID,
    queue_names: Sequence[str] | None,
    limit: int,
    *,
    served: Mapping[str, int] = MappingProxyType({}),
    leased: bool = True,
    taken: Callable[[list[Job]], None] | None = None,
) -> list[Job]:
    """Up to `limit` jobs in the order in which to start them, shared fairly among the queues.

    `taken` is called with them right after the commit, and not at all when its reply was lost.
    `queue_names` None means every queue; the one with the lowest number in `served` is asked first. A worker
    that was declared dead gets none; `leased` False is for one without a heartbeat (tests).
    """
    engine = get_engine(using)

    def step() -> list[Job]:
        if leased and not WorkerProcess.objects.using(using).filter(pk=worker, dead_at=None).exists():
            return []
        names = unpaused(using, engine.waiting_queue_names() if queue_names is None else queue_names)
        names.sort(key=lambda name: served.get(name, 0))
        jobs = engine.waiting_jobs(names, limit) if names else []
        if jobs:
            _lease(engine, jobs, worker)
            if taken is not None:
                transaction.on_commit(partial(taken, jobs), using=using)
            news = News(engine)
            news.tell(signals.job_started, jobs)
            news.send_after_commit()
        return jobs

    return engine.transact(step)


def unpaused(using: str, queue_names: Sequence[str]) -> list[str]:
    paused = QueueState.objects.using(using).filter(queue_name__in=queue_names, paused_at__isnull=False)
    closed = set(paused.values_list("queue_name", flat=True))
    return [name for name in queue_names if name not in closed]


def _lease(engine: Engine, jobs: list[Job], worker: UUID) -> None:
    now = engine.now()
    engine.update_jobs(
        (job.pk for job in jobs),
        {"state": JobState.ACTIVE, "worker": worker, "started_at": now},
        add={"epoch": 1, "attempts_made": 1},
    )
    for job in jobs:
        job.state, job.worker, job.started_at = JobState.ACTIVE, worker, now
        job.epoch += 1
        job.attempts_made += 1
