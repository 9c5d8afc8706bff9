"""How the end of a job reaches the jobs above it, up to the root, in the transaction that ended it."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from conveyor_django.engines import Engine
from conveyor_django.exceptions import TryAgain
from conveyor_django.models import Job
from conveyor_django.states import UNSUCCESSFUL, ChildFailurePolicy, JobState

from .detach import remove_unrun
from .moves import fail, release_if_done
from .work import Work


class Reach(NamedTuple):
    ids: set[UUID]  # every job that a failure could touch
    whole: set[UUID]  # those of them that it could remove: their subtrees are among `ids`


def reach_of_failure(engine: Engine, parents: Iterable[UUID | None]) -> Reach:
    """What has to be locked before a child of `parents` fails, going by what states and policies say now."""
    climbed = engine.failing_ancestors(parent for parent in parents if parent)
    may_wait = (JobState.WAITING_CHILDREN, JobState.ACTIVE)  # an active one's attempt may end in this transaction too
    doomed = {a.id for a in climbed if a.state in may_wait and a.policy == ChildFailurePolicy.REMOVE}
    above = {a.parent_id for a in climbed if a.id in doomed and a.parent_id}
    below = engine.subtree_ids(doomed) if doomed else set()
    return Reach({a.id for a in climbed} | above | below, doomed)


def children_ended(work: Work, ended: Iterable[Job]) -> None:
    """Count each ended job off at its parent, which is released, fails too, or is removed, by its policy."""
    queue = deque(ended)
    while queue:
        child = queue.popleft()
        parent = work.parent_of(child)
        if parent is None:
            continue
        work.count_off(parent)
        if child.state in UNSUCCESSFUL and parent.state == JobState.WAITING_CHILDREN:
            if parent.fail_parent_on_child_failure == ChildFailurePolicy.FAIL:
                fail(work, parent, through_child(child), through=child)
                queue.append(parent)
                continue
            if parent.fail_parent_on_child_failure == ChildFailurePolicy.REMOVE:
                remove_parent(work, parent)
                continue
        release_if_done(work, parent)


def through_child(child: Job) -> str:
    """The reason of a parent that failed through this child."""
    verb = "was cancelled" if child.state == JobState.CANCELLED else f"failed: {child.failed_reason}"
    return f"child {child.pk} {verb}"


def remove_parent(work: Work, parent: Job) -> None:
    if parent.pk not in work.whole:
        raise TryAgain(f"subtree of {parent.pk}")
    grandparent = work.parent_of(parent)
    remove_unrun(work, parent)
    if grandparent is not None:  # for it the removed job is resolved, with neither value nor failure
        work.count_off(grandparent)
        release_if_done(work, grandparent)
