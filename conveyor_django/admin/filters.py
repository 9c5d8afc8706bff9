"""The filters of the list of jobs; none of them scans the table for its choices."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import QuerySet
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


class LevelFilter(SimpleListFilter):
    """Roots only, unless one searches or looks into a flow: then what is looked for may be any job."""

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

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(parent__isnull=True) if self.value() == "roots" else queryset


class QueueFilter(SimpleListFilter):
    """Queues with processors, those that were paused once, and those of the newest jobs."""

    title = _("queue")
    parameter_name = "queue_name__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        recent = Job.objects.order_by("-pk").values_list("queue_name", flat=True)[:RECENT]
        paused = QueueState.objects.values_list("queue_name", flat=True)[:RECENT]
        names = {*registered_queues(), *paused, *recent}
        if chosen := self.value():
            names.add(chosen)
        return [(name, Truncator(name).chars(40)) for name in sorted(names)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset if chosen is None else queryset.filter(queue_name=chosen)


class WithinFilter(SimpleListFilter):
    """Presets of how long ago something was."""

    presets = {
        "15min": (timedelta(minutes=15), _("Last 15 minutes")),
        "hour": (timedelta(hours=1), _("Last hour")),
        "day": (timedelta(days=1), _("Last day")),
        "week": (timedelta(days=7), _("Last 7 days")),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(value, label) for value, (_span, label) in self.presets.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        preset = self.presets.get(self.value() or "")
        return self.since(timezone.now() - preset[0], queryset) if preset else queryset

    def since(self, moment: datetime, queryset: QuerySet[Any]) -> QuerySet[Any]:
        raise NotImplementedError


class AddedFilter(WithinFilter):
    """By the time in the ids: the primary key is the index."""

    title = _("added")
    parameter_name = "added"

    def since(self, moment: datetime, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__gte=first_id_at(moment))


class FinishedFilter(WithinFilter):
    """No index has this time, so that finishing stays cheap: it is looked for among the newest jobs only."""

    title = _("finished")
    parameter_name = "finished"

    def note(self) -> str:
        if self.value() not in self.presets:
            return ""
        return gettext("Finished ones were looked for among the %s newest jobs.") % grouped(MAX_FINISHED)

    def since(self, moment: datetime, queryset: QuerySet[Any]) -> QuerySet[Any]:
        recent = among_newest(MAX_FINISHED, queryset, of=Job.objects.using(queryset.db))
        return recent.filter(finished_at__gte=moment)
