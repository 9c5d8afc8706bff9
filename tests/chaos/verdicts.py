"""What each flow came to, compared with what the model allows."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from .flows import Node
from .history import Life
from .model import verdicts
from .violation import Violation


def wrong_verdicts(lives: Iterable[Life], planned: Mapping[str, Node]) -> Iterator[Violation]:
    """Of flows that nobody but workers touched."""
    flows: dict[UUID, list[Life]] = defaultdict(list)
    for life in lives:
        flows[life.root].append(life)
    for root_id, flow in flows.items():
        [root] = [life for life in flow if life.id == root_id]
        yield from _compare(flow, planned[root.name])


def _compare(flow: list[Life], plan: Node) -> Iterator[Violation]:
    nodes = {node.name: node for node in plan.walk()}
    if missing := nodes.keys() ^ {life.name for life in flow}:
        yield Violation("added", f"{plan.name}: not as planned: {sorted(missing)}")
        return
    allowed = verdicts(plan, {name: node.end for name, node in nodes.items()})
    for life in flow:
        if life.end not in allowed[life.name]:
            wanted = " or ".join(sorted(allowed[life.name]))
            yield Violation("verdict", f"{life.name} {life.id}: {life.end}, and by its flow it is to be {wanted}")
