"""The list of jobs on a table of millions: bounded counts, no large columns, no query per row."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest
from django.utils.functional import cached_property

from conveyor_django.models import Job
from conveyor_django.querysets import JobQuerySet

from . import search
from .filters import FinishedFilter
from .payload import may_see_payload

MAX_COUNT = 10_000
REASON = 1_000  # characters: through many children, what went wrong comes late


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # not subscriptable when it runs
    """Counts no further than `MAX_COUNT`: later rows are reached by filters."""

    object_list: Any

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list
        return rows.order_by().values("pk")[:MAX_COUNT].count()

    @property
    def is_capped(self) -> bool:
        return self.count >= MAX_COUNT


class JobChangeList(ChangeList):
    notes: list[str]  # how far a look went, where it didn't go to the end

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        jobs: Any = super().get_queryset(request, exclude_parameters)
        searched = search.note(self.query, may_see_data=may_see_payload(request))
        filtered = [spec.note() for spec in self.filter_specs if isinstance(spec, FinishedFilter)]
        self.notes = [note for note in (searched, *filtered) if note]
        return with_reason(jobs)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not (self.query or self.has_active_filters):
            self.full_result_count = self.result_count  # nothing is narrowed down: no link to show all
        self.result_list = jobs = list(self.result_list)
        _name_ancestors(jobs)


def with_reason(jobs: JobQuerySet) -> QuerySet[Any]:
    """Lean, but for the beginning of the reason."""
    return jobs.lean().annotate(short_reason=Left("failed_reason", REASON))


def _name_ancestors(jobs: Iterable[Any]) -> None:
    """Give each child job the names of its root and its parent, in one query (none for a page of roots)."""
    children = [job for job in jobs if job.parent_id]
    wanted = {pk for job in children for pk in (job.root_id, job.parent_id)}
    names: dict[UUID, str] = {}
    if wanted:
        found = Job.objects.using(children[0]._state.db).filter(pk__in=wanted)
        names = dict(found.values_list("pk", "name"))
    for job in jobs:
        above = dict.fromkeys([job.root_id, job.parent_id]) if job.parent_id else {}
        job.path = [names[pk] for pk in above if pk in names]
        # levels between the two aren't named
        job.path_has_gap = job.depth > 2
