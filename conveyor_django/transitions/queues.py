"""What is done to a queue as a whole."""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import F

from conveyor_django.engines import get_engine
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.models import Job, QueueState
from conveyor_django.querysets import JobQuerySet
from conveyor_django.states import FINISHED, QUEUED, UNFINISHED, JobState

from .news import News
from .remove import remove, remove_where
from .retry import retry


def pause(using: str, queue_name: str, by: str = "") -> None:
    """Workers take no more jobs from the queue; those that run, run on. `by` is shown to who wonders why."""
    engine = get_engine(using)

    def step() -> None:
        pause = {"paused_at": engine.now(), "paused_by": by}
        QueueState.objects.using(using).update_or_create(queue_name=queue_name, defaults=pause)

    engine.transact(step)


def resume(using: str, queue_name: str) -> None:
    engine = get_engine(using)

    def step() -> None:
        QueueState.objects.using(using).filter(queue_name=queue_name).update(paused_at=None, paused_by="")
        news = News(engine)
        news.wake(queue_name)
        news.send_after_commit()

    engine.transact(step)


def is_paused(using: str, queue_name: str) -> bool:
    return QueueState.objects.using(using).filter(queue_name=queue_name, paused_at__isnull=False).exists()


def drain(using: str, queue_name: str, limit: int | None = None) -> int:
    """Remove what waits: waiting, delayed and waiting-children jobs with their subtrees; about `limit` of them."""
    return remove_where(using, lambda: _jobs(using, queue_name, QUEUED), limit=limit)


def clean(using: str, queue_name: str, state: JobState, older_than: float, limit: int | None = None) -> int:
    """Remove jobs in one state that finished (or were added, while unfinished) over `older_than` seconds ago; about
    `limit` of them."""
    if state == JobState.ACTIVE:
        raise InvalidJobState("active jobs can't be cleaned: cancel them")
    before = get_engine(using).now() - timedelta(seconds=older_than)
    age = "finished_at" if state in FINISHED else "created_at"

    def candidates() -> JobQuerySet:
        return _jobs(using, queue_name, [state]).filter(**{f"{age}__lte": before})

    return remove_where(using, candidates, finished_parent=True, limit=limit)


def obliterate(using: str, queue_name: str, *, force: bool = False) -> int:
    """Remove all jobs of the queue and its pause; raises `InvalidJobState` while one is active, unless `force`."""
    engine = get_engine(using)

    def step() -> int:
        ids = set(Job.objects.using(using).in_queue(queue_name).values_list("pk", flat=True))
        taken = remove(using, ids, force=force, must_exist=False) if ids else 0
        QueueState.objects.using(using).filter(queue_name=queue_name).delete()
        return taken

    return engine.transact(step)


def retry_queue(using: str, queue_name: str, state: JobState) -> int:
    """Retry the queue's jobs in one finished state; returns how many of them became unfinished."""
    if state not in FINISHED:
        raise InvalidJobState(f"{state} jobs can't be retried, only finished ones")
    taken = 0
    jobs = _jobs(using, queue_name, [state]).order_by("-pk").values_list("pk", flat=True)
    ids = list(jobs[:500])  # parents first: they take their children with them
    while ids:
        reopened = retry(using, ids, only_finished=True)
        taken += list(reopened.values()).count((queue_name, state))
        ids = list(jobs.filter(pk__lt=ids[-1])[:500])
    return taken


def prune(using: str, older_than: float, queue_name: str | None = None) -> int:
    """Remove whole finished flows whose root finished over `older_than` seconds ago; returns how many rows went."""
    before = get_engine(using).now() - timedelta(seconds=older_than)

    def candidates() -> JobQuerySet:
        roots = Job.objects.using(using).finished().filter(pk=F("root_id"), parent=None, finished_at__lte=before)
        return roots.in_queue(queue_name) if queue_name else roots

    return remove_where(using, candidates, sparing=UNFINISHED, chunk=100, are_roots=True)


def _jobs(using: str, queue_name: str, states: Iterable[JobState]) -> JobQuerySet:
    return Job.objects.using(using).in_queue(queue_name).in_state(*states)
