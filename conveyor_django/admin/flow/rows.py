"""The rows of a flow's list, as its template takes them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from conveyor_django.states import JobState

from ..display import clock, duration, grouped, icon, mark, short_reason
from ..spans import in_flow, ran, ran_before
from .details import Details
from .nodes import Group, Node
from .outline import Entry
from .timeline import Axis, Shape, group_shapes, job_shapes, parent_shapes
from .view import PAGE, View

Link = Callable[..., str]  # the URL of one of the admin's views
MAX_INDENT = 8  # levels; deeper ones say their depth
_STUCK = (JobState.WAITING, JobState.DELAYED)


@dataclass
class Row:
    key: str
    level: int
    state: str
    name: str
    kind: str = "job"  # "group", or "more": a link to further members of one
    url: str = ""
    toggle: str = ""  # query of the view with it opened or closed; empty for what has nothing below it
    is_open: bool = False
    is_current: bool = False
    has_failed_itself: bool = False
    hint: str = ""  # which of several of that name
    queue: str = ""  # where it differs from the parent's
    word: SafeString | str = ""  # in the column of the state
    word_state: str = ""  # its colour
    note: str = ""  # beside the word
    share: int | None = None  # of a running job, in per cent
    reason: SafeString | str = ""
    time: str = ""
    time_is_quiet: bool = False
    shapes: list[Shape] = field(default_factory=list)
    said: str = ""  # the shapes in words
    opens: bool = False  # a list of what is below it follows
    closes: range = range(0)  # lists that end after it

    @property
    def icon(self) -> SafeString:
        return icon(self.state) if self.kind == "group" else mark(self.state)

    @property
    def indent(self) -> int:
        return min(self.level, MAX_INDENT)

    @property
    def depth(self) -> int | None:
        return self.level if self.level > MAX_INDENT else None


@dataclass(frozen=True)
class Rows:
    """Makes rows of entries."""

    axis: Axis
    details: Details
    view: View
    link: Link
    now: datetime
    current: Any = None  # the id of the job that was asked for

    def all(self, entries: list[Entry]) -> list[Row]:
        rows = [row for entry in entries if (row := self.row(entry))]
        level = -1
        for row in rows:  # what was below a job that has gone isn't two levels below the row above it
            row.level = level = min(row.level, level + 1)
        following_levels = [row.level for row in rows[1:]] + [0]
        for row, following in zip(rows, following_levels, strict=False):
            row.opens = following > row.level
            row.closes = range(row.level - following)
        return rows

    def row(self, entry: Entry) -> Row | None:
        """None for a job that has gone in the meantime."""
        if entry.group:
            return self._more(entry, entry.group) if entry.rest else self._group(entry, entry.group)
        return self._job(entry, entry.node) if entry.node and entry.node.pk in self.details.jobs else None

    def _job(self, entry: Entry, node: Node) -> Row:
        job = self.details.jobs[node.pk]
        node = node._replace(state=job.state, started_at=job.started_at, finished_at=job.finished_at)
        above = self.details.jobs.get(node.parent_id) if node.parent_id else None
        attempts = self.details.attempts.get(node.pk, [])
        span = ran(job, self.now)
        if span is not None:
            span += ran_before(job, attempts)
        row = Row(node.key, entry.level, job.state, job.name, url=self.link("change", node.pk))
        if job.has_children:
            row.toggle = self.view.toggled(node.key, is_open=entry.is_open)
            row.is_open = entry.is_open
        row.is_current = node.pk == self.current
        row.has_failed_itself = job.state == JobState.FAILED and not job.failed_by
        if (job.parent_id, job.name) in self.details.twins:
            row.hint = job.job_id or str(job.pk)[-12:]
        row.queue = "" if above and above.queue_name == job.queue_name else job.queue_name
        self._say_state(row, job)
        row.reason = short_reason(job, self.details.names.get(job.failed_by, ""))
        row.time = clock(in_flow(job, self.now) if span is None else span)
        row.time_is_quiet = span is None or job.state == JobState.WAITING_CHILDREN
        is_parent = job.has_children
        row.shapes = (
            parent_shapes(self.axis, node, attempts)
            if is_parent
            else list(job_shapes(self.axis, node, attempts, job.run_at))
        )
        row.said = ", ".join(self._in_words(job, span))
        return row

    def _say_state(self, row: Row, job: Any) -> None:
        row.word, row.word_state = str(JobState(job.state).label), job.state
        row.share = self.details.progress.get(job.pk)
        if job.attempts_made > 1 and row.share is None:
            made = job.attempts_made
            row.note = ngettext("%d attempt", "%d attempts", made) % made
        self._say_obstacle(row, job)

    def _say_obstacle(self, row: Row, job: Any) -> None:
        if job.state in _STUCK and job.queue_name in self.details.queues.paused:
            row.word, row.word_state = _("Queue paused"), "paused"
        elif job.state == JobState.WAITING and not self.details.queues.is_served(job.queue_name):
            row.word, row.word_state = _("No worker"), "late"

    def _in_words(self, job: Any, span: timedelta | None) -> Iterator[str]:
        """For who doesn't see the timeline."""
        yield _("waited %s") % duration(in_flow(job, self.now) - (span or timedelta()))
        if span is not None and job.attempts_made > 1:
            yield _("ran %(time)s in %(count)d attempts") % {"time": duration(span), "count": job.attempts_made}
        elif span is not None:
            yield _("ran %s") % duration(span)
        yield str(JobState(job.state).label).lower()

    def _group(self, entry: Entry, group: Group) -> Row:
        label = str(JobState(group.state).label).lower()
        row = Row(group.key, entry.level, group.state, f"{grouped(group.count)} {label}", kind="group")
        row.toggle = self.view.toggled(group.key, is_open=entry.is_open)
        row.is_open = entry.is_open
        if group.median is not None and group.state == JobState.COMPLETED:
            row.word = _("median %s") % duration(group.median)
        elif entry.of > group.count:
            row.word = _("of %s") % grouped(entry.of)
        sample = self.details.jobs.get(entry.sample) if entry.sample else None
        if sample:
            self._say_obstacle(row, sample)
        if group.first and (group.last or group.state == JobState.ACTIVE):
            row.time = clock((group.last or self.now) - group.first)
        row.shapes = group_shapes(self.axis, group, self.axis.start)
        return row

    def _more(self, entry: Entry, group: Group) -> Row:
        shown = group.count - entry.rest
        more = min(PAGE, entry.rest)
        row = Row(f"{group.key}.more", entry.level, group.state, _("Show %d more") % more, kind="more")
        row.url = self.view.with_more(group.key, shown)
        return row
