"""Reading a flow: whole where it is small, else a level at a time and never more than a page can use."""

from collections import Counter, defaultdict
from collections.abc import Collection
from typing import Any, Protocol
from uuid import UUID

from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.lookups import IsNull

from conveyor_django.engines import BoundedMax, BoundedMin
from conveyor_django.models import Job
from conveyor_django.states import FINISHED, JobState

from ..overview_queues import read_numbers
from .nodes import COLUMNS, GROUPED, NARROW, Group, Node, group_of

SMALL = 2_000  # jobs of a flow that is read whole
_SAMPLE = 10_000  # members of a group, at either end, of which is read when they ran
_ENDS = ("started", "finished")
IN_ORDER = ("parent_id", "pk")


def below(using: str, parent_id: Any) -> QuerySet[Any]:
    """Its children, to be read `IN_ORDER` and sliced: so ordered, without an equality, only their own index will do.

    Otherwise PostgreSQL may bet on soon meeting some on a walk through the whole table, and there may be none.
    """
    return Job.objects.using(using).filter(parent__gte=parent_id, parent__lte=parent_id)


def has_children(using: str) -> Any:
    first = below(using, OuterRef("pk")).order_by(*IN_ORDER).values("pk")[:1]
    return IsNull(Subquery(first), False)


class Source(Protocol):
    max_opened: int  # jobs of one page whose children are read
    max_targets: int  # jobs of a state whose ways are opened

    def get(self, ids: Collection[UUID]) -> dict[UUID, Node]: ...

    def in_state(self, state: str, limit: int) -> list[Node]:
        """Of the whole flow."""

    def children(self, parent_id: UUID) -> list[Node] | None:
        """In declared order; None for more than `NARROW`."""

    def leaves(self, ids: Collection[UUID]) -> set[UUID]:
        """Those of them that have no children."""

    def groups(self, parent_id: UUID) -> list[Group]:
        """Of the children, those that aren't empty."""

    def members(self, group: Group, limit: int) -> list[Node]: ...

    def one_of(self, group: Group) -> UUID | None: ...


class Whole:
    max_opened = 60
    max_targets = 50

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

    def leaves(self, ids: Collection[UUID]) -> set[UUID]:
        return {pk for pk in ids if not self._children.get(pk)}

    def groups(self, parent_id: UUID) -> list[Group]:
        by_state: dict[str, list[Node]] = defaultdict(list)
        for node in self._children.get(parent_id, []):
            by_state[node.state].append(node)
        return [group_of(parent_id, state, by_state[state]) for state in GROUPED if by_state[state]]

    def members(self, group: Group, limit: int) -> list[Node]:
        return [node for node in self._children.get(group.parent_id, []) if node.state == group.state][:limit]

    def one_of(self, group: Group) -> UUID | None:
        return next((node.pk for node in self.members(group, 1)), None)


class ByLevel:
    """Each of its methods is one or two statements."""

    max_opened = 12  # each takes some statements
    max_targets = 8

    def __init__(self, using: str, root_id: UUID) -> None:
        self._jobs = Job.objects.using(using).filter(root=root_id).order_by()
        self._using = using
        self._root_id = root_id
        self._few: dict[UUID, list[Node] | None] = {}

    def get(self, ids: Collection[UUID]) -> dict[UUID, Node]:
        rows = self._jobs.filter(pk__in=ids).values_list(*COLUMNS) if ids else []
        return {row[0]: Node(*row) for row in rows}

    def in_state(self, state: str, limit: int) -> list[Node]:
        rows = self._jobs.filter(state=state).values_list(*COLUMNS)
        return sorted(Node(*row) for row in rows[:limit])

    def children(self, parent_id: UUID) -> list[Node] | None:
        if parent_id not in self._few:
            self._few[parent_id] = self._read_children(parent_id)
        return self._few[parent_id]

    def _read_children(self, parent_id: UUID) -> list[Node] | None:
        rows = below(self._using, parent_id).order_by(*IN_ORDER).values_list(*COLUMNS)
        found = [Node(*row) for row in rows[: NARROW + 1]]
        return found if len(found) <= NARROW else None

    def leaves(self, ids: Collection[UUID]) -> set[UUID]:
        if not ids:
            return set()
        parents = Job.objects.using(self._using).filter(has_children(self._using), pk__in=ids).order_by()
        return {*ids} - {*parents.values_list("pk", flat=True)}

    def groups(self, parent_id: UUID) -> list[Group]:
        """Counted from the index alone; when they ran is read of the first and the last ones."""
        children = Job.objects.using(self._using).filter(parent=parent_id)
        counts = dict(children.order_by().values_list("state").annotate(Count("pk")))
        columns: dict[str, Any] = {}
        for number, state in enumerate(GROUPED):
            if counts.get(state) and (state in FINISHED or state == JobState.ACTIVE):
                members = below(self._using, parent_id).filter(state=state)
                if state == JobState.FAILED:  # the index of those begins with the root
                    members = members.filter(root=self._root_id)
                started, finished = (members.annotate(moment=F(f"{word}_at")).values("moment") for word in _ENDS)
                columns[f"first_{number}"] = BoundedMin(started.order_by(*IN_ORDER)[:_SAMPLE])
                columns[f"last_{number}"] = BoundedMax(finished.order_by(*(f"-{name}" for name in IN_ORDER))[:_SAMPLE])
        row = read_numbers(self._using, columns)
        return [
            Group(parent_id, state, counts[state], row.get(f"first_{number}"), row.get(f"last_{number}"))
            for number, state in enumerate(GROUPED)
            if counts.get(state)
        ]

    def members(self, group: Group, limit: int) -> list[Node]:
        """Found by ids first: those come from an index alone, and rare ones aren't looked for among all siblings."""
        return sorted(self.get(self._ids(group, limit)).values())

    def one_of(self, group: Group) -> UUID | None:
        return next(iter(self._ids(group, 1)), None)

    def _ids(self, group: Group, limit: int) -> list[UUID]:
        members: QuerySet[Any]
        if group.state == JobState.FAILED:  # there is an index of those
            members = self._jobs.filter(parent=group.parent_id, state=group.state).order_by("pk")
        else:
            members = below(self._using, group.parent_id).filter(state=group.state).order_by(*IN_ORDER)
        return list(members.values_list("pk", flat=True)[:limit])


def source_of(using: str, root_id: UUID, size: int) -> Source:
    if size > SMALL:
        return ByLevel(using, root_id)
    rows = Job.objects.using(using).filter(root=root_id).values_list(*COLUMNS)
    return Whole(sorted(Node(*row) for row in rows))


def counts_of(using: str, root_id: UUID) -> Counter[str]:
    """Of the whole flow, by state: from the index alone."""
    jobs = Job.objects.using(using).filter(root=root_id).order_by()
    return Counter(dict(jobs.values_list("state").annotate(Count("pk"))))
