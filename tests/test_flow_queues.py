"""drain, clean, obliterate and prune, with parents in the same and in other queues; paused queues."""

import pytest

from conveyor_django import Queue, transitions
from conveyor_django.exceptions import InvalidJobState, InvalidNode
from conveyor_django.models import Job, QueueState

from .helpers import USING, add, bring, claim, fail, finish, job, node, start, states

pytestmark = pytest.mark.django_db


def mixed():
    """One job in each state, of queue q; and a parent of each kind."""
    for state in ("waiting", "delayed", "active", "completed", "failed", "cancelled"):
        add(node(state))
        bring(state, state)
    add(node("parent", node("child")))


# drain


def test_drain_takes_what_waits():
    mixed()
    add(node("elsewhere", queue="other"))
    assert Queue("q").drain() == 4
    left = {name: name for name in ("active", "completed", "failed", "cancelled")}
    assert states() == {**left, "elsewhere": "waiting"}
    assert Queue("q").drain() == 0


def test_drain_takes_subtrees_in_other_queues_too():
    add(node("parent", node("a", queue="other"), node("b", node("c", queue="third"), queue="other")))
    finish("a")
    assert Queue("q").drain() == 4
    assert states() == {}


def test_drain_spares_a_job_whose_subtree_holds_an_active_one():
    add(node("root", node("parent", node("a"), node("b")), node("c")))
    start("a")
    assert Queue("q").drain() == 2  # what waits beside it
    assert states() == {"root": "waiting-children", "parent": "waiting-children", "a": "active"}
    finish("a")
    finish("parent")
    finish("root")


def test_drain_of_the_children_releases_a_parent_in_another_queue():
    add(node("parent", node("a", queue="kids"), node("b", queue="kids"), node("c", queue="kids"), queue="parents"))
    finish("c", 1)
    assert Queue("kids").drain() == 2
    assert states() == {"parent": "waiting", "c": "completed"}


def test_drain_of_the_parents_takes_the_children_with_them():
    add(node("parent", node("a", queue="kids"), node("b", queue="kids"), queue="parents"), node("other", queue="kids"))
    assert Queue("parents").drain() == 3
    assert states() == {"other": "waiting"}


def test_drain_leaves_finished_parents():
    add(node("parent", node("a"), node("b")))
    fail("a")
    assert Queue("q").drain() == 1
    assert states() == {"parent": "failed", "a": "failed"}
    assert job("parent").pending_children == 0


def test_drain_in_chunks(monkeypatch):
    add(*(node(f"p{i}", node(f"a{i}"), node(f"b{i}", queue="other")) for i in range(4)))
    start("a2")
    taken = transitions.queues.remove_where(
        USING, lambda: Job.objects.in_queue("q").in_state("waiting", "waiting-children"), chunk=2
    )
    assert taken == 9
    assert states() == {"p2": "waiting-children", "a2": "active", "b2": "waiting"}


# clean


@pytest.mark.parametrize("state", ["waiting", "delayed", "completed", "failed", "cancelled"])
def test_clean_takes_one_state(state):
    mixed()
    before = states()
    assert Queue("q").clean(state, 0) == 1  # not the waiting child: its parent is unfinished
    assert states() == {name: s for name, s in before.items() if name != state}


def test_clean_takes_parents_that_wait_with_their_subtrees():
    mixed()
    assert Queue("q").clean("waiting-children", 0) == 2


def test_clean_refuses_active_jobs_and_what_is_no_state():
    with pytest.raises(InvalidJobState):
        Queue("q").clean("active", 0)
    with pytest.raises(InvalidNode, match="waiting-children"):
        Queue("q").clean("done", 0)
    with pytest.raises(InvalidNode, match="older_than"):
        Queue("q").clean("failed", "yesterday")


def test_clean_looks_at_the_age():
    add(node("old"), node("new"))
    finish("old")
    finish("new")
    Job.objects.filter(name="old").update(finished_at="2020-01-01T00:00Z")
    assert Queue("q").clean("completed", 3600) == 1
    assert states() == {"new": "completed"}


def test_clean_skips_children_whose_parent_is_unfinished():
    add(node("parent", node("a", node("b")), node("c")))
    finish("b")
    finish("a")
    assert Queue("q").clean("completed", 0) == 1  # b, whose parent has completed
    assert states() == {"parent": "waiting-children", "a": "completed", "c": "waiting"}
    finish("c")
    finish("parent")
    assert Queue("q").clean("completed", 0) == 3


def test_clean_skips_a_job_whose_subtree_holds_an_active_one():
    add(node("root", node("parent", node("a"), node("b"))))
    start("b")
    fail("a")
    assert Queue("q").clean("failed", 0) == 1
    assert states() == {"root": "failed", "parent": "failed", "b": "active"}
    finish("b")
    assert Queue("q").clean("failed", 0) == 3


def test_clean_with_a_parent_in_another_queue():
    add(node("parent", node("a", queue="kids"), queue="parents"))
    finish("a", 1)
    assert Queue("kids").clean("completed", 0) == 0
    finish("parent")
    assert Queue("kids").clean("completed", 0) == 1
    assert states() == {"parent": "completed"}


# obliterate


def test_obliterate_takes_everything_and_the_pause():
    mixed()
    add(node("elsewhere", queue="other"))
    finish("active")
    Queue("q").pause()
    assert Queue("q").obliterate() == 8
    assert states() == {"elsewhere": "waiting"}
    assert not Queue("q").is_paused()
    assert Queue("q").obliterate() == 0


def test_obliterate_raises_while_something_is_active():
    mixed()
    before = states()
    with pytest.raises(InvalidJobState, match="active"):
        Queue("q").obliterate()
    assert states() == before
    assert Queue("q").obliterate(force=True) == len(before)
    assert states() == {}


def test_obliterate_raises_while_something_below_is_active():
    add(node("parent", node("child", queue="other"), queue="q"))
    start("child")
    with pytest.raises(InvalidJobState):
        Queue("q").obliterate()
    assert Queue("q").obliterate(force=True) == 2


def test_obliterate_releases_parents_in_other_queues():
    add(node("parent", node("a", queue="kids"), node("b", queue="kids"), queue="parents"))
    start("a")
    assert Queue("kids").obliterate(force=True) == 2
    assert states() == {"parent": "waiting"}


# prune


def prune(older_than=0.0, queue_name=None):
    return transitions.queues.prune(USING, older_than, queue_name)


def test_prune_takes_whole_finished_flows():
    add(node("done", node("a"), node("b", queue="other")), node("open", node("c")), node("single"))
    for name in ("a", "b", "done", "c", "single"):
        finish(name)
    assert prune() == 4
    assert states() == {"open": "waiting", "c": "completed"}


def test_prune_spares_a_flow_in_which_something_is_unfinished():
    add(node("root", node("a"), node("b")))
    fail("a")
    assert prune() == 0
    finish("b")
    assert prune(older_than=3600) == 0
    assert prune(queue_name="other") == 0
    assert prune(queue_name="q") == 3


def test_prune_takes_survivors_of_a_removed_parent():
    add(node("root", node("a"), node("b"), policy="remove"))
    start("b")
    fail("a")
    assert prune() == 1
    assert states() == {"b": "active"}


# A paused queue


def test_a_paused_queue_gives_no_job_and_a_parent_released_into_it_waits():
    add(node("parent", node("child", queue="kids"), queue="parents"))
    parents = Queue("parents")
    parents.pause()
    assert parents.is_paused()
    assert not Queue("kids").is_paused()
    finish("child")
    assert states()["parent"] == "waiting"
    assert claim(9) == []
    assert claim(9, "parents") == []
    parents.resume()
    assert not parents.is_paused()
    assert [j.name for j in claim(9)] == ["parent"]


def test_pause_and_resume_as_often_as_one_likes():
    queue = Queue("q")
    queue.resume()
    for _ in range(2):
        queue.pause()
    assert queue.is_paused()
    for _ in range(2):
        queue.resume()
    assert not queue.is_paused()
    assert QueueState.objects.count() == 1


def test_what_runs_in_a_paused_queue_runs_on():
    add(node("parent", node("child"), attempts=2))
    start("child")
    Queue("q").pause()
    finish("child", 1)
    assert states() == {"parent": "waiting", "child": "completed"}


def test_names_of_queues_compare_exactly():
    for name in ("q", "Q", "q ", " q"):
        Queue(name).add(repr(name))
    Queue("q").pause()
    assert [Queue(name).is_paused() for name in ("q", "Q", "q ", " q")] == [True, False, False, False]
    assert {j.name for j in claim(9)} == {"'Q'", "'q '", "' q'"}
    assert Queue("q").count() == Queue("q ").count() == 1
