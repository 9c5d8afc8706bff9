"""`remove_on_complete` and `remove_on_fail`: a parent never loses the values that it may still read."""

import sys

import pytest

from conveyor_django.ids import new_ids
from conveyor_django.models import Job
from conveyor_django.transitions.tidy import _whole_trees

from .helpers import add, after_reading, bring, fail, finish, ids, job, node, start, states, tidy

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("opts", "state", "stays"),
    [
        ({}, "completed", True),
        ({}, "failed", True),
        ({"remove_on_complete": True}, "completed", False),
        ({"remove_on_complete": True}, "failed", True),
        ({"remove_on_complete": True}, "cancelled", True),
        ({"remove_on_fail": True}, "completed", True),
        ({"remove_on_fail": True}, "failed", False),
        ({"remove_on_fail": True}, "cancelled", False),  # cancelled is unsuccessful
        ({"remove_on_complete": True, "remove_on_fail": True}, "waiting", True),
        ({"remove_on_complete": True, "remove_on_fail": True}, "active", True),
        ({"remove_on_complete": True, "remove_on_fail": True}, "delayed", True),
    ],
)
def test_a_root_goes_at_once(opts, state, stays):
    add(node("job", **opts))
    bring("job", state)
    assert tidy() == (0 if stays else 1)
    assert states() == ({"job": state} if stays else {})


def test_a_failed_attempt_is_not_the_end():
    add(node("job", attempts=2, remove_on_fail=True))
    fail("job")
    assert tidy() == 0
    fail("job")
    assert tidy() == 1


def test_children_stay_until_their_parent_has_completed():
    add(node("parent", node("a", remove_on_complete=True), node("b"), attempts=2))
    a, b = ids("a", "b")
    finish("a", "a's value")
    assert tidy() == 0
    finish("b", "b's value")
    assert tidy() == 0
    fail("parent")
    assert tidy() == 0
    assert start("parent").get_children_values() == {a: "a's value", b: "b's value"}
    finish("parent")
    assert tidy() == 1
    assert states() == {"parent": "completed", "b": "completed"}


def test_a_failed_parent_and_its_later_retry_still_read_them():
    add(node("parent", node("a", remove_on_complete=True, remove_on_fail=True)))
    [a] = ids("a")
    finish("a", [1, None])
    fail("parent")
    assert tidy() == 0
    job("parent").retry()
    assert tidy() == 0
    assert start("parent").get_children_values() == {a: [1, None]}
    finish("parent")
    assert tidy() == 1


def test_failed_children_stay_until_their_parent_has_completed():
    add(node("parent", node("a", remove_on_fail=True), node("b", remove_on_complete=True), policy="ignore"))
    a, _ = ids("a", "b")
    fail("a", "why")
    finish("b")
    assert tidy() == 0
    assert start("parent").get_children_failures() == {a: "why"}
    finish("parent")
    assert tidy() == 2
    assert states() == {"parent": "completed"}


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_an_unsuccessful_parent_keeps_its_children(state):
    add(node("parent", node("a", remove_on_complete=True)))
    finish("a")
    bring("parent", state)
    assert tidy() == 0
    assert states() == {"parent": state, "a": "completed"}


def test_a_parent_that_failed_through_a_child_keeps_both():
    add(node("parent", node("a", remove_on_fail=True), node("b", remove_on_complete=True)))
    fail("a")
    finish("b", 1)
    assert tidy() == 0
    job("parent").retry()
    finish("a", 2)
    assert list(start("parent").get_children_values().values()) == [2, 1]


def test_a_job_goes_with_its_subtree_once_all_of_it_is_finished():
    add(node("root", node("a"), node("b", node("c")), remove_on_fail=True))
    fail("a")
    assert states()["root"] == "failed"
    assert tidy() == 0  # the others run on
    finish("c")
    assert tidy() == 0
    finish("b")
    assert tidy() == 4
    assert states() == {}


def test_a_subtree_that_is_retried_holds_it_until_it_has_finished():
    add(node("root", node("a"), remove_on_complete=True))
    finish("a")
    finish("root")
    job("a").retry()
    assert tidy() == 0
    finish("a")
    assert tidy() == 2


def test_each_level_waits_for_the_one_above():
    add(node("root", node("middle", node("leaf", remove_on_complete=True), remove_on_complete=True)))
    finish("leaf")
    assert tidy() == 0
    finish("middle")
    assert tidy() == 1
    assert states() == {"root": "waiting", "middle": "completed"}
    finish("root")
    assert tidy() == 1
    assert states() == {"root": "completed"}


def test_a_child_that_completes_after_its_parent():
    add(node("parent", node("a", remove_on_complete=True), node("b")))
    finish("a", 1)
    finish("b")
    start("parent")
    job("a").retry()
    finish("parent")
    assert tidy() == 0
    finish("a")
    assert tidy() == 1


def test_a_survivor_of_a_removed_parent_goes_as_a_root():
    add(
        node(
            "parent",
            node("bad"),
            node("done", remove_on_complete=True),
            node("run", remove_on_fail=True),
            policy="remove",
        )
    )
    finish("done")
    start("run")
    assert tidy() == 0
    fail("bad")
    assert tidy() == 1
    assert states() == {"bad": "failed", "run": "active"}
    fail("run")
    assert tidy() == 1


def test_a_retry_keeps_what_was_due():
    add(node("job", remove_on_fail=True))
    fail("job")
    job("job").retry()
    assert tidy() == 0
    finish("job")
    assert tidy() == 0
    assert states() == {"job": "completed"}


def test_a_retry_in_between_keeps_the_job():
    add(node("root", node("a"), remove_on_complete=True))
    finish("a")
    finish("root")
    with after_reading("subtree_ids", lambda: job("root").retry()):
        assert tidy() == 0
    assert states() == {"root": "waiting", "a": "completed"}


def test_a_retried_child_in_between_keeps_both():
    add(node("root", node("a"), remove_on_complete=True))
    finish("a")
    finish("root")
    with after_reading("subtree_ids", lambda: job("a").retry()):
        assert tidy() == 0
    assert states() == {"root": "completed", "a": "waiting"}
    finish("a")
    assert tidy() == 2


def test_a_removal_in_between_is_no_harm():
    add(node("root", node("a"), node("b"), remove_on_complete=True))
    for name in ("a", "b", "root"):
        finish(name)
    with after_reading("subtree_ids", lambda: job("root").remove()):
        assert tidy() == 0
    assert states() == {}


def test_a_removal_between_two_pages_of_a_tree():
    """The children were read, their parents are gone by then."""
    child, parent, root = new_ids(3)
    assert _whole_trees({child: parent, root: None}, {root}, set()) == {child, root}
    assert _whole_trees({child: parent, root: None}, {root}, {child}) == {root}


def test_tidying_goes_on_in_slices(monkeypatch):
    module = sys.modules["conveyor_django.transitions.tidy"]  # the package has a function of that name
    monkeypatch.setattr(module, "_SLICE", 4)
    monkeypatch.setattr(module, "_PAGE", 2)
    add(node("root", *(node(f"n{i}", remove_on_complete=True) for i in range(11)), remove_on_complete=False))
    add(*(node(f"r{i}", node(f"c{i}"), remove_on_complete=True) for i in range(5)))
    for name in [*(f"n{i}" for i in range(11)), "root"]:
        finish(name)
    for i in range(5):
        finish(f"c{i}")
        finish(f"r{i}")
    assert tidy() == 21
    assert states() == {"root": "completed"}
    assert not Job.objects.filter(removal_due=True).exists()
