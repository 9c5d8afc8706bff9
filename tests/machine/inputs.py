"""What Hypothesis may hand to a step: trees, outcomes, and jobs in a state that suits it."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from itertools import product
from string import ascii_lowercase
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from conveyor_django.outcomes import Completed, Delayed, Failed, GivenBack
from tests.chaos.model import Node

QUEUES = ["q", "r"]
WORKERS = [0, 1]
NAMES = ["".join(letters) for letters in product(["", *ascii_lowercase], ascii_lowercase)]
LARGEST = 7  # jobs of one flow
CROWD = 12  # jobs that there are when no more flows are added

queues = st.sampled_from(QUEUES)
workers = st.sampled_from(WORKERS)
durations = st.sampled_from([0, 60, 600])
values = st.sampled_from([None, 0, False, "", {"n": 1}])
failures = st.builds(
    Failed,
    st.sampled_from(["boom", "bang"]),
    retry_in=st.sampled_from([0, 60]),
    discarded=st.booleans(),
)
outcomes = st.one_of(st.builds(Completed, values), failures, st.just(Delayed(60)), st.just(GivenBack()))


class Named(Node):
    """Shows only what isn't as usual, so that a failure can be read, and pasted."""

    def __repr__(self) -> str:
        usual = Node(self.name)
        unusual = [f.name for f in fields(self) if getattr(self, f.name) != getattr(usual, f.name)]
        return f"Named({', '.join([repr(self.name), *(f'{name}={getattr(self, name)!r}' for name in unusual)])})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For Hypothesis, which else shows dataclasses in its own way."""
        printer.text(repr(self))


UNUSUAL = [
    ("queue", "r"),
    ("attempts", 2),
    ("priority", -1),
    ("delay", 60),
    ("lifo", True),
    ("remove_on_complete", True),
    ("remove_on_fail", True),
    ("max_stalls", 0),
]


@st.composite
def shapes(draw: Any, names: Sequence[str], largest: int) -> list[Node]:
    """The jobs of a tree with the first of these names, the root before all others."""
    nodes: list[Node] = []
    for name in names[: draw(st.integers(1, largest))]:
        node = Named(name, policy=draw(st.sampled_from(["fail", "ignore", "remove"])))
        if nodes:
            draw(st.sampled_from(nodes)).children.append(node)
        nodes.append(node)
    return nodes


@st.composite
def trees(draw: Any, names: Sequence[str], now: float) -> Node:
    nodes = draw(shapes(names, LARGEST))
    for node in nodes:
        for option, value in draw(st.lists(st.sampled_from(UNUSUAL), max_size=2)):
            setattr(node, option, value)
        if draw(st.integers(0, 9)) == 9:
            node.delay, node.not_before = 0, now + 90
    draw(st.sampled_from(nodes)).job_id = draw(st.sampled_from([None, "one", "two"]))
    return nodes[0]


plain_trees = shapes(NAMES, 5).map(lambda nodes: nodes[0])
new_trees = st.runner().flatmap(lambda flows: trees(NAMES[len(flows.ids) :], flows.model.now))


def step_of(*states: str, **arguments: st.SearchStrategy[Any]) -> Callable[[Any], Any]:
    """A step for a job in one of these states."""
    names = st.runner().flatmap(lambda flows: st.sampled_from([job.name for job in flows.model.in_state(*states)]))

    def decorate(step: Any) -> Any:
        return precondition(lambda flows: flows.model.in_state(*states))(rule(name=names, **arguments)(step))

    return decorate
