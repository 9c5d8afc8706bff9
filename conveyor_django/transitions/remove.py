"""Removing: jobs go with their whole subtrees; to the parent above they count as resolved."""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import accumulate
from uuid import UUID

from django.db.models import Count

from conveyor_django.engines import Engine, get_engine
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.models import Job
from conveyor_django.querysets import JobQuerySet
from conveyor_django.states import FINISHED, UNFINISHED, JobState

from .locking import Reached, parent_ids, require
from .moves import release_if_done
from .work import Work

ACTIVE = frozenset({JobState.ACTIVE})
_CHUNK = 500
_MOST_ROWS = 5_000  # of whole flows in one transaction, where each has fewer


def remove(using: str, ids: Iterable[UUID], *, force: bool = False, must_exist: bool = True) -> int:
    """Delete these jobs and their subtrees in one transaction; returns how many rows went.

    Raises `InvalidJobState` while one of them is active, unless `force`.
    """
    engine = get_engine(using)
    targets = set(ids)

    def step() -> int:
        work = _lock(engine, targets)
        top = require(work.rows, targets if must_exist else targets & work.rows.keys())
        if not force and (holders := _holding(work, ACTIVE) & targets):
            raise InvalidJobState(f"job {min(holders)} can't be removed: it, or a job below it, is active")
        return _take(work, top)

    return engine.transact(step)


def remove_some(using: str, ids: Iterable[UUID]) -> Reached:
    """Leaves alone jobs that are active, or above one that is."""
    engine = get_engine(using)
    targets = set(ids)

    def step() -> Reached:
        work = _lock(engine, targets)
        top = require(work.rows, targets & work.rows.keys() - _holding(work, ACTIVE))
        _take(work, top)
        return Reached({job.pk for job in top}, work.removed)

    return engine.transact(step)


def remove_where(
    using: str,
    candidates: Callable[[], JobQuerySet],
    *,
    sparing: frozenset[JobState] = ACTIVE,
    finished_parent: bool = False,
    chunk: int = _CHUNK,
    limit: int | None = None,
    are_roots: bool = False,
) -> int:
    """Remove the jobs that `candidates` finds, a chunk a transaction; returns how many rows went.

    Ends after the chunk that reached `limit`. Left alone is a job whose subtree holds one in a state of `sparing`,
    and with `finished_parent` one whose parent is unfinished. Of roots no more make a chunk than have some thousand
    rows below them.
    """
    engine = get_engine(using)
    taken = 0
    ids = list(candidates().order_by("-pk").values_list("pk", flat=True)[:chunk])  # parents before children
    while ids and (limit is None or taken < limit):
        if are_roots:
            ids = _as_many_as_fit(using, ids)
        taken += engine.transact(partial(_remove_some, engine, candidates, ids, sparing, finished_parent))
        ids = list(candidates().filter(pk__lt=ids[-1]).order_by("-pk").values_list("pk", flat=True)[:chunk])
    return taken


def _as_many_as_fit(using: str, roots: list[UUID]) -> list[UUID]:
    """At least one."""
    jobs = Job.objects.using(using).filter(root__in=roots).order_by()
    sizes = dict(jobs.values_list("root").annotate(Count("pk")))
    rows = accumulate(sizes.get(pk, 0) for pk in roots)
    return roots[: max(1, sum(number <= _MOST_ROWS for number in rows))]


def _remove_some(
    engine: Engine,
    candidates: Callable[[], JobQuerySet],
    ids: list[UUID],
    sparing: frozenset[JobState],
    finished_parent: bool,  # noqa: FBT001
) -> int:
    work = _lock(engine, ids)
    still = set(candidates().filter(pk__in=ids).values_list("pk", flat=True))  # under the locks
    spared = _holding(work, sparing)
    top = [work.rows[pk] for pk in ids if pk in still and pk in work.rows and pk not in spared]
    if finished_parent:
        top = [job for job in top if (parent := work.parent_of(job)) is None or parent.state in FINISHED]
    return _take(work, top)


def _lock(engine: Engine, ids: Iterable[UUID]) -> Work:
    return Work(engine, engine.lock_jobs(engine.subtree_ids(ids) | parent_ids(engine.using, ids)))


def _holding(work: Work, states: frozenset[JobState]) -> set[UUID]:
    """Locked jobs in these states, and the locked ones above them."""
    holders: set[UUID] = set()
    for job in work.rows.values():
        above: Job | None = job if job.state in states else None
        while above is not None and above.pk not in holders:
            holders.add(above.pk)
            above = work.rows.get(above.parent_id) if above.parent_id else None
    return holders


def _take(work: Work, top: list[Job]) -> int:
    children = work.children()
    stack = list(top)
    while stack:
        job = stack.pop()
        if job.pk not in work.removed:
            work.remove(job)
            stack.extend(children.get(job.pk, ()))
    for job in top:
        parent = work.parent_of(job)
        if parent is not None and parent.pk not in work.removed and job.state in UNFINISHED:
            work.count_off(parent)
            release_if_done(work, parent)
    work.save()
    return len(work.removed)
