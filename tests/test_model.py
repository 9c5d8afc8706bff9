"""The product against the model, step by step, for whatever steps Hypothesis thinks of; and what the model foretells.

`CONVEYOR_TEST_EXAMPLES=5000` tries so many, other ones at each run; without it they are few and always the same.
"""

import os
from collections import defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from .chaos.model import Model, verdicts
from .machine import Flows
from .machine.inputs import plain_trees

WANTED = int(os.environ.get("CONVEYOR_TEST_EXAMPLES", 0))
EXAMPLES = settings(
    max_examples=WANTED or 100,
    stateful_step_count=30,
    derandomize=not WANTED,
    deadline=None,
    phases=[Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.django_db(transaction=True)
def test_every_step_is_the_models():
    run_state_machine_as_test(Flows, settings=EXAMPLES)


@settings(EXAMPLES)
@given(tree=plain_trees, data=st.data())
def test_verdicts_are_what_all_orders_of_events_come_to(tree, data):
    ends = {node.name: data.draw(st.sampled_from(["completed", "failed"]), node.name) for node in tree.walk()}
    model = Model()
    model.add(tree)
    came_to = defaultdict(set)
    for final in all_ends(model, ends):
        for name in ends:
            came_to[name].add(final.jobs[name].state if name in final.jobs else "removed")
    assert came_to == verdicts(tree, ends)


def all_ends(model: Model, ends: dict[str, str]) -> Iterator[Model]:
    """What the model can come to when nothing but its jobs' own ends happens, in every order."""
    seen = set()
    todo = [model]
    while todo:
        model = todo.pop()
        movable = model.in_state("waiting", "active")
        if not movable:
            yield model
        for job in movable:
            after = model.copy()
            steps = {"waiting": after.claim, "completed": after.complete, "failed": after.fail}
            steps[ends[job.name] if job.state == "active" else job.state](job.name)
            if (looks := frozenset((each.name, each.state, each.parent) for each in after.jobs.values())) not in seen:
                seen.add(looks)
                todo.append(after)
