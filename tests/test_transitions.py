"""Every move of the table is made by something, and nothing makes another one."""

from contextlib import contextmanager

import pytest
from django.db import transaction

from conveyor_django import JobState, Queue, transitions
from conveyor_django.engines import get_engine
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.models import Job
from conveyor_django.outcomes import Completed, Delayed, Failed, GivenBack
from conveyor_django.states import FINISHED, TRANSITIONS, UNFINISHED
from conveyor_django.transitions.work import Work

from .factories import JobFactory
from .helpers import (
    USING,
    WORKER,
    add,
    bring,
    delay,
    fail,
    finish,
    give_back,
    job,
    node,
    report,
    report_of,
    start,
    states,
    tidy,
)

pytestmark = pytest.mark.django_db


def parent_and_child(**opts):
    add(node("job", node("child"), **opts))


def released(**opts):
    parent_and_child(**opts)
    finish("child")


def finished_parent(state):
    """Finished, with a child that has been retried since."""
    released()
    bring("job", state)
    job("child").retry()


def stalled():
    add(node("job"))
    start("job")
    transitions.rescue_stalled(USING)  # nobody's lease: the worker has no row


def due():
    add(node("job", delay=3600))
    job("job").change_delay(0)
    transitions.promote_due(USING)


ROADS = {
    (None, "waiting"): [lambda: add(node("job"))],
    (None, "delayed"): [lambda: add(node("job", delay=60))],
    (None, "waiting-children"): [parent_and_child],
    ("delayed", "waiting"): [
        due,
        lambda: (add(node("job", delay=60)), job("job").promote()),
        lambda: (add(node("job", delay=60)), Queue("q").promote_jobs()),
    ],
    ("delayed", "waiting-children"): [lambda: (released(delay=60), job("child").retry())],
    ("waiting", "waiting-children"): [lambda: (released(), job("child").retry())],
    ("waiting-children", "waiting"): [released, lambda: (parent_and_child(), job("child").remove())],
    ("waiting-children", "delayed"): [lambda: released(delay=60)],
    ("waiting-children", "failed"): [
        lambda: (parent_and_child(), fail("child")),
        lambda: (parent_and_child(), job("child").cancel()),
    ],
    ("waiting-children", None): [lambda: (parent_and_child(policy="remove"), fail("child"))],
    ("waiting", "active"): [lambda: (add(node("job")), start("job"))],
    ("active", "completed"): [lambda: (add(node("job")), finish("job"))],
    ("active", "waiting"): [
        lambda: (add(node("job", attempts=2)), fail("job")),
        lambda: (add(node("job")), give_back("job")),
        stalled,
    ],
    ("active", "delayed"): [
        lambda: (add(node("job", attempts=2)), fail("job", retry_in=60)),
        lambda: (add(node("job")), delay("job")),
    ],
    ("active", "waiting-children"): [
        lambda: (released(attempts=2), start("job"), job("child").retry(), fail("job")),
        lambda: (released(attempts=2), start("job"), job("child").retry(), fail("job", retry_in=60)),
        lambda: (released(), start("job"), job("child").retry(), give_back("job")),
        lambda: (released(), start("job"), job("child").retry(), delay("job")),
    ],
    ("active", "failed"): [
        lambda: (add(node("job")), fail("job")),
        lambda: (add(node("job", attempts=9)), fail("job", discarded=True)),
        lambda: (add(node("job", max_stalls=0)), start("job"), transitions.rescue_stalled(USING)),
    ],
    ("waiting", "cancelled"): [lambda: (add(node("job")), job("job").cancel())],
    ("waiting-children", "cancelled"): [lambda: (parent_and_child(), job("job").cancel())],
    ("delayed", "cancelled"): [lambda: (add(node("job", delay=60)), job("job").cancel())],
    ("active", "cancelled"): [lambda: (add(node("job")), start("job"), job("job").cancel())],
    ("completed", "waiting"): [lambda: (add(node("job")), finish("job"), job("job").retry())],
    ("failed", "waiting"): [
        lambda: (add(node("job")), fail("job"), job("job").retry()),
        lambda: (add(node("job")), fail("job"), Queue("q").retry_jobs()),
    ],
    ("cancelled", "waiting"): [lambda: (add(node("job")), job("job").cancel(), job("job").retry())],
    ("completed", "waiting-children"): [lambda: (finished_parent("completed"), job("job").retry())],
    ("failed", "waiting-children"): [
        lambda: (finished_parent("failed"), job("job").retry()),
        lambda: (parent_and_child(), fail("child"), job("job").retry()),
        lambda: (parent_and_child(), fail("child"), job("child").retry()),
    ],
    ("cancelled", "waiting-children"): [
        lambda: (finished_parent("cancelled"), job("job").retry()),
        lambda: (parent_and_child(), job("job").cancel(), job("job").retry()),
    ],
}


def test_the_table_is_the_one_of_these_tests():
    assert set(ROADS) == set(TRANSITIONS)


@pytest.mark.parametrize(
    ("move", "road"), [pytest.param(move, road, id=f"{move[0]}-{move[1]}") for move in ROADS for road in ROADS[move]]
)
def test_move(move, road):
    road()
    assert states().get("job") == move[1]


# And no other


def finish_as(outcome):
    return lambda target: report(target.worker or WORKER, report_of(target, outcome))


ACTIONS = {
    "retry": lambda target: target.retry(),
    "retry_jobs": lambda target: [Queue("q").retry_jobs(state) for state in FINISHED],
    "cancel": lambda target: target.cancel(),
    "promote": lambda target: target.promote(),
    "promote_jobs": lambda target: Queue("q").promote_jobs(),
    "promote_due": lambda target: transitions.promote_due(USING),
    "claim": lambda target: transitions.claim(USING, WORKER, ["q"], 9, leased=False),
    "complete": finish_as(Completed(1)),
    "fail": finish_as(Failed("boom")),
    "fail and wait": finish_as(Failed("boom", retry_in=60)),
    "discard": finish_as(Failed("boom", discarded=True)),
    "delay": finish_as(Delayed(60)),
    "give back": finish_as(GivenBack()),
    "rescue": lambda target: transitions.rescue_stalled(USING),
    "change_priority": lambda target: target.change_priority(3),
    "change_delay": lambda target: target.change_delay(30),
    "update_data": lambda target: target.update_data({"new": True}),
    "child completes": lambda target: finish("child"),
    "child fails": lambda target: fail("child"),
    "child is cancelled": lambda target: job("child").cancel(),
    "child is retried": lambda target: job("child").retry(),
    "child is removed": lambda target: job("child").remove(),
    "tidy": lambda target: tidy(),
}
REMOVALS = {
    "remove": lambda target: target.remove(),
    "drain": lambda target: Queue("q").drain(),
    "clean": lambda target: [Queue("q").clean(state) for state in JobState if state != "active"],
    "obliterate": lambda target: Queue("q").obliterate(),
    "force": lambda target: Queue("q").obliterate(force=True),
}


ALONE = [state for state in JobState if state != "waiting-children"]


def alone(state):
    return JobFactory(name="job", queue_name="q", state=state, max_attempts=2)


def with_child(state):
    """A parent, its child unfinished where it waits for it and else completed."""
    parent = JobFactory(name="job", queue_name="q", state=state)
    child = "waiting" if state == "waiting-children" else "completed"
    JobFactory(name="child", queue_name="children", state=child, parent=parent)
    return parent


@contextmanager
def undone():
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("make", "state"), [*((alone, state) for state in ALONE), *((with_child, state) for state in JobState)]
)
def test_nothing_moves_a_job_outside_of_the_table(make, state):
    for name, action in ACTIONS.items():
        with undone():
            target = make(state)
            refused = False
            try:
                action(target)
            except (InvalidJobState, Job.DoesNotExist, AssertionError):  # the helpers assert: no such child, no lease
                refused = True
            after = states()["job"]
            assert after == state or (not refused and (state, after) in TRANSITIONS), f"{name}: {state} to {after}"


@pytest.mark.parametrize("state", ALONE)
def test_what_removes_changes_no_state_of_what_it_leaves(state):
    for name, action in REMOVALS.items():
        with undone():
            target = alone(state)
            try:
                action(target)
            except InvalidJobState:
                assert state == "active", name
            assert states().get("job", state) == state, name


@pytest.mark.parametrize("state", JobState)
def test_the_verbs_of_each_state(state):
    """Which of the verbs a job takes in which state."""
    taken = set()
    for verb in ("retry", "cancel", "promote", "change_priority", "change_delay", "remove"):
        if state == "waiting-children":
            target = job(add(node(f"parent to {verb}", node("child")))[0].job.name)
        else:
            target = JobFactory(queue_name="q", state=state)
        arguments = [1] if verb.startswith("change") else []
        try:
            getattr(target, verb)(*arguments)
            taken.add(verb)
        except InvalidJobState as error:
            assert str(target.pk) in str(error)
            assert state in str(error)
    expected = {"retry"} if state in FINISHED else {"cancel", "change_priority"}
    expected |= {"promote", "change_delay"} if state == "delayed" else set()
    expected |= {"change_delay"} if state == "waiting-children" else set()
    expected |= {"remove"} if state != "active" else set()
    assert taken == expected


@pytest.mark.parametrize("before", JobState)
@pytest.mark.parametrize("after", JobState)
def test_a_transition_refuses_what_is_not_in_the_table(before, after):
    if (before, after) in TRANSITIONS:
        return
    target = JobFactory(state=before, pending_children=0 if before != "waiting-children" else 1)
    if before == "waiting-children":
        JobFactory(parent=target)
    engine = get_engine(USING)
    with pytest.raises(RuntimeError, match="no transition"):
        Work(engine, engine.lock_jobs([target.pk])).move(target, after)


def test_the_sets_of_states():
    assert {"completed", "failed", "cancelled"} == FINISHED
    assert set(JobState) == FINISHED | UNFINISHED
    assert not FINISHED & UNFINISHED
