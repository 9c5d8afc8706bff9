"""What a parent does when a child finishes unsuccessfully: the policies, alone and on top of each other."""

import itertools

import pytest

from conveyor_django.models import Job
from conveyor_django.outcomes import Completed, Failed

from .helpers import add, bring, fail, finish, ids, job, meanwhile, node, parents, settle, start, states

pytestmark = pytest.mark.django_db

POLICIES = ("fail", "ignore", "remove")
ENDINGS = {"failed": fail, "cancelled": lambda name: job(name).cancel()}
endings = pytest.mark.parametrize("ending", ENDINGS)


def three_levels(*policies, **leaf):
    """root > middle > lower > leaf, each with a sibling that only waits."""
    top, middle, bottom = policies
    return node(
        "root",
        node("a"),
        node(
            "middle",
            node("b"),
            node("lower", node("leaf", **leaf), node("c"), policy=bottom),
            policy=middle,
        ),
        policy=top,
    )


@endings
@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        # the lowest parent that doesn't fail decides how far it goes
        (("fail", "fail", "fail"), {"root": "failed", "middle": "failed", "lower": "failed"}),
        (("ignore", "fail", "fail"), {"root": "waiting-children", "middle": "failed", "lower": "failed"}),
        (("remove", "fail", "fail"), {"middle": "failed", "lower": "failed"}),
        *(
            ((top, "ignore", "fail"), {"root": "waiting-children", "middle": "waiting-children", "lower": "failed"})
            for top in POLICIES
        ),
        *(((top, "remove", "fail"), {"root": "waiting-children", "lower": "failed"}) for top in POLICIES),
        *(
            ((top, middle, "ignore"), dict.fromkeys(("root", "middle", "lower"), "waiting-children"))
            for top, middle in itertools.product(POLICIES, POLICIES)
        ),
        *(
            ((top, middle, "remove"), dict.fromkeys(("root", "middle"), "waiting-children"))
            for top, middle in itertools.product(POLICIES, POLICIES)
        ),
    ],
)
def test_policies_at_three_levels(policies, expected, ending):
    add(three_levels(*policies))
    ENDINGS[ending]("leaf")
    found = states()
    assert found.pop("leaf") == ending
    siblings = {name: found.pop(name) for name in ("a", "b", "c") if name in found}
    assert found == expected
    # what waits below a removed parent goes with it; elsewhere siblings are left alone
    gone = {"root": "abc", "middle": "bc", "lower": "c"}
    assert siblings == {
        name: "waiting" for name in "abc" if not any(name in gone[p] for p in gone if p not in expected)
    }


def test_a_failure_climbs_in_one_transaction_with_reasons():
    add(three_levels("fail", "fail", "fail"))
    leaf, lower, middle = ids("leaf", "lower", "middle")
    fail("leaf", "ValueError: boom")
    assert job("lower").failed_reason == f"child {leaf} failed: ValueError: boom"
    assert job("middle").failed_reason == f"child {lower} failed: child {leaf} failed: ValueError: boom"
    assert [str(job(name).failed_by) for name in ("lower", "middle", "root")] == [leaf, lower, middle]
    assert job("leaf").failed_by is None
    assert job("leaf").finished_at == job("root").finished_at


def test_a_cancelled_child_fails_its_parent_with_that_reason():
    add(node("parent", node("child")))
    job("child").cancel()
    parent = job("parent")
    assert parent.state == "failed"
    assert str(parent.failed_by) in parent.failed_reason
    assert "cancelled" in parent.failed_reason


def test_long_reasons_are_cut_and_still_name_the_child():
    add(node("root", node("middle", node("leaf"))))
    fail("leaf", "x" * 50_000)
    assert len(job("root").failed_reason) <= 4_000
    assert ids("middle")[0] in job("root").failed_reason


@pytest.mark.parametrize("policy", POLICIES)
def test_attempts_left_are_no_failure(policy):
    add(node("parent", node("child", attempts=3), policy=policy))
    fail("child")
    fail("child", retry_in=60)
    assert states() == {"parent": "waiting-children", "child": "delayed"}
    job("child").promote()
    fail("child")
    assert (
        states()
        == {"child": "failed"}
        | {
            "fail": {"parent": "failed"},
            "ignore": {"parent": "waiting"},
            "remove": {},
        }[policy]
    )


def test_discard_leaves_no_attempts():
    add(node("parent", node("child", attempts=3)))
    fail("child", discarded=True)
    assert states() == {"parent": "failed", "child": "failed"}


# fail


@endings
@pytest.mark.parametrize("state", ["waiting", "delayed", "active"])
def test_siblings_of_a_failed_child_run_on_and_change_nothing(state, ending):
    add(node("root", node("parent", node("child"), node("sibling"))))
    bring("sibling", state)
    ENDINGS[ending]("child")
    reasons = Job.objects.order_by("pk").filter(name__in=["root", "parent"])
    before = reasons.values_list("failed_reason", "failed_by", "finished_at")
    as_it_was = list(before)
    assert states()["sibling"] == state
    if state == "delayed":
        job("sibling").promote()
    fail("sibling", "another reason")
    assert list(before.all()) == as_it_was  # the first reason stands
    assert states() == {"root": "failed", "parent": "failed", "child": ending, "sibling": "failed"}


def test_a_sibling_that_completes_later_leaves_the_parent_failed():
    add(node("parent", node("a"), node("b")))
    fail("a")
    finish("b")
    assert states() == {"parent": "failed", "a": "failed", "b": "completed"}
    assert job("parent").pending_children == 0


@endings
def test_a_parent_fails_while_a_sibling_is_waiting_for_children_of_its_own(ending):
    add(node("parent", node("child"), node("sibling", node("grandchild"))))
    ENDINGS[ending]("child")
    finish("grandchild")
    finish("sibling")
    assert states() == {"parent": "failed", "child": ending, "sibling": "completed", "grandchild": "completed"}


def test_children_that_end_in_one_batch():
    add(node("parent", node("a"), node("b"), node("c")))
    a, _, c = ids("a", "b", "c")
    settle({"c": Failed("second"), "b": Completed(1), "a": Failed("first")})
    assert states() == {"parent": "failed", "a": "failed", "b": "completed", "c": "failed"}
    assert str(job("parent").failed_by) in (a, c)
    assert str(job("parent").failed_by) in job("parent").failed_reason
    assert job("parent").pending_children == 0


# ignore


@endings
def test_ignore_releases_when_no_child_is_unfinished_even_if_all_failed(ending):
    add(node("parent", node("a"), node("b"), policy="ignore"))
    ENDINGS[ending]("a")
    assert states()["parent"] == "waiting-children"
    ENDINGS[ending]("b")
    assert states()["parent"] == "waiting"
    a, b = ids("a", "b")
    assert job("parent").get_children_values() == {}
    reason = "boom" if ending == "failed" else "cancelled"
    assert job("parent").get_children_failures() == {a: reason, b: reason}


def test_ignore_gives_values_and_failures_apart():
    add(node("parent", node("a"), node("b"), node("c"), node("d"), policy="ignore"))
    a, b, c, d = ids("a", "b", "c", "d")
    fail("b", "ValueError: b")
    finish("d", 4)
    job("c").cancel()
    finish("a", None)
    parent = start("parent")
    assert parent.get_children_values() == {a: None, d: 4}
    assert parent.get_children_failures() == {b: "ValueError: b", c: "cancelled"}


# remove


@endings
@pytest.mark.parametrize("state", ["waiting", "delayed", "active", "completed"])
def test_remove_takes_what_was_not_started(state, ending):
    add(node("root", node("parent", node("child"), node("sibling"), policy="remove"), policy="fail"))
    bring("sibling", state)
    ENDINGS[ending]("child")
    survivors = {"sibling": state} if state in ("active", "completed") else {}
    assert states() == {"root": "waiting", "child": ending, **survivors}
    for name in ("child", *survivors):  # survivors become roots
        survivor = job(name)
        assert (survivor.parent_id, survivor.root_id, survivor.depth) == (None, survivor.pk, 0)
    if state == "active":
        finish("sibling", 1)
        assert job("sibling").return_value == 1


def test_remove_releases_the_grandparent_with_neither_value_nor_failure():
    add(node("root", node("parent", node("child"), policy="remove"), node("other")))
    finish("other", 1)
    fail("child")
    root = start("root")
    assert root.get_children_values() == {ids("other")[0]: 1}
    assert root.get_children_failures() == {}


def test_remove_of_a_root_leaves_no_parent():
    add(node("parent", node("a"), node("b"), policy="remove"))
    fail("a")
    assert states() == {"a": "failed"}


def test_survivors_keep_a_parent_that_survives_and_the_tree_below_them():
    add(
        node(
            "top",
            node("bad"),
            node("done", node("done-child", node("done-grandchild"))),
            node("open", node("running"), node("idle")),
            policy="remove",
        )
    )
    for name in ("done-grandchild", "done-child", "done"):
        finish(name)
    start("running")
    fail("bad")
    assert parents() == {
        "bad": None,
        "done": None,
        "done-child": "done",
        "done-grandchild": "done-child",
        "running": None,
    }
    done = job("done")
    assert {(j.root_id, j.depth) for j in Job.objects.filter(name__startswith="done")} == {
        (done.pk, 0),
        (done.pk, 1),
        (done.pk, 2),
    }
    assert job("running").root_id == job("running").pk


def test_remove_takes_a_retried_child_from_under_a_survivor():
    add(node("top", node("bad"), node("middle", node("again"), node("done")), policy="remove"))
    finish("again")
    finish("done")
    start("middle")
    job("again").retry()
    assert job("middle").pending_children == 1
    fail("bad")
    assert states() == {"bad": "failed", "middle": "active", "done": "completed"}
    assert job("middle").pending_children == 0
    finish("middle")


def test_remove_inside_a_failed_tree_still_takes_only_its_own():
    add(node("root", node("bad"), node("parent", node("child"), node("sibling"), policy="remove")))
    fail("bad")
    assert states()["root"] == "failed"
    fail("child")
    assert states() == {"root": "failed", "bad": "failed", "child": "failed"}
    assert job("root").pending_children == 0


def test_the_survivor_of_a_removed_parent_can_be_retried():
    add(node("parent", node("child"), policy="remove"))
    fail("child")
    job("child").retry()
    finish("child")
    assert states() == {"child": "completed"}


@pytest.mark.parametrize("policy", POLICIES)
def test_children_that_end_in_one_batch_under_each_policy(policy):
    add(node("root", node("parent", node("a"), node("b"), node("c"), policy=policy), policy="ignore"))
    settle({"a": Completed(1), "b": Failed("boom"), "c": Failed("boom")})
    root = {"fail": "waiting", "ignore": "waiting-children", "remove": "waiting"}[policy]
    parent = {"fail": {"parent": "failed"}, "ignore": {"parent": "waiting"}, "remove": {}}[policy]
    assert states() == {"root": root, "a": "completed", "b": "failed", "c": "failed", **parent}


def test_a_batch_that_fails_two_levels_at_once():
    """A child fails its parent while another removes the tree above: whatever comes first, nothing is left over."""
    add(node("top", node("x"), node("middle", node("y"), node("z")), policy="remove"))
    settle({"x": Failed("boom"), "y": Failed("boom")})
    found = states()
    assert "top" not in found
    assert found["x"] == found["y"] == "failed"
    assert not Job.objects.filter(state="waiting-children").exists()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_batch_in_which_one_removal_is_inside_of_another(policy):
    add(
        node(
            "top",
            node("inner", node("lowest", node("x"), node("y"), policy="remove"), node("c"), policy=policy),
            node("bad"),
            policy="remove",
        )
    )
    settle({"x": Failed("boom"), "c": Failed("boom"), "bad": Failed("boom")})
    inner = {"inner": "failed"} if policy == "fail" else {}
    assert states() == {"x": "failed", "c": "failed", "bad": "failed", **inner}
    assert parents()["c"] == ("inner" if policy == "fail" else None)


# A parent that isn't waiting for its children any more


@pytest.mark.parametrize("policy", POLICIES)
@endings
def test_a_running_parent_is_not_touched(policy, ending):
    add(node("parent", node("child"), policy=policy))
    finish("child")
    start("parent")
    job("child").retry()
    ENDINGS[ending]("child")
    assert states() == {"parent": "active", "child": ending}
    finish("parent")
    assert states() == {"parent": "completed", "child": ending}


def test_a_parent_whose_child_runs_again_waits_for_it_before_its_next_attempt():
    add(node("parent", node("child"), attempts=2))
    finish("child", 1)
    start("parent")
    job("child").retry()
    fail("parent")
    assert states() == {"parent": "waiting-children", "child": "waiting"}
    finish("child", 2)
    assert start("parent").get_children_values() == {ids("child")[0]: 2}


# What was read before the lock is looked at again under it


@pytest.mark.parametrize("policy", POLICIES)
def test_a_failure_climbs_by_the_states_under_the_lock(policy):
    """Above a running parent nothing has to be locked; by the time of the lock it waits for its child again."""
    add(node("root", node("parent", node("child"), policy=policy, attempts=2), node("other")))
    finish("child")
    start("parent")
    job("child").retry()
    start("child")
    with meanwhile(lambda: fail("parent"), "failing_ancestors", [job("parent").pk]):
        fail("child")
    assert (
        states()
        == {"child": "failed", "other": "waiting"}
        | {
            "fail": {"root": "failed", "parent": "failed"},
            "ignore": {"root": "waiting-children", "parent": "waiting"},
            "remove": {"root": "waiting-children"},
        }[policy]
    )


def test_a_removal_under_a_parent_that_failed_meanwhile():
    add(node("root", node("parent", node("child"), policy="remove"), node("other"), policy="fail"))
    with meanwhile(lambda: job("other").cancel(), "failing_ancestors", [job("parent").pk]):
        fail("child")
    assert states() == {"root": "failed", "child": "failed", "other": "cancelled"}
