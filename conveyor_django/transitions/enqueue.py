"""Adding: whole trees in one transaction, children first, all or nothing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from conveyor_django import signals
from conveyor_django.engines import Engine, get_engine
from conveyor_django.exceptions import DuplicateJob
from conveyor_django.models import Job
from conveyor_django.states import JobState

from .news import News

Tree = Sequence[Job]  # children before parents, the root last
_TRIES = 10


def enqueue(using: str, trees: Sequence[Tree]) -> dict[UUID, Job]:
    """Store new trees; their `run_at` may hold an absolute time.

    Returns the jobs that stood in the way of whole trees: by the id of a root whose job_id was taken, the
    job that has it; such a tree isn't stored. Raises `DuplicateJob` when a job_id below a root is taken.
    """
    engine = get_engine(using)
    return engine.transact(lambda: _enqueue(engine, trees))


def _enqueue(engine: Engine, trees: Sequence[Tree]) -> dict[UUID, Job]:
    now = engine.now()
    taken: dict[UUID, Job] = {}
    roots: list[Job] = []
    jobs: list[Job] = []
    for tree in trees:
        for job in tree:
            _enter(job, now)
    for tree in sorted(trees, key=_key_of_root):  # unique keys in one order, against deadlocks
        root = tree[-1]
        if root.job_id is None:
            jobs.extend(tree)
        elif existing := _insert_or_get(engine, root):
            taken[root.pk] = existing
        else:
            roots.append(root)
            jobs.extend(tree[:-1])
    _insert(engine, jobs)
    _announce(engine, [*jobs, *roots])
    return taken


def _key_of_root(tree: Tree) -> tuple[str, str]:
    return tree[-1].queue_name, tree[-1].job_id or ""


def _enter(job: Job, now: datetime) -> None:
    job.created_at = now
    if job.pending_children:
        job.state = JobState.WAITING_CHILDREN  # its delay counts from its release
        return
    if job.run_at is None and job.delay:
        job.run_at = now + timedelta(seconds=job.delay)
    job.state = JobState.DELAYED if job.run_at and job.run_at > now else JobState.WAITING


def _insert_or_get(engine: Engine, root: Job) -> Job | None:
    """Insert the root, or nothing and return the job that has its job_id."""
    stored = Job.objects.using(engine.using)
    for _ in range(_TRIES):
        engine.insert_jobs([root], ignore_conflicts=True)
        if stored.filter(pk=root.pk).exists():
            return None
        if existing := stored.filter(queue_name=root.queue_name, job_id=root.job_id).first():
            return existing  # else it was removed in between
    raise DuplicateJob(f"job_id {root.job_id!r} of queue {root.queue_name!r} comes and goes")


def _insert(engine: Engine, jobs: Sequence[Job]) -> None:
    keyed = [job for job in jobs if job.job_id is not None]
    engine.insert_jobs(jobs, ignore_conflicts=bool(keyed))
    stored: set[UUID] = set()
    for chunk in engine.chunks(job.pk for job in keyed):
        stored.update(Job.objects.using(engine.using).filter(pk__in=chunk).values_list("pk", flat=True))
    for job in keyed:
        if job.pk not in stored:
            raise DuplicateJob(f"job_id {job.job_id!r} already exists in queue {job.queue_name!r}")


def _announce(engine: Engine, jobs: Sequence[Job]) -> None:
    news = News(engine)
    news.tell(signals.job_added, jobs)
    for queue_name in {job.queue_name for job in jobs if job.state == JobState.WAITING}:
        news.wake(queue_name)
    news.send_after_commit()
