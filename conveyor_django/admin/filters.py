"""The filters of the list of jobs; none of them scans the table for its choices."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from conveyor_django.ids import first_id_at
from conveyor_django.models import Job, QueueState
from conveyor_django.registry import registered_queues

from .bounds import among_newest
from .display import grouped

RECENT = 1_000  # newest jobs whose queues are offered
MAX_FINISHED = 100_000  # newest jobs among which the recently finished ones are looked for
WITHIN_FLOW = ("root__exact", "parent__exact")  # lookups that pick jobs of one flow


class ConditionFilter(SimpleListFilter):
    """A filter that is a condition on the row, so that a bounded look can count by it."""

    def condition(self) -> Q | None:
        raise NotImplementedError

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        condition = self.condition()
        return queryset if condition is None else queryset.filter(condition)


class LevelFilter(ConditionFilter):
    """Roots only, unless one searches or looks into a flow: then what is looked for may be any job.

    Any other value than the two (the form sends `auto`) leaves that choice to the page.
    """

    title = _("level")
    parameter_name = "level"

    def __init__(self, request: HttpRequest, params: dict[str, Any], *args: Any) -> None:
        looks_inside = bool(request.GET.get(SEARCH_VAR)) or any(key in params for key in WITHIN_FLOW)
        self.default = "all" if looks_inside else "roots"
        super().__init__(request, params, *args)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("roots", _("Roots only")), ("all", _("All jobs"))]

    def value(self) -> str:
        chosen = super().value()
        return chosen if chosen in ("roots", "all") else self.default

    def choices(self, changelist: Any) -> Iterator[Any]:
        return (choice for number, choice in enumerate(super().choices(changelist)) if number)  # without "All"

    @property
    def is_chosen(self) -> bool:
        return super().value() in ("roots", "all")

    def condition(self) -> Q | None:
        return Q(parent__isnull=True) if self.value() == "roots" else None


class QueueFilter(ConditionFilter):
    """Queues with processors, those that were paused once, and those of the newest jobs."""

    title = _("queue")
    parameter_name = "queue_name__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        recent = Job.objects.order_by("-pk").values_list("queue_name", flat=True)[:RECENT]
        paused = QueueState.objects.values_list("queue_name", flat=True)[:RECENT]
        names = {*registered_queues(), *paused, *recent}
        if chosen := self.chosen:
            names.add(chosen)
        return [(name, Truncator(name).chars(40)) for name in sorted(names)]

    @property
    def chosen(self) -> str:
        """The form sends an empty one for all queues."""
        return self.value() or ""

    def condition(self) -> Q | None:
        return Q(queue_name=self.chosen) if self.chosen else None


class WithinFilter(ConditionFilter):
    """Presets of how long ago something was."""

    presets = {
        "15min": (timedelta(minutes=15), _("Last 15 minutes")),
        "hour": (timedelta(hours=1), _("Last hour")),
        "day": (timedelta(days=1), _("Last day")),
        "week": (timedelta(days=7), _("Last 7 days")),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(value, label) for value, (_span, label) in self.presets.items()]

    def condition(self) -> Q | None:
        preset = self.presets.get(self.value() or "")
        return self.since(timezone.now() - preset[0]) if preset else None

    def since(self, moment: datetime) -> Q:
        raise NotImplementedError


class AddedFilter(WithinFilter):
    """By the time in the ids: the primary key is the index."""

    title = _("added")
    parameter_name = "added"

    def since(self, moment: datetime) -> Q:
        return Q(pk__gte=first_id_at(moment))


class FinishedFilter(WithinFilter):
    """No index has this time, so that finishing stays cheap: it is looked for among the newest jobs only."""

    title = _("finished")
    parameter_name = "finished"

    def note(self) -> str:
        if self.value() not in self.presets:
            return ""
        return gettext("Finished ones were looked for among the %s newest jobs.") % grouped(MAX_FINISHED)

    def since(self, moment: datetime) -> Q:
        return Q(finished_at__gte=moment)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        condition = self.condition()
        if condition is None:
            return queryset
        return among_newest(MAX_FINISHED, queryset, of=Job.objects.using(queryset.db)).filter(condition)
