"""Which branches are open by themselves: the ways down to what failed, to what runs, and to the job asked for."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from uuid import UUID

from conveyor_django.states import JobState

from .nodes import Node
from .sources import Source

_HOPS = 30  # levels that are climbed for it


class Paths(NamedTuple):
    targets: frozenset[UUID]
    above: frozenset[UUID]  # their ancestors
    nodes: dict[UUID, Node]  # both
    asked: frozenset[UUID]  # of these, the job that was asked for and its ancestors


def paths(source: Source, asked: UUID | None, *, only_failed: bool) -> Paths:
    failed = source.in_state(JobState.FAILED, source.max_targets * 4 if only_failed else source.max_targets)
    # one that failed through a child is on the way to that
    targets = [node for node in failed if not (node.failed_by and _is_among(node.failed_by, failed))]
    if not only_failed:
        targets += source.in_state(JobState.ACTIVE, source.max_targets)
        targets += source.get([asked] if asked else []).values()
    nodes = {node.pk: node for node in targets}
    above = _above(source, targets)
    both = {**nodes, **above}
    return Paths(frozenset(nodes), frozenset(above), both, frozenset(_way_up(both, asked)))


def _way_up(nodes: dict[UUID, Node], pk: UUID | None) -> Iterator[UUID]:
    while pk and (node := nodes.get(pk)):
        yield pk
        pk = node.parent_id


def _is_among(pk: UUID, nodes: Iterable[Node]) -> bool:
    return any(node.pk == pk for node in nodes)


def _above(source: Source, nodes: Iterable[Node]) -> dict[UUID, Node]:
    above: dict[UUID, Node] = {}
    level = {node.parent_id for node in nodes if node.parent_id}
    for _ in range(_HOPS):
        found = source.get(level - above.keys())
        if not found:
            break
        above.update(found)
        level = {node.parent_id for node in found.values() if node.parent_id}
    return above
