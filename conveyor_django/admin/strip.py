"""What stands above the list of jobs: states with their numbers, search and filters, and what a page says of itself."""

from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conveyor_django.ids import first_id_at
from conveyor_django.states import JobState

from . import keyset, search
from .display import grouped, moment
from .filters import AddedFilter, FinishedFilter, LevelFilter, QueueFilter

_STATES = [
    *(JobState.ACTIVE, JobState.WAITING, JobState.WAITING_CHILDREN, JobState.DELAYED),
    *(JobState.FAILED, JobState.COMPLETED, JobState.CANCELLED),
]
_IN_FORM = ("q", "queue_name__exact", "level", "finished")  # the form has a field for each
_SHORT = {"hour": gettext_lazy("Last hour"), "day": gettext_lazy("Last day"), "week": gettext_lazy("7 days")}


class Link(NamedTuple):
    label: Any
    query: str
    is_current: bool
    number: str = ""
    state: str = ""


@dataclass(frozen=True)
class Drop:
    label: Any
    query: str


class Strip:
    def __init__(self, changelist: Any) -> None:
        self.cl = changelist
        self.specs = {spec.parameter_name: spec for spec in changelist.filter_specs if hasattr(spec, "parameter_name")}

    def chips(self) -> list[Link]:
        return [self._chip("", _("All")), *(self._chip(state, state.label) for state in _STATES)]

    def _chip(self, state: str, label: Any) -> Link:
        number = str(self.cl.counts[state]) if self.cl.counts else ""
        query = self.cl.get_query_string({"state__exact": state or None})
        return Link(label, query, self.cl.state == state, number, state)

    # The form

    def queues(self) -> list[tuple[str, Any, bool]]:
        spec: QueueFilter = self.specs[QueueFilter.parameter_name]
        return [(name, label, name == spec.chosen) for name, label in spec.lookup_choices]

    def added(self) -> list[Link]:
        spec: AddedFilter = self.specs[AddedFilter.parameter_name]
        chosen = spec.value() if spec.value() in spec.presets else None
        offered = {name: _SHORT.get(name, label) for name, (_span, label) in spec.presets.items()}
        links = [
            Link(label, self.cl.get_query_string({"added": name}), name == chosen)
            for name, label in offered.items()
            if name in _SHORT or name == chosen
        ]
        return [*links, Link(_("Any time"), self.cl.get_query_string({"added": None}), chosen is None)]

    def finished(self) -> list[tuple[str, Any, bool]]:
        spec: FinishedFilter = self.specs[FinishedFilter.parameter_name]
        return [(name, label, name == spec.value()) for name, (_span, label) in spec.presets.items()]

    def level(self) -> dict[str, Any]:
        """Unchosen, the box leaves it to the page: a search then goes into the flows."""
        spec: LevelFilter = self.specs[LevelFilter.parameter_name]
        is_roots = spec.value() == "roots"
        return {"checked": is_roots, "value": "roots" if spec.is_chosen or not is_roots else "auto"}

    def hidden(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.cl.params.items() if name not in _IN_FORM]

    # The page

    @cached_property
    def newer(self) -> str:
        page = self.cl.page
        return self.cl.get_query_string({keyset.AFTER: page.newer}) if page.newer else ""

    @cached_property
    def older(self) -> str:
        page = self.cl.page
        return self.cl.get_query_string({keyset.BEFORE: page.older}) if page.older else ""

    def place(self) -> str:
        """Which jobs these are, as far as that is known."""
        page, rows = self.cl.page, grouped(len(self.cl.page.rows))
        if page.is_first:
            return _("1 to %(rows)s of %(all)s") % {"rows": rows, "all": self.cl.number}
        if not page.rows:
            return ""
        newest, oldest = moment(page.rows[0].created_at), moment(page.rows[-1].created_at)
        return _("%(rows)s, added from %(oldest)s to %(newest)s") % {"rows": rows, "oldest": oldest, "newest": newest}

    def stopped(self) -> str:
        if not self.cl.page.stopped:
            return ""
        return _("Looked through %s jobs for this page. There may be more behind.") % grouped(keyset.LOOK)

    def is_narrowed(self) -> bool:
        return bool(self.cl.state or set(self.cl.conditions) - {"level"} or self.specs["level"].is_chosen)

    def drop(self) -> Drop | None:
        """The one filter without which there is something."""
        for name, label in self._in_use():
            jobs = self.cl.without(name)
            if jobs is not None and jobs.exists():
                return Drop(label, self.cl.get_query_string({name: "all" if name == "level" else None}))
        return None

    def _in_use(self) -> list[tuple[str, Any]]:
        labels = {
            "state__exact": _("state"),
            "finished": _("finished"),
            "added": _("added"),
            "queue_name__exact": _("queue"),
            "q": _("search"),
            "level": _("Roots only"),
            "root__exact": _("flow"),
            "parent__exact": _("parent"),
        }
        names = {*self.cl.conditions, *(["state__exact"] if self.cl.state else [])}
        return [(name, label) for name, label in labels.items() if name in names]

    def newer_query(self) -> str:
        """Of the endpoint that counts what came since; only where the newest are shown, and no data are read for it."""
        if not self.cl.page.is_first or search.is_in_data(self.cl.query):
            return ""
        rows = self.cl.page.rows
        return "?" + urlencode({**self.cl.params, keyset.AFTER: rows[0].pk if rows else first_id_at(timezone.now())})
