"""Adding: whole trees in one transaction, children first, all or nothing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from conveyor_django import signals
from conveyor_django.engines import Engine, get_engine
from conveyor_django.exceptions import DuplicateJob
from conveyor_django.models import Job, NewJob
from conveyor_django.states import JobState

from .news import News

Tree = Sequence[NewJob]  # children before parents, the root last
_TRIES = 10
_PAGE = 400


def enqueue(using: str, trees: Sequence[Tree]) -> dict[UUID, Job]:
    """Store new trees; their `run_at` may hold an absolute time.

    Returns the jobs that stood in the way of whole trees: by the id of a root whose job_id was taken, the
    job that has it; such a tree isn't stored. Raises `DuplicateJob` when a job_id below a root is taken.
    """
    engine = get_engine(using)
    jobs = [job for tree in trees for job in tree]
    if engine.adds_at_once(jobs) and _at_once(engine, jobs):
        return {}
    return engine.transact(lambda: _enqueue(engine, trees, jobs))


def _at_once(engine: Engine, jobs: Tree) -> bool:
    """One statement; False when the one job's job_id is taken."""
    if not engine.connection.in_atomic_block:
        return engine.at_once(lambda: _add(engine, jobs))
    with transaction.mark_for_rollback_on_error(engine.using):
        return _add(engine, jobs)


def _add(engine: Engine, jobs: Tree) -> bool:
    timed = any((job.run_at or job.delay) and not job.pending_children for job in jobs)
    now = engine.now() if timed else engine.time_to_add(len(jobs))
    for job in jobs:
        _enter(job, now)
    stored = engine.insert_jobs(jobs, ignore_conflicts=jobs[0].job_id is not None, wake=_startable_in(jobs))
    if stored:
        _announce(engine, jobs)
    return bool(stored)


def _enqueue(engine: Engine, trees: Sequence[Tree], jobs: Tree) -> dict[UUID, Job]:
    now = engine.now()
    for job in jobs:
        _enter(job, now)
    keyed = sorted((tree[-1] for tree in trees if tree[-1].job_id is not None), key=_key)
    taken = _insert_or_get(engine, keyed) if keyed else {}
    new = [tree for tree in trees if tree[-1].pk not in taken]
    # a root with a job_id is stored by now
    _insert(engine, [job for tree in new for job in (tree if tree[-1].job_id is None else tree[:-1])])
    _announce(engine, [job for tree in new for job in tree])
    return taken


def _key(job: NewJob | Job) -> tuple[str, str]:
    return job.queue_name, job.job_id or ""


def _enter(job: NewJob, now: datetime | None) -> None:
    """`now` may be None for jobs without a time to wait for."""
    job.created_at = now
    if job.pending_children:
        job.state = JobState.WAITING_CHILDREN  # its delay counts from its release
        return
    if now and job.run_at is None and job.delay:
        job.run_at = now + timedelta(seconds=job.delay)
    job.state = JobState.DELAYED if now and job.run_at and job.run_at > now else JobState.WAITING


def _insert_or_get(engine: Engine, roots: Sequence[NewJob]) -> dict[UUID, Job]:
    """Insert each of these, in one order against deadlocks, or nothing where its job_id is taken.

    Returns the jobs that have the taken ones, by the ids of those that were to be added.
    """
    taken: dict[UUID, Job] = {}
    left = list(roots)
    for _ in range(_TRIES):
        if engine.insert_jobs(left, ignore_conflicts=True) == len(left):
            return taken
        stored = _stored(engine, left)
        missing = [job for job in left if job.pk not in stored]
        existing = _existing(engine, missing)
        taken.update((job.pk, existing[_key(job)]) for job in missing if _key(job) in existing)
        left = [job for job in missing if _key(job) not in existing]  # removed in between
        if not left:
            return taken
    raise DuplicateJob(f"job_id {left[0].job_id!r} of queue {left[0].queue_name!r} comes and goes")


def _stored(engine: Engine, jobs: Sequence[NewJob]) -> set[UUID]:
    stored: set[UUID] = set()
    for chunk in engine.chunks(job.pk for job in jobs):
        stored.update(Job.objects.using(engine.using).filter(pk__in=chunk).values_list("pk", flat=True))
    return stored


def _existing(engine: Engine, jobs: Sequence[NewJob]) -> dict[tuple[str, str], Job]:
    found: dict[tuple[str, str], Job] = {}
    for start in range(0, len(jobs), _PAGE):
        page = jobs[start : start + _PAGE]
        rows = Job.objects.using(engine.using).in_queue(*{job.queue_name for job in page})
        found.update((_key(job), job) for job in rows.with_job_id(*(job.job_id or "" for job in page)))
    return found


def _insert(engine: Engine, jobs: Sequence[NewJob]) -> None:
    keyed = [job for job in jobs if job.job_id is not None]
    if not jobs or engine.insert_jobs(jobs, ignore_conflicts=bool(keyed)) == len(jobs):
        return
    stored = _stored(engine, keyed)
    for job in keyed:
        if job.pk not in stored:
            raise DuplicateJob(f"job_id {job.job_id!r} already exists in queue {job.queue_name!r}")


def _announce(engine: Engine, jobs: Sequence[NewJob]) -> None:
    news = News(engine)
    news.tell(signals.job_added, jobs)
    for queue_name in _startable_in(jobs):
        news.wake(queue_name)
    news.send_after_commit()


def _startable_in(jobs: Sequence[NewJob]) -> set[str]:
    """The queues of jobs that wait for nothing but time: workers set a clock by delayed ones."""
    startable = {job.template for job in jobs if job.state is not JobState.WAITING_CHILDREN}
    return {template.columns["queue_name"] for template in startable}
