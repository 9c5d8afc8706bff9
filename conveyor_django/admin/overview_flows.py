"""The flows of the overview: the newest that are unfinished, and those in which something failed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef

from conveyor_django.engines import BoundedCount
from conveyor_django.models import Job
from conveyor_django.states import FINISHED, UNFINISHED

from .changelist import MAX_COUNT
from .overview_queues import Samples, read_numbers

MAX_FLOWS = 10
MAX_FAILED_FLOWS = 5
_CANDIDATES = 50


@dataclass(frozen=True)
class FlowRow:
    root: Any
    size: int  # counted no further than MAX_COUNT
    counts: Counter[str]  # by state; empty for a flow that is larger

    @property
    def finished(self) -> int:
        return sum(self.counts[state] for state in FINISHED)

    @property
    def is_capped(self) -> bool:
        return self.size >= MAX_COUNT


@dataclass(frozen=True)
class FailedFlow:
    root: Any
    failures: int


def read_flows(using: str, samples: Samples) -> tuple[list[FlowRow], bool, list[FailedFlow]]:
    """Those in progress, whether there are more, and those with failures; what has no children is no flow."""
    failures = Counter(root for _, _, root in samples.failed)
    inside = {root for _, _, root in samples.parents} | {root for _, pk, root, _ in samples.active if root != pk}
    # a root that is active or delayed may have children that are finished, or none
    alone = {pk for _, pk, root, _ in samples.active if root == pk}
    alone |= {pk for _, pk, root in samples.delayed if root == pk}
    wanted = {*_newest(inside), *_newest(alone), *_newest(failures)}
    children = Job.objects.using(using).filter(parent=OuterRef("pk"))
    roots = list(
        Job.objects.using(using)
        .filter(Exists(children), pk__in=wanted)
        .only("pk", "name", "queue_name", "state", "created_at")
        .order_by("-pk")
    )
    unfinished = [root for root in roots if root.state in UNFINISHED]
    failed = [FailedFlow(root, failures[root.pk]) for root in roots if root.pk in failures]
    return _counted(using, unfinished[:MAX_FLOWS]), len(unfinished) > MAX_FLOWS, failed[:MAX_FAILED_FLOWS]


def _newest(ids: Iterable[UUID]) -> list[UUID]:
    return sorted(ids, reverse=True)[:_CANDIDATES]


def _counted(using: str, roots: list[Any]) -> list[FlowRow]:
    """In two statements: how large each is, then the states of those that can be counted."""
    jobs = Job.objects.using(using).order_by()
    columns = {
        f"size_{number}": BoundedCount(jobs.filter(root=root.pk).values("pk")[:MAX_COUNT])
        for number, root in enumerate(roots)
    }
    row = read_numbers(using, columns)
    sizes = {root.pk: row.get(f"size_{number}") or 0 for number, root in enumerate(roots)}
    counts: dict[UUID, Counter[str]] = {pk: Counter() for pk in sizes}
    small = [pk for pk, size in sizes.items() if size < MAX_COUNT]
    for pk, state, number in jobs.filter(root__in=small).values_list("root_id", "state").annotate(Count("pk")):
        counts[pk][state] = number
    return [FlowRow(root, sizes[root.pk], counts[root.pk]) for root in roots]
