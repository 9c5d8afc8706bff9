"""Removing: jobs go with their whole subtrees; to the parent above they count as resolved."""

from collections.abc import Callable, Iterable
from functools import partial
from uuid import UUID

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
) -> int:
    """Remove the jobs that `candidates` finds, a chunk a transaction; returns how many rows went.

    Ends after the chunk that reached `limit`. Left alone is a job whose subtree holds one in a state of `sparing`,
    and with `finished_parent` one whose parent is unfinished.
    """
    engine = get_engine(using)
    taken = 0
    ids = list(candidates().order_by("-pk").values_list("pk", flat=True)[:chunk])  # parents before children
    while ids and (limit is None or taken < limit):
        taken += engine.transact(partial(_remove_some, engine, candidates, ids, sparing, finished_parent))
        ids = list(candidates().filter(pk__lt=ids[-1]).order_by("-pk").values_list("pk", flat=True)[:chunk])
    return taken


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
