"""The order in which a queue gives its jobs: by priority, the last added of the lifo ones, first in first out."""

import pytest

from conveyor_django import Queue
from conveyor_django.exceptions import InvalidNode
from conveyor_django.models import Job

from .helpers import add, claim, fail, finish, job, node, states

pytestmark = pytest.mark.django_db


def names(jobs):
    return [job.name for job in jobs]


def one_by_one(limit=100):
    taken = []
    while len(taken) < limit and (jobs := claim()):
        taken += names(jobs)
    return taken


@pytest.mark.parametrize("size", [1, 2, 100])
def test_first_in_first_out(size):
    queue = Queue("q")
    for index in range(3):
        queue.add(f"single-{index}")
    queue.add_bulk([(f"bulk-{index}", {}) for index in range(3)])
    add(node("parent", node("child-0"), node("child-1", node("grandchild"))))
    queue.add("last")
    expected = [f"{kind}-{index}" for kind in ("single", "bulk") for index in range(3)]
    expected += ["child-0", "grandchild", "last"]
    taken = []
    while jobs := claim(size):
        assert len(jobs) <= size
        taken += names(jobs)
    assert taken == expected


def test_lower_priorities_first_and_in_order_among_equals():
    queue = Queue("q")
    for name, priority in [("a", 0), ("b", 5), ("c", -1), ("d", 5), ("e", -1), ("f", 0), ("g", -(2**31) + 1)]:
        queue.add(name, opts={"priority": priority})
    assert one_by_one() == ["g", "c", "e", "a", "f", "b", "d"]


def test_lifo_jobs_come_last_in_first_out_and_before_the_others():
    queue = Queue("q")
    queue.add("a")
    queue.add("b", opts={"lifo": True})
    queue.add("c")
    queue.add_bulk([(name, {}, {"lifo": True}) for name in "def"])
    queue.add("g", opts={"lifo": True})
    assert one_by_one() == ["g", "f", "e", "d", "b", "a", "c"]


def test_priority_comes_before_lifo():
    queue = Queue("q")
    queue.add("a", opts={"lifo": True, "priority": 1})
    queue.add("b")
    queue.add("c", opts={"lifo": True})
    assert one_by_one() == ["c", "b", "a"]


def test_lifo_holds_within_one_clock_tick(monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: 1)
    Queue("q").add_bulk([(str(index), {}, {"lifo": True}) for index in range(2500)])
    assert one_by_one(5) == ["2499", "2498", "2497", "2496", "2495"]


def test_a_retried_job_keeps_its_place():
    queue = Queue("q")
    for name in "abc":
        queue.add(name)
    assert names(claim()) == ["a"]
    fail("a")
    job("a").retry()
    assert one_by_one() == ["a", "b", "c"]


def test_a_released_parent_comes_after_its_children_and_before_what_was_added_later():
    add(node("parent", node("child")), node("later"))
    finish("child")
    assert one_by_one() == ["parent", "later"]


def test_change_priority():
    queue = Queue("q")
    for name in "abc":
        queue.add(name)
    job("c").change_priority(-1)
    job("a").change_priority(1)
    assert one_by_one() == ["c", "b", "a"]
    with pytest.raises(InvalidNode, match="priority"):
        job("a").change_priority("high")


def test_a_changed_priority_of_a_delayed_job_holds_when_it_is_due():
    Queue("q").add("a")
    late = Queue("q").add("b", opts={"delay": 60})
    late.change_priority(-1)
    late.promote()
    assert one_by_one() == ["b", "a"]


def test_several_queues_share_fairly():
    for queue in ("busy", "quiet", "empty"):
        Queue(queue).add_bulk([(f"{queue}-{index}", {}) for index in range({"busy": 20, "quiet": 2}.get(queue, 0))])
    taken = names(claim(6, "busy", "quiet", "empty"))
    assert len(taken) == 6
    assert [name for name in taken if name.startswith("quiet")] == ["quiet-0", "quiet-1"]
    assert [name for name in taken if name.startswith("busy")] == [f"busy-{index}" for index in range(4)]


def test_a_claim_takes_only_of_its_queues_and_never_more_than_it_asked_for():
    for queue in ("a", "b", "c"):
        Queue(queue).add_bulk([(f"{queue}-{index}", {}) for index in range(3)])
    assert sorted(names(claim(100, "a", "c"))) == ["a-0", "a-1", "a-2", "c-0", "c-1", "c-2"]
    assert claim(0, "b") == []
    assert names(claim(2)) == ["b-0", "b-1"]
    assert claim(5, "a", "nowhere") == []


def test_a_claim_leases():
    Queue("q").add("a", {"n": 1})
    [claimed] = claim()
    stored = Job.objects.get()
    for seen in (claimed, stored):
        assert (seen.state, seen.attempts_made, seen.epoch, seen.data) == ("active", 1, 1, {"n": 1})
    assert claimed.worker == stored.worker is not None
    assert claimed.started_at == stored.started_at is not None
    assert states() == {"a": "active"}
    assert claim() == []
