"""What the page of a flow shows, as the context of its templates."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.http import Http404
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from conveyor_django.engines import get_engine
from conveyor_django.models import Job
from conveyor_django.states import FINISHED, UNFINISHED, JobState

from ..display import duration, grouped, icon
from ..overview_page import bar
from .details import read_details
from .nodes import GROUPED, Group, Node, group_of, id_of
from .outline import Entry, outline, sample_of
from .paths import paths
from .reasons import Reasons, reasons_of
from .rows import Link, Row, Rows
from .sources import Source, counts_of, source_of
from .timeline import Axis
from .view import View

MAX_LIVE = 400  # keys that one look of a page that is open asks for
_BAR = [
    *(JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED),
    *(JobState.ACTIVE, JobState.DELAYED, JobState.WAITING_CHILDREN, JobState.WAITING),
]
_START_ABOVE = 8  # levels above a job that is deep down
_DEEP = 30


class Count(NamedTuple):
    state: str
    icon: Any
    text: str
    label: str
    url: str


class Flow:
    """One look at a flow."""

    def __init__(self, root: Any, link: Link, view: View, asked: UUID | None = None) -> None:
        self.root = root
        self._using: str = root._state.db
        self._link = link
        self._view = view
        self._asked = asked
        self._now: datetime = get_engine(self._using).now()
        self._counts = counts_of(self._using, root.pk)
        self.size = self._counts.total()
        end = root.finished_at if root.state in FINISHED and root.finished_at and not self.is_live else self._now
        self._axis = Axis(root.created_at, max(end, root.created_at), self.is_live)

    @property
    def is_live(self) -> bool:
        return any(self._counts[state] for state in UNFINISHED)

    @property
    def is_alone(self) -> bool:
        return self.size < 2

    def page(self) -> dict[str, Any]:
        source = source_of(self._using, self.root.pk, self.size)
        ways = paths(source, self._asked, only_failed=self._view.mode == "failed")
        top = self._top(source)
        entries, following = outline(source, top, self._view, ways)
        rows = self._rows(entries)
        return {
            **self.header(),
            "rows": rows,
            "rows_are_cut": following is not None,
            "go_on": self._go_on(source, top, following) if following else None,
            "nothing_failed": self._view.mode == "failed" and not self._counts[JobState.FAILED],
            "is_part": top.pk != self.root.pk,
            "modes": [
                (_("Open all"), self._view.in_mode("all"), self._view.mode == "all"),
                (_("Fold all"), self._view.in_mode("folded"), self._view.mode == "folded"),
                (_("Failed only"), self._view.in_mode("failed"), self._view.mode == "failed"),
            ],
            "default_view": self._view.in_mode("") if self._view.mode else "",
        }

    def live(self, keys: Iterable[str]) -> dict[str, Any]:
        """The rows with these keys as they are now, and groups that have come up beside them; what emptied has none."""
        source = source_of(self._using, self.root.pk, self.size)
        asked = list(keys)[:MAX_LIVE]
        ids = [pk for key in asked if (pk := id_of(key))]
        nodes = source.get(ids)
        entries = [Entry(0, node=nodes[pk]) for pk in ids if pk in nodes]
        shown = (JobState.FAILED,) if self._view.mode == "failed" else GROUPED
        grouped_by: dict[UUID, set[str]] = defaultdict(set)
        for key in asked:
            parent_key, _, state = key.partition(".")
            if state in shown and (pk := id_of(parent_key)):
                grouped_by[pk].add(state)
        for parent in source.get(grouped_by):  # that are in this flow
            groups = self._groups(source, parent, set(nodes))
            left = grouped_by[parent] - {entry.group.state for entry in groups if entry.group}
            groups += [Entry(0, group=Group(parent, state, 0)) for state in left]
            entries += sorted(groups, key=_order)
        return {**self.header(), "rows": self._rows(entries)}

    def header(self) -> dict[str, Any]:
        finished = sum(self._counts[state] for state in FINISHED)
        reasons = reasons_of(self._using, self.root.pk) if self._counts[JobState.FAILED] else None
        return {
            "root": self.root,
            "axis": self._axis,
            "is_live": self.is_live,
            "as_of": timezone.localtime(self._now),
            "started": timezone.localtime(self.root.created_at),
            "elapsed": duration(self._axis.end - self._axis.start),
            "finished": grouped(finished),
            "size": grouped(self.size),
            # rounded down: 100 % never shows early
            "share": 100 * finished // self.size if self.size else 0,
            "bar": bar(self._counts, self.size, _BAR) if self.size else [],
            "counts": list(self._states()),
            "reasons": reasons,
            "failed_itself": self._failed_itself(reasons),
            "cancelled": self._counts[JobState.CANCELLED],
            "first_failed": self._link("flow", reasons.first) if reasons and reasons.first else "",
            "summary": self._summary(finished),
        }

    def _failed_itself(self, reasons: Reasons | None) -> int:
        if reasons is None or not reasons.is_capped:
            return reasons.itself if reasons else 0
        failed = Job.objects.using(self._using).filter(root=self.root.pk, state=JobState.FAILED, failed_by=None)
        return failed.order_by().count()  # the index of failed jobs finds them

    def _states(self) -> Iterable[Count]:
        for state in (_BAR[0], _BAR[1], *_BAR[2:]):
            if count := self._counts[state]:
                query = urlencode({"root__exact": self.root.pk, "state__exact": state, "level": "all"})
                url = f"{self._link('changelist')}?{query}"
                yield Count(state, icon(state), grouped(count), str(JobState(state).label).lower(), url)

    def _summary(self, finished: int) -> str:
        said = _("%(finished)s of %(size)s finished") % {"finished": grouped(finished), "size": grouped(self.size)}
        if failed := self._counts[JobState.FAILED]:
            said += ", " + _("%s failed") % grouped(failed)
        return said

    def _top(self, source: Source) -> Node:
        """The root, unless another is asked for or the asked job is too deep down to be reached from there."""
        wanted = self._view.top
        if wanted is None and self._asked:
            node = source.get([self._asked]).get(self._asked)
            if node and node.depth > _DEEP:
                for _hop in range(_START_ABOVE):
                    node = source.get([node.parent_id])[node.parent_id] if node.parent_id else node
                wanted = node.pk
        found = source.get([wanted or self.root.pk, self.root.pk])
        if self.root.pk not in found:
            raise Http404  # removed since it was looked up
        return found.get(wanted or self.root.pk, found[self.root.pk])

    def _rows(self, entries: list[Entry]) -> list[Row]:
        ids = {entry.node.pk for entry in entries if entry.node} | {entry.sample for entry in entries if entry.sample}
        details = read_details(self._using, ids, self._now)
        return Rows(self._axis, details, self._view, self._link, self._now, self._asked).all(entries)

    def _go_on(self, source: Source, top: Node, following: Entry) -> tuple[str, str] | None:
        """From what isn't shown; where siblings of it are, from their parent."""
        parent_id = following.group.parent_id if following.group else None
        if following.node:
            parent_id = following.node.parent_id if source.children(following.node.pk) == [] else following.node.pk
        if parent_id is None or parent_id == top.pk:
            return None
        name = Job.objects.using(self._using).filter(pk=parent_id).values_list("name", flat=True).first() or ""
        return name, View(mode=self._view.mode, top=parent_id).query()

    def _groups(self, source: Source, parent_id: UUID, shown: set[UUID]) -> list[Entry]:
        children = source.children(parent_id)
        if children is None:
            groups = source.groups(parent_id)
            total = sum(group.count for group in groups)
            if self._view.mode == "failed":
                groups = [group for group in groups if group.state == JobState.FAILED]
            return [Entry(0, group=group, of=total, sample=sample_of(source, group)) for group in groups]
        done = [child for child in children if child.state == JobState.COMPLETED and child.pk not in shown]
        return [Entry(0, group=group_of(parent_id, JobState.COMPLETED, done))] if done else []


def _order(entry: Entry) -> int:
    return GROUPED.index(JobState(entry.group.state)) if entry.group else 0
