"""Retry: of a child, with its parent in each state; of a parent, with children in each."""

import pytest

from conveyor_django import Queue, transitions
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.models import Job
from conveyor_django.outcomes import Failed

from .helpers import (
    USING,
    add,
    bring,
    delay,
    exists,
    fail,
    finish,
    ids,
    job,
    meanwhile,
    node,
    settle,
    start,
    states,
)

pytestmark = pytest.mark.django_db

FINISHED = ("completed", "failed", "cancelled")


def test_retry_starts_again_and_keeps_the_history():
    add(node("job", attempts=2))
    fail("job", "first")
    fail("job", "second")
    before = job("job")
    assert (before.attempts_made, before.errors.count()) == (2, 2)
    before.retry()
    after = job("job")
    assert after.state == before.state == "waiting"  # the instance is as the row now is
    assert (after.attempts_made, after.stalls, after.failed_reason, after.stacktrace) == (0, 0, "", "")
    assert after.finished_at is after.failed_by is after.return_value is None
    assert after.epoch == before.epoch > 0
    assert [error.reason for error in after.errors.order_by("pk")] == ["first", "second"]
    fail("job")
    fail("job")
    assert job("job").state == "failed"


def test_retry_of_a_stalled_job_counts_its_stalls_anew():
    add(node("job", max_stalls=1))
    for _ in range(2):
        start("job")
        transitions.rescue_stalled(USING)
    assert (job("job").state, job("job").stalls) == ("failed", 2)
    job("job").retry()
    assert job("job").stalls == 0


def test_a_completed_job_that_is_retried_has_no_value():
    add(node("parent", node("a"), node("b")))
    finish("a", 1)
    job("a").retry()
    assert job("a").return_value is None
    finish("b", 2)
    finish("a", 3)
    assert job("parent").get_children_values() == dict(zip(ids("a", "b"), [3, 2], strict=True))


@pytest.mark.parametrize("state", ["waiting", "delayed", "active", "waiting-children"])
def test_only_finished_jobs_can_be_retried(state):
    add(node("job", node("child")) if state == "waiting-children" else node("job"))
    if state != "waiting-children":
        bring("job", state)
    with pytest.raises(InvalidJobState, match=state):
        job("job").retry()
    assert states()["job"] == state


def test_a_job_that_is_gone():
    add(node("job"))
    finish("job")
    gone = job("job")
    gone.remove()
    with pytest.raises(Job.DoesNotExist):
        gone.retry()


# A child, with its parent in each state


def parent_with(child_state, **opts):
    """A parent that is released, its child finished like that, and another one completed."""
    add(node("root", node("parent", node("child"), node("other"), policy="ignore", **opts)))
    finish("other", 1)
    bring("child", child_state)


def count(name="parent"):
    return job(name).pending_children


@pytest.mark.parametrize("child_state", FINISHED)
def test_the_parent_is_waiting(child_state):
    parent_with(child_state)
    assert states()["parent"] == "waiting"
    job("child").retry()
    assert states()["parent"] == "waiting-children"
    assert count() == 1
    assert count("root") == 1
    finish("child", 2)
    assert states()["parent"] == "waiting"


@pytest.mark.parametrize("child_state", FINISHED)
def test_the_parent_is_delayed(child_state):
    parent_with(child_state, delay=60)
    assert states()["parent"] == "delayed"
    job("child").retry()
    assert states()["parent"] == "waiting-children"
    finish("child")
    assert states()["parent"] == "delayed"  # from its release, again


@pytest.mark.parametrize("child_state", FINISHED)
def test_the_parent_waits_for_another_child(child_state):
    add(node("parent", node("child"), node("other"), policy="ignore"))
    bring("child", child_state)
    job("child").retry()
    assert states()["parent"] == "waiting-children"
    assert count() == 2


@pytest.mark.parametrize("child_state", FINISHED)
@pytest.mark.parametrize("parent_state", ["active", "completed", "failed", "cancelled"])
def test_the_parent_ran_or_runs(parent_state, child_state):
    """Failed by itself, that is: it stays as it is, and only its count rises."""
    parent_with(child_state)
    bring("parent", parent_state)
    root = states()["root"]
    before = job("parent")
    job("child").retry()
    parent = job("parent")
    assert (parent.state, parent.failed_reason, parent.finished_at) == (
        parent_state,
        before.failed_reason,
        before.finished_at,
    )
    assert states()["root"] == root
    assert count() == 1
    finish("child")
    assert states()["parent"] == parent_state
    assert count() == 0


@pytest.mark.parametrize("child_state", ["failed", "cancelled"])
def test_the_parent_failed_through_the_child(child_state):
    add(node("root", node("parent", node("child"), node("other"))))
    bring("child", child_state)
    assert states() == {"root": "failed", "parent": "failed", "child": child_state, "other": "waiting"}
    job("child").retry()
    assert states() == dict.fromkeys(("root", "parent"), "waiting-children") | dict.fromkeys(
        ("child", "other"), "waiting"
    )
    for name in ("root", "parent"):
        reopened = job(name)
        assert (reopened.failed_reason, reopened.failed_by, reopened.finished_at) == ("", None, None)
    assert (count("root"), count("parent")) == (1, 2)
    for name in ("other", "child", "parent", "root"):
        finish(name)
    assert set(states().values()) == {"completed"}


@pytest.mark.parametrize("sibling_state", ["completed", "active", "delayed"])
def test_a_retried_completed_child_of_a_parent_that_failed_through_another(sibling_state):
    add(node("parent", node("bad"), node("child"), node("other")))
    finish("child")
    bring("other", sibling_state)
    fail("bad")
    job("child").retry()
    assert states()["parent"] == "failed"
    assert str(job("parent").failed_by) == ids("bad")[0]
    assert count() == (1 if sibling_state == "completed" else 2)
    job("bad").retry()
    assert states()["parent"] == "waiting-children"


def test_the_reason_moves_to_the_earliest_child_that_still_keeps_the_parent_failed():
    add(node("root", node("parent", node("a"), node("b"), node("c"))))
    a, b, c, parent = ids("a", "b", "c", "parent")
    fail("c", "first")
    fail("a", "second")
    job("b").cancel()
    assert str(job("parent").failed_by) == c
    job("b").retry()
    assert str(job("parent").failed_by) == c  # as long as that one is failed, nothing moves
    job("c").retry()
    assert job("parent").state == "failed"
    assert (str(job("parent").failed_by), job("parent").failed_reason) == (a, f"child {a} failed: second")
    assert str(job("root").failed_by) == parent
    fail("c", "again")
    assert str(job("parent").failed_by) == a
    job("a").retry()
    assert (str(job("parent").failed_by), job("parent").failed_reason) == (c, f"child {c} failed: again")
    job("c").retry()
    assert states() == dict.fromkeys(("root", "parent"), "waiting-children") | dict.fromkeys("abc", "waiting")


def test_the_earliest_is_the_one_that_finished_first():
    add(node("parent", *map(node, "abcd")))
    for name in "dbca":
        fail(name, name)
    job("d").retry()
    assert str(job("parent").failed_by) == ids("b")[0]
    assert job("parent").failed_reason.endswith("failed: b")


def test_the_reason_moves_to_a_cancelled_child():
    add(node("parent", node("a"), node("b")))
    fail("a")
    job("b").cancel()
    job("a").retry()
    assert str(job("parent").failed_by) == ids("b")[0]
    assert "cancelled" in job("parent").failed_reason


def test_a_child_that_failed_and_was_removed_keeps_nobody_failed():
    add(node("parent", node("a"), node("b")))
    fail("a")
    finish("b")
    job("a").remove()
    assert states() == {"parent": "failed", "b": "completed"}
    job("b").retry()
    assert states() == {"parent": "waiting-children", "b": "waiting"}


def test_reopening_stops_where_another_child_keeps_an_ancestor_failed():
    add(node("root", node("left", node("a")), node("right", node("b"))))
    fail("a")
    fail("b")
    assert str(job("root").failed_by) == ids("left")[0]
    job("a").retry()
    assert states()["left"] == "waiting-children"
    assert states()["root"] == "failed"
    assert str(job("root").failed_by) == ids("right")[0]
    assert count("root") == 1
    job("b").retry()
    assert states()["root"] == "waiting-children"
    assert count("root") == 2


def test_reopening_goes_to_the_root_and_from_there_releases_again():
    add(node("root", node("upper", node("middle", node("leaf"), node("x")), node("y"))))
    finish("y")
    fail("leaf")
    finish("x")
    assert states()["root"] == "failed"
    job("leaf").retry()
    assert [states()[name] for name in ("root", "upper", "middle")] == ["waiting-children"] * 3
    for name in ("leaf", "middle", "upper", "root"):
        finish(name)
    assert set(states().values()) == {"completed"}


def test_a_reopened_parent_reaches_a_grandparent_that_is_not_failed():
    """A reopened parent is a retried child to the one above it, whatever state that is in."""
    add(node("root", node("parent", node("child")), policy="ignore"))
    fail("child")
    assert states()["root"] == "waiting"
    job("child").retry()
    assert states()["root"] == "waiting-children"
    fail("child")
    start("root")
    job("child").retry()
    assert states() == {"root": "active", "parent": "waiting-children", "child": "waiting"}
    assert count("root") == 1
    finish("child")
    finish("parent")


def test_a_retried_child_reaches_over_a_parent_of_a_removed_one():
    add(node("root", node("parent", node("child"), policy="remove")))
    fail("child")
    assert not exists("parent")
    job("child").retry()
    assert states() == {"root": "waiting", "child": "waiting"}


# A parent


def test_a_parent_that_failed_through_children_takes_them_with_it():
    add(node("root", node("left", node("a"), node("b")), node("right", node("c")), node("d")))
    finish("b", "kept")
    finish("d")
    fail("a")
    job("c").cancel()
    job("root").retry()
    assert states() == {
        **dict.fromkeys(("root", "left", "right"), "waiting-children"),
        **dict.fromkeys(("a", "c"), "waiting"),
        **dict.fromkeys(("b", "d"), "completed"),
    }
    assert job("b").return_value == "kept"
    assert (count("root"), count("left"), count("right")) == (2, 1, 1)


def test_a_parent_that_failed_while_siblings_run_waits_for_those_too():
    add(node("parent", node("a"), node("b"), node("c")))
    start("b")
    fail("a")
    job("parent").retry()
    assert states() == {"parent": "waiting-children", "a": "waiting", "b": "active", "c": "waiting"}
    assert count() == 3


def test_a_parent_that_failed_by_itself_keeps_its_children_and_their_values():
    add(node("parent", node("a"), node("b"), policy="ignore"))
    finish("a", 42)
    fail("b", "b's reason")
    fail("parent")
    job("parent").retry()
    assert states() == {"parent": "waiting", "a": "completed", "b": "failed"}
    a, b = ids("a", "b")
    assert job("parent").get_children_values() == {a: 42}
    assert job("parent").get_children_failures() == {b: "b's reason"}


def test_a_cancelled_parent_takes_cancelled_and_failed_children_with_it():
    add(node("parent", node("a"), node("b"), node("c"), policy="ignore"))
    finish("a", 1)
    fail("b")
    job("parent").cancel()
    assert states() == {"parent": "cancelled", "a": "completed", "b": "failed", "c": "cancelled"}
    job("parent").retry()
    assert states() == {"parent": "waiting-children", "a": "completed", "b": "waiting", "c": "waiting"}


def test_a_child_that_comes_along_takes_its_own():
    add(node("root", node("parent", node("a"), node("b"), policy="ignore"), policy="fail"))
    job("root").cancel()
    job("root").retry()
    assert states() == dict.fromkeys(("root", "parent"), "waiting-children") | dict.fromkeys("ab", "waiting")
    fail("a")
    fail("b")
    fail("parent")  # by itself
    assert states()["root"] == "failed"
    job("root").retry()
    assert states() == {"root": "waiting-children", "parent": "waiting", "a": "failed", "b": "failed"}


def test_a_cancelled_parent_without_unsuccessful_children_runs_again():
    add(node("parent", node("a")))
    finish("a", 1)
    job("parent").cancel()
    job("parent").retry()
    assert states() == {"parent": "waiting", "a": "completed"}


def test_a_completed_parent_keeps_its_children():
    add(node("parent", node("a"), node("b"), policy="ignore"))
    finish("a", 1)
    fail("b")
    finish("parent")
    job("parent").retry()
    assert states() == {"parent": "waiting", "a": "completed", "b": "failed"}


def test_a_child_that_fails_meanwhile_comes_along():
    """The parent never runs without it, though the retry didn't see it coming."""
    add(node("parent", node("a"), node("b")))
    start("b")
    fail("a")
    parent = job("parent")
    with meanwhile(lambda: fail("b"), "subtree_ids", [parent.pk], ["failed", "cancelled"]):
        parent.retry()
    assert states() == {"parent": "waiting-children", "a": "waiting", "b": "waiting"}


# Many at once


def test_retry_of_parent_and_children_in_one_go():
    add(node("root", node("parent", node("a"), node("b"))))
    settle({"a": Failed("boom"), "b": Failed("boom")})
    transitions.retry(USING, Job.objects.values_list("pk", flat=True))
    assert states() == dict.fromkeys(("root", "parent"), "waiting-children") | dict.fromkeys("ab", "waiting")
    assert (count("root"), count("parent")) == (1, 2)


def test_retry_of_a_queue():
    add(
        node("p", node("a", queue="work"), node("b", queue="work"), queue="parents"),
        node("c", queue="work"),
        node("d", queue="work"),
        node("e", queue="work"),
    )
    for name in ("a", "b", "c"):
        fail(name)
    finish("d")
    job("e").cancel()
    assert Queue("work").retry_jobs() == 3
    assert states() == {"p": "waiting-children", "d": "completed", "e": "cancelled"} | dict.fromkeys("abc", "waiting")
    assert Queue("work").retry_jobs() == 0
    assert Queue("work").retry_jobs("cancelled") == 1
    assert Queue("work").retry_jobs(state="completed") == 1


def test_retry_of_a_queue_that_holds_parents_and_children_counts_each_once():
    add(node("root", node("parent", node("child"))), node("other"))
    fail("child")
    fail("other")
    assert Queue("q").retry_jobs() == 4
    assert states() == dict.fromkeys(("root", "parent"), "waiting-children") | dict.fromkeys(
        ("child", "other"), "waiting"
    )


def test_a_time_to_run_is_kept_while_a_parent_waits_again():
    add(node("parent", node("child")))
    finish("child")
    delay("parent")  # in an hour, says its processor
    run_at = job("parent").run_at
    job("child").retry()
    assert states()["parent"] == "waiting-children"
    finish("child")
    assert states()["parent"] == "delayed"
    assert job("parent").run_at == run_at
