"""Jobs of dead workers come back. Every worker sweeps, again and again; there is no leader."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Exists, OuterRef

from conveyor_django import signals
from conveyor_django.engines import get_engine
from conveyor_django.models import Job, WorkerProcess
from conveyor_django.states import FINISHED

from .climb import children_ended, reach_of_failure
from .finish import holds_lease
from .moves import fail, make_ready
from .work import Work

_BATCH = 200


def declare_dead(using: str, *, by: UUID | None = None) -> int:
    """Mark workers whose lease ran out; the sweeper (`by`) leaves its own lease alone."""
    now = get_engine(using).now()
    late = WorkerProcess.objects.using(using).filter(dead_at=None, expires_at__lt=now)
    rows = WorkerProcess.objects.using(using).filter(dead_at=None)
    # by primary key and not by `expires_at`, through whose index it would deadlock with heartbeats
    seen = (late.exclude(pk=by) if by else late).values_list("pk", "heartbeat_at")
    return sum(rows.filter(pk=pk, heartbeat_at=beat).update(dead_at=now) for pk, beat in seen)


def rescue_stalled(using: str) -> int:
    """Take active jobs from workers that are dead or unknown; returns how many, at most a batch.

    A stall isn't an attempt; a job that stalled `max_stalls` times before fails.
    """
    engine = get_engine(using)

    def step() -> int:
        leases = _orphans(using)
        reach = reach_of_failure(engine, (job.parent_id for job in leases.values() if job.stalls >= job.max_stalls))
        parents = {job.parent_id for job in leases.values() if job.parent_id}
        work = Work(engine, engine.lock_jobs(set(leases) | parents | reach.ids), reach.whole)
        # a worker's death is final, and the fence says that the lease is still the one it had
        stalled = [
            job for pk, old in leases.items() if (job := work.rows.get(pk)) and holds_lease(job, old.worker, old.epoch)
        ]
        for job in stalled:
            _end_stall(work, job)
        work.news.tell(signals.job_stalled, stalled)
        children_ended(work, [job for job in stalled if job.state in FINISHED])
        work.save()
        return len(stalled)

    return engine.transact(step)


def _orphans(using: str) -> dict[UUID, Job]:
    alive = WorkerProcess.objects.using(using).filter(pk=OuterRef("worker"), dead_at=None)
    jobs = Job.objects.using(using).active().lean().filter(~Exists(alive))
    return {job.pk: job for job in jobs.order_by("worker", "pk")[:_BATCH]}  # as the index of active jobs is


def _end_stall(work: Work, job: Job) -> None:
    attempts = job.attempts_made - 1
    if job.stalls >= job.max_stalls:
        work.set(job, stalls=job.stalls + 1, attempts_made=attempts)
        fail(work, job, f"stalled more often than max_stalls ({job.max_stalls}) allows: its worker was lost")
    else:
        make_ready(work, job, worker=None, stalls=job.stalls + 1, attempts_made=attempts)


def give_back(using: str, worker: UUID, leases: Collection[tuple[UUID, int]]) -> int:
    """Return leased jobs, given as `(id, epoch)`, that this worker doesn't run: the reply to its claim was lost."""
    engine = get_engine(using)

    def step() -> int:
        work = Work(engine, engine.lock_jobs(job_id for job_id, _ in leases))
        count = 0
        for job_id, epoch in leases:
            job = work.rows.get(job_id)
            if job is not None and holds_lease(job, worker, epoch):
                make_ready(work, job, worker=None, attempts_made=job.attempts_made - 1)
                count += 1
        work.save()
        return count

    return engine.transact(step)
