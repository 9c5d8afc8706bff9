"""Which jobs of a flow its page shows: a small one whole; of a large one the top and what is around a job."""

from collections import Counter
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from conveyor_django.models import Job
from conveyor_django.states import JobState

from .changelist import MAX_COUNT, with_reason

MAX_ROWS = 200
_AROUND = 40  # of them, in a flow that is larger
_HOPS = 8  # ancestors above a job that isn't among the top ones


@dataclass(frozen=True)
class Flow:
    jobs: dict[UUID, Any]  # a parent before its children, siblings in declared order
    size: int  # counted no further than MAX_COUNT

    @property
    def more(self) -> int:
        return self.size - len(self.jobs)

    @property
    def more_is_capped(self) -> bool:
        return self.size >= MAX_COUNT

    def counts(self) -> list[tuple[JobState, int]]:
        """Of each state, in the order of a job's life; nothing for a flow that isn't shown whole."""
        found = Counter(job.state for job in self.jobs.values()) if not self.more else Counter()
        return [(state, found[state]) for state in JobState if found[state]]

    def path_to(self, job: Job) -> list[Any]:
        """The ancestors that are known, from the top."""
        path = []
        above: Any = self.jobs.get(job.parent_id) if job.parent_id else None
        while above:
            path.append(above)
            above = self.jobs.get(above.parent_id)
        if job.parent_id and (not path or path[-1].pk != job.root_id) and job.root_id in self.jobs:
            path.append(self.jobs[job.root_id])
        return path[::-1]


def flow_of(job: Job) -> Flow:
    """In one query; a large flow takes four more."""
    rows = _rows(job).filter(root=job.root_id)
    top = list(rows.order_by("depth", "pk")[: MAX_ROWS + 1])
    if len(top) <= MAX_ROWS:
        return Flow({node.pk: node for node in top}, len(top))
    shown = {node.pk: node for node in top[: MAX_ROWS - _AROUND]}
    shown.update((node.pk, node) for node in _around(job, rows))
    size = Job.objects.using(job._state.db).filter(root=job.root_id).values("pk")[:MAX_COUNT].count()
    return Flow(shown, size)


def _rows(job: Job) -> QuerySet[Any]:
    return with_reason(Job.objects.using(job._state.db))


def _around(job: Job, rows: QuerySet[Any]) -> list[Any]:
    """The job with the nearest of its ancestors and the first of its children."""
    hops = ["__".join(["parent"] * hop) + "_id" for hop in range(1, _HOPS + 1)]
    above = Job.objects.using(job._state.db).filter(pk=job.pk).values_list(*hops).first() or ()
    path = list(rows.filter(pk__in=[job.pk, *filter(None, above)]).order_by("depth"))
    return path + list(_rows(job).filter(parent=job.pk).order_by("pk")[: _AROUND - len(path)])
