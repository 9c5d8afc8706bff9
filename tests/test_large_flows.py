"""Chains thousands deep and parents of very many children: in bulk, and without recursion."""

from contextlib import contextmanager

import pytest
from django.db import connection

from conveyor_django import FlowJob, FlowProducer, Queue
from conveyor_django.models import Job

from .alike import emptied_after
from .helpers import add, fail, finish, ids, job, node, start, states, tidy

pytestmark = emptied_after

DEPTH = 5_000
MANY = 100_000 if connection.vendor == "postgresql" else 20_000


def chain(depth=DEPTH, **opts):
    """leaf < n1 < n2 < ... < root"""
    flow = node("leaf")
    for level in range(1, depth - 1):
        flow = node(f"n{level}", flow, **opts)
    return node("root", flow, **opts)


def wide(children):
    return FlowJob("root", "q", children=[FlowJob("child", "q", {"n": n}) for n in range(children)])


@contextmanager
def statements():
    """A list that counts the block's statements, without keeping them: some name thousands of ids."""
    counted = []

    def count(execute, sql, params, many, context):
        counted.append(1)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        yield counted


def in_state(state):
    return Job.objects.filter(state=state).count()


# Deep


def test_a_deep_chain_is_added_read_and_deleted():
    with statements() as added:
        [result] = add(chain())
    assert len(added) < 100
    assert Job.objects.count() == DEPTH
    assert Job.objects.get(name="leaf").depth == DEPTH - 1
    stored = FlowProducer().get_flow(result.job.id)
    assert stored == result
    depth = 0
    while stored.children:
        assert stored.job.state == "waiting-children"
        [stored] = stored.children
        depth += 1
    assert (depth, stored.job.name, stored.job.state) == (DEPTH - 1, "leaf", "waiting")
    inner = FlowProducer().get_flow(job("n2500").pk, depth=3)
    assert [inner.job.name, inner.children[0].children[0].job.name] == ["n2500", "n2498"]
    with statements() as removed:
        job("root").delete()
    assert len(removed) < 100
    assert not Job.objects.exists()


def test_a_failure_climbs_a_deep_chain_and_a_retry_goes_back_up_and_down():
    add(chain())
    with statements() as failed:
        fail("leaf")
    assert (in_state("failed"), job("n1").failed_by) == (DEPTH, job("leaf").pk)
    assert ids("n4998")[0] in job("root").failed_reason
    with statements() as reopened:
        job("leaf").retry()
    assert (in_state("waiting-children"), in_state("waiting")) == (DEPTH - 1, 1)
    fail("leaf")
    with statements() as retried:
        job("root").retry()
    assert (in_state("waiting-children"), in_state("waiting")) == (DEPTH - 1, 1)
    with statements() as cancelled:
        job("root").cancel()
    assert in_state("cancelled") == DEPTH
    for counted in (failed, reopened, retried, cancelled):
        assert len(counted) < 120


def test_a_deep_chain_is_released_step_by_step():
    add(chain(200))
    for name in ("leaf", *(f"n{level}" for level in range(1, 199)), "root"):
        finish(name, name)
    assert in_state("completed") == 200
    assert list(job("root").get_children_values().values()) == ["n198"]


@pytest.mark.parametrize("how", ["obliterate", "drain", "clean", "queryset"])
def test_a_deep_chain_goes_with_its_queue(how):
    """Each of its jobs is asked for, and its subtree is not walked once for each."""
    add(chain(2_000))
    with statements() as counted:
        taken = {
            "obliterate": Queue("q").obliterate,
            "drain": Queue("q").drain,
            "clean": lambda: Queue("q").clean("waiting-children", 0),
            "queryset": lambda: Job.objects.all().delete()[0],
        }[how]()
    assert taken == 2_000
    assert len(counted) < 150
    assert states() == {}


def test_policy_remove_far_up_with_survivors_far_down():
    """The tree under a removed root is thousands deep, and its lowest part goes on."""
    depth = 2_000
    flow = node("leaf")
    for level in range(1, depth):
        flow = node(f"n{level}", flow)
    add(node("root", node("bad"), flow, policy="remove"))
    start("leaf")
    fail("bad")
    assert states() == {"bad": "failed", "leaf": "active"}
    assert (job("leaf").root_id, job("leaf").depth) == (job("leaf").pk, 0)
    finish("leaf")


def test_survivors_of_a_removed_root_keep_a_deep_tree():
    depth = 2_000
    flow = node("leaf")
    for level in range(1, depth):
        flow = node(f"n{level}", flow)
    add(node("root", node("bad"), flow, policy="remove"))
    fail("leaf")  # up to n1999, and the root goes
    top = job(f"n{depth - 1}")
    assert set(states()) == {"leaf", *(f"n{level}" for level in range(1, depth))}
    assert (top.parent_id, top.root_id, top.depth) == (None, top.pk, 0)
    assert (job("leaf").root_id, job("leaf").depth) == (top.pk, depth - 1)
    assert Job.objects.filter(root=top).count() == depth


# Wide


def test_ten_thousand_children_take_few_statements():
    many = 10_000
    with statements() as added:
        result = FlowProducer().add(wide(many))
    assert len(added) < 100
    assert len(result.children) == many
    root = job("root")
    assert root.pending_children == many
    with statements() as read:
        assert FlowProducer().get_flow(root.pk) == result
    assert len(read) < 10
    with statements() as cancelled:
        root.cancel()
    assert in_state("cancelled") == many + 1
    with statements() as retried:
        root.retry()
    assert (in_state("waiting"), root.pending_children) == (many, many)
    for counted in (cancelled, retried):
        assert len(counted) < 100
    with statements() as removed:
        Queue("q").drain()
    assert len(removed) < 150


def test_many_roots_that_are_removed_when_they_complete():
    flows = [node(f"root-{n}", node(f"child-{n}"), remove_on_fail=True) for n in range(100)]
    add(*flows)
    for flow in flows:
        job(flow.name).cancel()
    assert tidy() == 200
    assert states() == {}


def test_very_many_children():
    result = FlowProducer().add(wide(MANY))
    assert len(result.children) == MANY
    root = Job.objects.get(pk=result.job.id)
    assert root.pending_children == Job.objects.filter(parent=root).count() == MANY
    assert [child.job.data["n"] for child in FlowProducer().get_flow(root.pk, depth=1).children] == list(range(MANY))
    with statements() as removed:
        root.delete()
    assert len(removed) < 1_000
    assert not Job.objects.exists()
