"""Cancelling a job with its unfinished descendants; the parent above hears of a failure."""

import pytest

from conveyor_django import transitions
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.models import Job
from conveyor_django.outcomes import Completed, Failed

from .helpers import (
    USING,
    WORKER,
    add,
    bring,
    fail,
    finish,
    ids,
    job,
    meanwhile,
    node,
    report,
    report_of,
    start,
    states,
)

pytestmark = pytest.mark.django_db

OUTCOMES = [Completed(1), Failed("boom")]


def big():
    """A tree whose jobs are in every state."""
    add(
        node(
            "root",
            node("waiting"),
            node("delayed", delay=60),
            node("active"),
            node("completed"),
            node("failed"),
            node("inner", node("leaf"), node("done")),
            policy="ignore",
        )
    )
    for name in ("active", "completed", "failed"):
        bring(name, name)
    finish("done", 1)


def test_all_that_is_unfinished_is_cancelled_and_nothing_else():
    big()
    job("root").cancel()
    assert states() == {
        "completed": "completed",
        "done": "completed",
        "failed": "failed",
        **dict.fromkeys(("root", "waiting", "delayed", "active", "inner", "leaf"), "cancelled"),
    }
    for name in ("root", "inner", "leaf", "active"):
        cancelled = job(name)
        assert cancelled.failed_reason == "cancelled"
        assert cancelled.finished_at is not None
        assert cancelled.worker is None
        assert cancelled.pending_children == 0
        assert cancelled.failed_by is None
    assert job("done").return_value == 1


def test_the_instance_is_as_the_row_is():
    add(node("job"))
    target = job("job")
    target.cancel()
    assert (target.state, target.is_finished) == ("cancelled", True)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_a_cancelled_processor_returns_is_dropped(outcome):
    add(node("parent", node("child"), policy="ignore"))
    leased = start("child")
    job("child").cancel()
    assert states() == {"parent": "waiting", "child": "cancelled"}
    assert report(WORKER, report_of(leased, outcome)) == [leased.pk]
    child = job("child")
    assert (child.state, child.return_value, child.failed_reason) == ("cancelled", None, "cancelled")
    assert child.errors.count() == 0


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_also_when_the_job_runs_again_by_then(outcome):
    """The same worker leases it a second time: the fence knows the attempts apart."""
    add(node("job"))
    old = start("job")
    job("job").cancel()
    job("job").retry()
    new = start("job")
    assert (new.worker, new.epoch > old.epoch) == (old.worker, True)
    assert report(WORKER, report_of(old, outcome)) == [old.pk]
    assert job("job").state == "active"
    assert report(WORKER, report_of(new, Completed("second"))) == []
    assert job("job").return_value == "second"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("fail", {"root": "failed", "parent": "failed"}),
        ("ignore", {"root": "waiting-children", "parent": "waiting-children"}),
        ("remove", {"root": "waiting"}),
    ],
)
@pytest.mark.parametrize("state", ["waiting", "delayed", "active"])
def test_only_the_parent_of_the_topmost_job_hears(state, policy, expected):
    add(node("root", node("parent", node("top", node("a"), node("b")), node("sibling"), policy=policy)))
    bring("a", state)
    job("top").cancel()
    siblings = {} if policy == "remove" else {"sibling": "waiting"}
    assert states() == {**dict.fromkeys(("top", "a", "b"), "cancelled"), **siblings, **expected}
    assert Job.objects.filter(name__in="ab", failed_by__isnull=False).count() == 0
    assert job("top").failed_by is None


@pytest.mark.parametrize("inner", ["fail", "ignore", "remove"])
def test_inside_the_cancelled_subtree_no_policy_acts(inner):
    add(node("root", node("parent", node("a"), node("b"), policy=inner), node("c"), policy="remove"))
    job("root").cancel()
    assert states() == dict.fromkeys(("root", "parent", "a", "b", "c"), "cancelled")


def test_the_last_child_that_is_cancelled_releases_an_ignoring_parent():
    add(node("parent", node("a"), node("b"), policy="ignore"))
    finish("a")
    job("b").cancel()
    assert states()["parent"] == "waiting"
    assert job("parent").get_children_failures() == {ids("b")[0]: "cancelled"}


@pytest.mark.parametrize("parent_state", ["active", "completed", "failed", "cancelled"])
def test_a_parent_that_is_past_waiting_only_counts(parent_state):
    add(node("parent", node("child")))
    finish("child")
    bring("parent", parent_state)
    job("child").retry()
    job("child").cancel()
    assert states() == {"parent": parent_state, "child": "cancelled"}


# A finished job


def test_cancel_of_a_finished_job_cancels_what_is_unfinished_below():
    add(node("root", node("parent", node("a"), node("b", node("c"))), policy="ignore"))
    fail("a")
    assert states()["parent"] == "failed"
    job("parent").cancel()
    assert states() == {
        "root": "waiting",
        "parent": "failed",
        "a": "failed",
        **dict.fromkeys("bc", "cancelled"),
    }
    assert job("parent").pending_children == 0


def test_below_a_finished_job_further_down_too():
    add(node("root", node("middle", node("leaf"))))
    finish("leaf")
    finish("middle")
    job("leaf").retry()
    job("root").cancel()
    assert states() == {"root": "cancelled", "middle": "completed", "leaf": "cancelled"}
    assert job("middle").pending_children == 0


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_cancel_is_refused_where_there_is_nothing_to_cancel(state):
    add(node("job", node("child")))
    finish("child")
    bring("job", state)
    with pytest.raises(InvalidJobState, match=state):
        job("job").cancel()
    assert states() == {"job": state, "child": "completed"}


def test_cancel_of_several_is_all_or_nothing():
    add(node("a"), node("b"))
    finish("b")
    with pytest.raises(InvalidJobState):
        transitions.cancel(USING, [job("a").pk, job("b").pk])
    assert states()["a"] == "waiting"


def test_cancel_of_jobs_of_one_tree_at_once():
    add(node("root", node("parent", node("a"), node("b")), node("c")))
    assert transitions.cancel(USING, Job.objects.values_list("pk", flat=True)) == 5
    assert set(states().values()) == {"cancelled"}


def test_cancel_of_a_finished_parent_together_with_its_child():
    add(node("parent", node("a"), node("b")))
    fail("a")
    assert transitions.cancel(USING, [job("parent").pk, job("b").pk]) == 1
    assert states() == {"parent": "failed", "a": "failed", "b": "cancelled"}


def test_cancel_of_siblings_at_once():
    add(node("parent", node("a"), node("b"), node("c")))
    a, b = (job(name).pk for name in "ab")
    assert transitions.cancel(USING, [b, a]) == 2
    assert states() == {"parent": "failed", "a": "cancelled", "b": "cancelled", "c": "waiting"}
    assert job("parent").failed_by in (a, b)


def test_cancel_of_a_job_that_is_gone():
    add(node("job"))
    target = job("job")
    job("job").remove()
    with pytest.raises(Job.DoesNotExist):
        target.cancel()


def test_cancel_that_meets_the_end_of_the_job():
    add(node("parent", node("child")))
    target = job("child")
    with (
        meanwhile(lambda: finish("child", 1), "failing_ancestors", [target.parent_id]),
        pytest.raises(InvalidJobState),
    ):
        target.cancel()
    assert states() == {"parent": "waiting", "child": "completed"}


def test_cancel_that_meets_a_parent_which_waits_again():
    """A parent that ran needn't be removed; by the time of the lock it waits for the child."""
    add(node("root", node("parent", node("child"), node("other"), policy="remove", attempts=2)))
    finish("child")
    finish("other")
    start("parent")
    job("child").retry()
    target = job("child")
    with meanwhile(lambda: fail("parent"), "failing_ancestors", [target.parent_id]):
        target.cancel()
    assert states() == {"root": "waiting", "child": "cancelled", "other": "completed"}
