"""Claiming: waiting jobs become active, leased to one worker."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from conveyor_django.engines import Engine, Place, Taking
from conveyor_django.models import Job, QueueState, WorkerProcess
from conveyor_django.states import JobState

_COUNTS = {"epoch": 1, "attempts_made": 1}


class Claiming(NamedTuple):
    """What a worker has room for. `queue_names` None means every queue."""

    queue_names: Sequence[str] | None
    limit: int
    rooms: Mapping[str, int] = MappingProxyType({})  # how many jobs of which queues that probably have some
    served: Mapping[str, int] = MappingProxyType({})  # the queue with the lowest number is asked first
    after: Mapping[str, Place] = MappingProxyType({})  # in queues of `rooms`: what waits before is left for later
    leased: bool = True  # False: the worker has no heartbeat (tests)


def claim_in(engine: Engine, worker: UUID, claiming: Claiming) -> list[Job]:
    """Jobs in the order in which to start them, shared fairly among the queues; in the caller's transaction.

    A worker that was declared dead gets none.
    """
    using, names = engine.using, claiming.queue_names
    if claiming.leased and not WorkerProcess.objects.using(using).filter(pk=worker, dead_at=None).exists():
        return []
    names = unpaused(using, engine.waiting_queue_names() if names is None else names)
    names.sort(key=lambda name: claiming.served.get(name, 0))
    jobs = engine.waiting_jobs(names, claiming.limit) if names else []
    if jobs:
        _lease(engine, jobs, worker)
    return jobs


def lease_of(worker: UUID, claiming: Claiming) -> Taking:
    values = {"state": JobState.ACTIVE.value, "worker": worker}
    return Taking(worker, claiming.rooms, values, _COUNTS, ["started_at"], claiming.after)


def unpaused(using: str, queue_names: Sequence[str]) -> list[str]:
    paused = QueueState.objects.using(using).filter(queue_name__in=queue_names, paused_at__isnull=False)
    closed = set(paused.values_list("queue_name", flat=True))
    return [name for name in queue_names if name not in closed]


def _lease(engine: Engine, jobs: list[Job], worker: UUID) -> None:
    now = engine.now()
    engine.update_jobs(
        (job.pk for job in jobs),
        {"state": JobState.ACTIVE, "worker": worker, "started_at": now},
        add=_COUNTS,
    )
    for job in jobs:
        job.state, job.worker, job.started_at = JobState.ACTIVE, worker, now
        job.epoch += 1
        job.attempts_made += 1
