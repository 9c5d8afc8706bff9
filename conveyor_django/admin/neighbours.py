"""Where a job stands in its flow: the way down to it, its place among its siblings, and those beside it."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from conveyor_django.models import Job

from .changelist import MAX_COUNT

_HOPS = 6  # nearest ancestors that are named, besides the root


@dataclass(frozen=True)
class Place:
    path: list[Any]  # the root, then the nearest ancestors from the top
    levels_left_out: int  # between those two
    number: int  # among the siblings, in declared order, from 1; 0 for one that can't be counted
    siblings: int  # itself included
    siblings_are_capped: bool
    previous: Any  # the sibling before it
    next: Any


def place_of(job: Job) -> Place:
    """None of a job's neighbours is more than some index entries away, however large the flow."""
    jobs = Job.objects.using(job._state.db)
    if job.parent_id is None:
        return Place([], 0, 0, 0, False, None, None)
    hops = ["__".join(["parent"] * hop) + "_id" for hop in range(1, _HOPS + 1)]
    above = jobs.filter(pk=job.pk).values_list(*hops).first() or ()
    wanted = {job.root_id, *(pk for pk in above if pk)}
    shown = jobs.only("name", "state", "depth", "pending_children", "failed_by", "fail_parent_on_child_failure")
    path = list(shown.filter(pk__in=wanted).order_by("depth"))
    siblings = jobs.filter(parent=job.parent_id).only("name")
    before = siblings.filter(pk__lt=job.pk)
    count, ahead = _bounded(siblings), _bounded(before)
    return Place(
        path,
        job.depth - len(path),
        ahead + 1 if ahead < MAX_COUNT else 0,
        count,
        count >= MAX_COUNT,
        before.order_by("-pk").first(),
        siblings.filter(pk__gt=job.pk).order_by("pk").first(),
    )


def _bounded(jobs: QuerySet[Any]) -> int:
    return jobs.order_by().values("pk")[:MAX_COUNT].count()
