"""Reading a flow: whole where it is small, else a level at a time and never more than a page can use."""

from collections import Counter, defaultdict
from collections.abc import Collection
from typing import Any, Protocol
from uuid import UUID

from django.db.models import F

from conveyor_django.engines import BoundedCount, BoundedMax, BoundedMin
from conveyor_django.models import Job
from conveyor_django.states import FINISHED, JobState

from ..changelist import MAX_COUNT
from ..overview_queues import read_numbers
from .nodes import COLUMNS, GROUPED, NARROW, Group, Node, group_of

MAX_FLOW_COUNT = 250_000  # as many jobs as a flow has, unless the site allows more
SMALL = 2_000  # jobs of a flow that is read whole
_FEW = 1_000  # members of a group that are sorted here: the database would look through all their siblings


class Source(Protocol):
    def get(self, ids: Collection[UUID]) -> dict[UUID, Node]: ...

    def in_state(self, state: str, limit: int) -> list[Node]:
        """Of the whole flow."""

    def children(self, parent_id: UUID) -> list[Node] | None:
        """In declared order; None for more than `NARROW`."""

    def groups(self, parent_id: UUID) -> list[Group]:
        """Of the children, those that aren't empty."""

    def members(self, group: Group, limit: int) -> list[Node]: ...


class Whole:
    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = {node.pk: node for node in nodes}
        self._children: dict[UUID | None, list[Node]] = defaultdict(list)
        for node in nodes:
            self._children[node.parent_id].append(node)

    def get(self, ids: Collection[UUID]) -> dict[UUID, Node]:
        return {pk: self._nodes[pk] for pk in ids if pk in self._nodes}

    def in_state(self, state: str, limit: int) -> list[Node]:
        return [node for node in self._nodes.values() if node.state == state][:limit]

    def children(self, parent_id: UUID) -> list[Node] | None:
        found = self._children.get(parent_id, [])
        return found if len(found) <= NARROW else None

    def groups(self, parent_id: UUID) -> list[Group]:
        by_state: dict[str, list[Node]] = defaultdict(list)
        for node in self._children.get(parent_id, []):
            by_state[node.state].append(node)
        return [group_of(parent_id, state, by_state[state]) for state in GROUPED if by_state[state]]

    def members(self, group: Group, limit: int) -> list[Node]:
        return [node for node in self._children.get(group.parent_id, []) if node.state == group.state][:limit]


class ByLevel:
    """Each of its methods is one statement."""

    def __init__(self, using: str, root_id: UUID) -> None:
        self._jobs = Job.objects.using(using).filter(root=root_id).order_by()
        self._using = using

    def get(self, ids: Collection[UUID]) -> dict[UUID, Node]:
        rows = self._jobs.filter(pk__in=ids).values_list(*COLUMNS) if ids else []
        return {row[0]: Node(*row) for row in rows}

    def in_state(self, state: str, limit: int) -> list[Node]:
        rows = self._jobs.filter(state=state).values_list(*COLUMNS)
        return sorted(Node(*row) for row in rows[:limit])

    def children(self, parent_id: UUID) -> list[Node] | None:
        rows = Job.objects.using(self._using).filter(parent=parent_id).order_by("pk").values_list(*COLUMNS)
        found = [Node(*row) for row in rows[: NARROW + 1]]
        return found if len(found) <= NARROW else None

    def groups(self, parent_id: UUID) -> list[Group]:
        columns: dict[str, Any] = {}
        for number, state in enumerate(GROUPED):
            jobs = self._jobs.filter(parent=parent_id, state=state)
            columns[f"count_{number}"] = BoundedCount(jobs.values("pk")[:MAX_COUNT])
            if state in FINISHED or state == JobState.ACTIVE:
                columns[f"first_{number}"] = BoundedMin(jobs.values(moment=F("started_at"))[:MAX_COUNT])
            if state in FINISHED:
                columns[f"last_{number}"] = BoundedMax(jobs.values(moment=F("finished_at"))[:MAX_COUNT])
        row = read_numbers(self._using, columns)
        groups = []
        for number, state in enumerate(GROUPED):
            count = row.get(f"count_{number}") or 0
            first, last = row.get(f"first_{number}"), row.get(f"last_{number}")
            if count:
                groups.append(Group(parent_id, state, count, count >= MAX_COUNT, first, last))
        return groups

    def members(self, group: Group, limit: int) -> list[Node]:
        rows = self._jobs.filter(parent=group.parent_id, state=group.state).values_list(*COLUMNS)
        if group.count <= _FEW:
            return sorted(Node(*row) for row in rows[:_FEW])[:limit]
        return [Node(*row) for row in rows.order_by("pk")[:limit]]


def source_of(using: str, root_id: UUID, size: int) -> Source:
    if size > SMALL:
        return ByLevel(using, root_id)
    rows = Job.objects.using(using).filter(root=root_id).values_list(*COLUMNS)
    return Whole(sorted(Node(*row) for row in rows))


def counts_of(using: str, root_id: UUID) -> tuple[Counter[str], set[str]]:
    """Of the whole flow, by state, and in which states there may be more."""
    jobs = Job.objects.using(using).filter(root=root_id).order_by()
    columns = {
        f"count_{number}": BoundedCount(jobs.filter(state=state).values("pk")[:MAX_FLOW_COUNT])
        for number, state in enumerate(JobState)
    }
    row = read_numbers(using, columns)
    counts = Counter({str(state): row.get(f"count_{number}") or 0 for number, state in enumerate(JobState)})
    return counts, {state for state, count in counts.items() if count >= MAX_FLOW_COUNT}
