"""The list of jobs on a table of millions: pages by id, bounded looks, no large columns, no query per row."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest
from django.utils.functional import cached_property

from conveyor_django.models import Job
from conveyor_django.querysets import JobQuerySet
from conveyor_django.states import UNFINISHED

from . import keyset, search
from .counts import Number, count_states
from .filters import WITHIN_FLOW, AddedFilter, ConditionFilter, FinishedFilter
from .payload import may_see_payload
from .strip import Strip

MAX_COUNT = 10_000
REASON = 1_000  # characters: through many children, what went wrong comes late


class JobChangeList(ChangeList):
    """Reads nothing before it is asked: the export and the actions want its queryset alone."""

    notes: list[str]  # how far a look went, where it didn't go to the end
    show_admin_actions = True
    show_full_result_count = False
    full_result_count = None
    can_show_all = False

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Without the bounds of the page: "all that match" are not only the older ones."""
        try:
            self.begins = keyset.Cursor.of(request.GET)
        except ValueError as error:
            raise IncorrectLookupParameters from error
        for name in (keyset.BEFORE, keyset.AFTER):
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        jobs: Any = super().get_queryset(request, exclude_parameters)
        self.has_filters = False  # they stand above the list
        is_indexed = is_search_indexed(request, self.query, self.root_queryset.db)
        searched = search.note(self.query, may_see_data=may_see_payload(request), is_indexed=is_indexed)
        filtered = [spec.note() for spec in self.filter_specs if isinstance(spec, FinishedFilter)]
        self.notes = [note for note in (searched, *filtered) if note]
        return with_reason(jobs)

    def get_results(self, request: HttpRequest) -> None:
        self.strip = Strip(self)

    @cached_property
    def page(self) -> keyset.Page:
        page = keyset.read(self.queryset, self.begins, self.list_per_page, through=self._through)
        _name_ancestors(page.rows)
        return page

    @property
    def result_list(self) -> list[Any]:
        return self.page.rows

    @property
    def multi_page(self) -> bool:  # type: ignore[override]
        return bool(self.page.newer or self.page.older)

    @cached_property
    def number(self) -> Number:
        """Of jobs that match."""
        rows = len(self.result_list)
        if not self.multi_page:
            return Number(rows, more=False)
        if self.counts is None:
            found = self.queryset.order_by().values("pk")[:MAX_COUNT].count()
            return Number(found, found >= MAX_COUNT)
        counted = self.counts.get(self.state, Number(0, more=True))
        least = rows + 1 if self.page.older and not self.page.stopped else rows
        return counted if counted.value >= least else Number(least, more=True)

    @property
    def result_count(self) -> int:  # type: ignore[override]
        return self.number.value

    # What the strip above the list counts

    @property
    def state(self) -> str:
        return str(self.params.get("state__exact", ""))

    @cached_property
    def conditions(self) -> dict[str, Q | None]:
        """What each filter in use asks of a row, but for the state; None for what is more than a condition."""
        specs = [spec for spec in self.filter_specs if isinstance(spec, ConditionFilter)]
        found: dict[str, Q | None] = {
            str(spec.parameter_name): condition for spec in specs if (condition := spec.condition()) is not None
        }
        found |= {name: Q(**{name: self.params[name]}) for name in WITHIN_FLOW if name in self.params}
        if self.query.strip():
            found["q"] = search.condition(self.query, self.root_queryset.db)
        return found

    @cached_property
    def counts(self) -> dict[str, Number] | None:
        """By state; None where a search is more than a condition."""
        if None in self.conditions.values():
            return None
        indexed = (*WITHIN_FLOW, AddedFilter.parameter_name)
        flow = [name for name in WITHIN_FLOW if name in self.conditions]
        within, where = Q(), Q()
        for name, condition in self.conditions.items():
            if name in indexed and (name in flow or not flow):
                within &= condition or Q()
            else:
                where &= condition or Q()
        values = {name: self.params.get(name) for name in (*self.conditions, "level")}
        return count_states(self.root_queryset.db, within, where, (values, sorted(self.conditions)), is_flow=bool(flow))

    @property
    def _through(self) -> QuerySet[Any] | None:
        """An index finds the jobs of a flow, one by its id, and the unfinished ones while they are few."""
        if any(name in self.params for name in WITHIN_FLOW) or self.conditions.get("q", Q()) is None:
            return None
        if self.state in UNFINISHED and self.counts and not self.counts[self.state].more:
            return None
        return Job.objects.using(self.root_queryset.db)

    def without(self, *names: str) -> QuerySet[Any] | None:
        """What a bounded look finds if these filters are dropped; None if it can't know."""
        kept = [condition for name, condition in self.conditions.items() if name not in names]
        if None in kept:
            return None
        if self.state and "state__exact" not in names:
            kept.append(Q(state=self.state))
        jobs: QuerySet[Any] = self.root_queryset.filter(*[condition for condition in kept if condition])
        all_jobs = Job.objects.using(jobs.db).order_by("-pk").values_list("pk", flat=True)
        edge: list[UUID] = list(all_jobs[keyset.LOOK - 1 : keyset.LOOK])
        return jobs.filter(pk__gte=edge[0]) if edge else jobs


def is_search_indexed(request: HttpRequest, term: str, using: str) -> bool:
    """Of a search in data: whether an index finds the jobs that the filters leave.

    It does find those of a flow, and the unfinished ones while they are few.
    """
    if not search.is_in_data(term):
        return False
    if any(name in request.GET for name in WITHIN_FLOW):
        return True
    state = request.GET.get("state__exact", "")
    in_state = Job.objects.using(using).filter(state=state).order_by()
    return state in UNFINISHED and in_state[:MAX_COUNT].count() < MAX_COUNT


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
