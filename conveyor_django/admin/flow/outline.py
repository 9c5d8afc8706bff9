"""The rows of a flow's list in reading order: jobs, groups of siblings, and links to more of a group."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from conveyor_django.states import JobState

from .nodes import Group, Node, group_of
from .paths import Paths
from .sources import Source
from .view import MAX_ROWS, PAGE, View

FOLDED_FROM = 4  # completed siblings are one row
_OPEN_GROUPS = (JobState.FAILED, JobState.ACTIVE)


@dataclass
class Entry:
    """One of the three."""

    level: int
    node: Node | None = None
    group: Group | None = None
    of: int = 0  # siblings of a group, where it isn't all of them
    rest: int = 0  # that a link shows: members of `group` above it
    sample: UUID | None = None  # one of a group that may be stuck: what its queue is
    is_open: bool = False


def outline(source: Source, top: Node, view: View, paths: Paths) -> tuple[list[Entry], Entry | None]:
    """And the first that would follow, or be open, if a page had room for it."""
    return _Outline(source, view, paths).entries(top)


class _Outline:
    def __init__(self, source: Source, view: View, paths: Paths) -> None:
        self._source = source
        self._view = view
        self._paths = paths
        self._opened = 0
        self._left_closed: Entry | None = None
        self._pinned_ids: set[UUID] = set()
        self._leaves: set[UUID] = set()

    def entries(self, top: Node) -> tuple[list[Entry], Entry | None]:
        """Iteratively: a chain may be thousands deep."""
        found: list[Entry] = []
        stack = [Entry(0, node=top)]
        while stack and len(found) < MAX_ROWS:
            entry = stack.pop()
            found.append(entry)
            below = list(self._below(entry, is_top=entry.node is top))
            self._note_leaves(below)
            stack.extend(reversed(below))
        return found, self._left_closed or (stack.pop() if stack else None)

    def _below(self, entry: Entry, *, is_top: bool) -> Iterator[Entry]:
        if entry.rest:
            return
        if entry.group:
            yield from self._group(entry, entry.group)
        elif entry.node and self._is_open(entry.node, is_top=is_top):
            if self._opened >= self._source.max_opened:
                self._left_closed = self._left_closed or entry
                return
            self._opened += 1
            below = list(self._children(entry.node, entry.level + 1))
            entry.is_open = bool(below)
            yield from below

    def _note_leaves(self, entries: list[Entry]) -> None:
        """Where all is opened, at once rather than one at a time."""
        if self._view.mode == "all":
            self._leaves |= self._source.leaves([entry.node.pk for entry in entries if entry.node])

    def _is_open(self, node: Node, *, is_top: bool) -> bool:
        if node.key in self._view.folded or node.pk in self._leaves:
            return False
        if is_top or node.key in self._view.opened or self._view.mode == "all":
            return True
        return self._view.mode != "folded" and node.pk in self._paths.above

    def _children(self, node: Node, level: int) -> Iterator[Entry]:
        children = self._source.children(node.pk)
        if children is not None:
            yield from self._narrow(node, children, level)
            return
        groups = self._source.groups(node.pk)
        pinned = self._pinned(node.pk)
        self._pinned_ids.update(child.pk for child in pinned)
        for child in pinned:
            yield Entry(level, node=child)
        total = sum(group.count for group in groups)
        for group in groups:
            if self._view.mode != "failed" or group.state == JobState.FAILED:
                yield Entry(level, group=group, of=total, sample=sample_of(self._source, group))

    def _narrow(self, node: Node, children: list[Node], level: int) -> Iterator[Entry]:
        if self._view.mode == "failed":
            children = [child for child in children if child.pk in self._paths.nodes]
        folded = self._to_fold(children)
        for child in children:
            if child.pk not in folded:
                yield Entry(level, node=child)
        if folded:
            members = [child for child in children if child.pk in folded]
            yield Entry(level, group=group_of(node.pk, JobState.COMPLETED, members))

    def _to_fold(self, children: list[Node]) -> set[UUID]:
        done = {
            child.pk
            for child in children
            if child.state == JobState.COMPLETED
            and child.pk not in self._paths.nodes
            and child.key not in self._view.opened
        }
        return done if len(done) >= FOLDED_FROM and self._view.mode != "all" else set()

    def _pinned(self, parent_id: UUID) -> list[Node]:
        """Children that lead to what is to be seen, out of groups that aren't open or don't begin with them."""
        asked = self._paths.asked
        inside = [node for node in self._paths.nodes.values() if node.parent_id == parent_id]
        hidden = [node for node in inside if node.pk in asked or node.state not in _OPEN_GROUPS]
        return sorted(sorted(hidden, key=lambda node: node.pk not in asked)[:PAGE])

    def _group(self, entry: Entry, group: Group) -> Iterator[Entry]:
        key = group.key
        is_open = key in self._view.opened or (group.state in _OPEN_GROUPS and self._view.mode in ("", "failed"))
        if key in self._view.folded or not is_open:
            return
        shown = self._view.opened.get(key, PAGE)
        children = self._source.children(group.parent_id)
        if children is None:
            members = self._source.members(group, shown)
        else:
            folded = self._to_fold(children)
            members = [child for child in children if child.pk in folded]
        entry.is_open = bool(members)
        for member in members:
            if member.pk not in self._pinned_ids:
                yield Entry(entry.level + 1, node=member)
        if group.count > len(members) and children is None:
            yield Entry(entry.level + 1, group=group, rest=group.count - len(members))


def sample_of(source: Source, group: Group) -> UUID | None:
    return source.one_of(group) if group.state == JobState.WAITING else None
