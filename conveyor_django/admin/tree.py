"""A flow as rows of a nested list, flattened here: a template that recursed would fail on a deep one."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.safestring import SafeString

from conveyor_django.models import Job
from conveyor_django.states import JobState

from .display import clock, icon, short_reason
from .flow import Flow
from .spans import in_flow, ran

Link = Callable[..., str]  # the URL of one of the admin's views
MAX_INDENT = 8  # levels; deeper ones say their depth


@dataclass
class Row:
    job: Any
    url: str
    level: int  # in the list that is shown
    after_gap: bool  # its parent isn't shown
    hint: str  # which of several of that name
    queue: str  # where it differs from the parent's
    reason: SafeString | str
    time: str
    has_run: bool
    current: bool
    opens: bool = False  # a list of children follows
    closes: range = range(0)  # lists that end after it

    @property
    def state(self) -> str:
        return str(JobState(self.job.state).label)

    @property
    def icon(self) -> SafeString:
        return icon(self.job.state)

    @property
    def indent(self) -> int:
        return min(int(self.job.depth), MAX_INDENT)

    @property
    def depth(self) -> int | None:
        return int(self.job.depth) if self.job.depth > MAX_INDENT else None

    @property
    def failed_itself(self) -> bool:
        return self.job.state == JobState.FAILED and not self.job.failed_by


def tree_rows(flow: Flow, current: Job, link: Link, now: datetime) -> list[Row]:
    rows = [_row(flow, node, level, current, link, now) for node, level in _in_reading_order(flow)]
    _name_twins(rows)
    for row, following in zip(rows, [*(later.level for later in rows[1:]), 0], strict=True):
        row.opens = following > row.level
        row.closes = range(row.level - following)
    return rows


def _in_reading_order(flow: Flow) -> Iterator[tuple[Any, int]]:
    """Each job with its level; one whose parent isn't shown hangs under the first."""
    nodes = sorted(flow.jobs.values(), key=lambda node: (node.depth, node.pk))
    children: dict[UUID | None, list[Any]] = defaultdict(list)
    for node in nodes[1:]:
        children[node.parent_id if node.parent_id in flow.jobs else nodes[0].pk].append(node)
    stack = [(node, 0) for node in nodes[:1]]
    while stack:
        node, level = stack.pop()
        yield node, level
        stack.extend((child, level + 1) for child in reversed(children[node.pk]))


def _row(flow: Flow, node: Any, level: int, current: Job, link: Link, now: datetime) -> Row:
    parent = flow.jobs.get(node.parent_id)
    span = ran(node, now)
    return Row(
        job=node,
        url=link("change", node.pk),
        level=level,
        after_gap=bool(level) and parent is None,
        hint="",
        queue="" if parent and parent.queue_name == node.queue_name else node.queue_name,
        reason=short_reason(node),
        time=clock(in_flow(node, now) if span is None else span),
        has_run=span is not None,
        current=node.pk == current.pk,
    )


def _name_twins(rows: list[Row]) -> None:
    """Siblings of one name are told apart by their job_id, else by the end of their id."""
    names = Counter((row.job.parent_id, row.job.name) for row in rows)
    for row in rows:
        if names[row.job.parent_id, row.job.name] > 1:
            row.hint = row.job.job_id or str(row.job.pk)[-12:]
