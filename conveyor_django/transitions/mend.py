"""What must not be, mended: looked at again under locks, and set right by the rules that it should have followed."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Count

from conveyor_django.engines import get_engine
from conveyor_django.models import Job
from conveyor_django.states import UNSUCCESSFUL, ChildFailurePolicy, JobState

from .check import Fault, Found, miscount
from .climb import children_ended, reach_of_failure, remove_parent, through_child
from .detach import make_root
from .locking import parent_ids
from .moves import fail, release_if_done
from .rescue import declare_dead, rescue_stalled
from .work import Work


def mend(using: str, found: Found) -> int:
    """Returns how many jobs were set right: not those that turn out to be as they should."""
    if found.fault == Fault.ORPHANED:
        return _rescue(using)
    mend_these = _mend_places if found.fault in (Fault.MISSING_PARENT, Fault.WRONG_PLACE) else _mend_counts
    return sum(mend_these(using, chunk) for chunk in get_engine(using).chunks(found.ids, 200))


def _rescue(using: str) -> int:
    declare_dead(using)
    rescued = 0
    while count := rescue_stalled(using):
        rescued += count
    return rescued


def _mend_counts(using: str, ids: Collection[UUID]) -> int:
    engine = get_engine(using)
    targets = set(ids)

    def step() -> int:
        reach = reach_of_failure(engine, targets)
        work = Work(engine, engine.lock_jobs(targets | reach.ids), reach.whole)
        # all that is locked: a failure that climbs counts on them too
        unfinished = _unfinished_children(work)
        wrong = [j for pk, j in work.rows.items() if miscount(j.state, j.pending_children, unfinished.get(pk, 0))]
        unheard = [job for job in wrong if _recount(work, job, unfinished.get(job.pk, 0))]
        for job in unheard:
            if job.state == JobState.WAITING_CHILDREN and job.pk not in work.removed:
                _let_hear(work, job)
        work.save()
        return len(wrong)

    return engine.transact(step)


def _unfinished_children(work: Work) -> dict[UUID, int]:
    """How many there are of each locked row, if any; its lock keeps it so."""
    counts: dict[UUID, int] = {}
    jobs = Job.objects.using(work.engine.using).unfinished().order_by()
    for chunk in work.engine.chunks(work.rows):
        counts.update(jobs.filter(parent__in=chunk).values_list("parent").annotate(Count("pk")))
    return counts


def _recount(work: Work, job: Job, unfinished: int) -> bool:
    """Whether it waits for a child whose end it didn't hear of."""
    if job.state in (JobState.WAITING, JobState.DELAYED) and unfinished:
        work.move(job, JobState.WAITING_CHILDREN, pending_children=unfinished)  # `run_at` holds at the release
        return False
    unheard = job.state == JobState.WAITING_CHILDREN and unfinished < job.pending_children
    work.set(job, pending_children=unfinished)
    return unheard


def _let_hear(work: Work, parent: Job) -> None:
    """Which child it was can't be told: one that failed decides, as it would have done."""
    children = Job.objects.using(work.engine.using).filter(parent=parent, state__in=UNSUCCESSFUL)
    failed = children.order_by("finished_at", "pk").first()
    if failed is None or parent.fail_parent_on_child_failure == ChildFailurePolicy.IGNORE:
        release_if_done(work, parent)
    elif parent.fail_parent_on_child_failure == ChildFailurePolicy.REMOVE:
        remove_parent(work, parent)
    else:
        fail(work, parent, through_child(failed), through=failed)
        children_ended(work, [parent])


def _mend_places(using: str, ids: Collection[UUID]) -> int:
    engine = get_engine(using)
    targets = set(ids)

    def step() -> int:
        subtree = engine.subtree_ids(targets)
        work = Work(engine, engine.lock_jobs(subtree | parent_ids(using, targets)))
        children = work.children()
        mended: set[UUID] = set()
        seen: set[UUID] = set()
        for top in sorted(targets & work.rows.keys(), reverse=True):  # parents before children
            stack = [work.rows[top]]
            while stack:
                job = stack.pop()
                if job.pk not in seen:
                    seen.add(job.pk)
                    mended.update(_put_right(work, job))
                    stack.extend(children.get(job.pk, ()))
        work.save()
        return len(mended)

    return engine.transact(step)


def _put_right(work: Work, job: Job) -> set[UUID]:
    parent = work.rows.get(job.parent_id) if job.parent_id else None
    if parent is None and job.parent_id:
        make_root(work, job)
        return {job.pk}
    root_id, depth = (parent.root_id, parent.depth + 1) if parent else (job.pk, 0)
    if (job.root_id, job.depth) == (root_id, depth):
        return set()
    work.set(job, root_id=root_id, depth=depth)
    return {job.pk}
