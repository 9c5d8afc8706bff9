"""`job_id`: a custom id, unique in its queue while the row exists, compared exactly, whoever adds at the same time."""

import subprocess
import sys
import threading

import pytest
from django.db import connections, transaction

from conveyor_django import FlowProducer, Queue, flows
from conveyor_django.exceptions import DuplicateJob, InvalidFlow
from conveyor_django.models import Job

from .helpers import add, after_reading, finish, job, node, states, tidy

pytestmark = pytest.mark.django_db


def test_a_job_that_exists_is_returned_and_nothing_is_added():
    queue = Queue("q")
    first = queue.add("first", {"n": 1}, {"job_id": "one", "attempts": 2})
    second = queue.add("second", {"n": 2}, {"job_id": "one"})
    assert second == first
    assert (second.name, second.data, second.max_attempts) == ("first", {"n": 1}, 2)
    assert Job.objects.count() == 1


@pytest.mark.parametrize("state", ["completed", "cancelled"])
def test_as_long_as_the_row_exists(state):
    queue = Queue("q")
    first = queue.add("first", opts={"job_id": "one"})
    finish("first") if state == "completed" else first.cancel()
    assert queue.add("second", opts={"job_id": "one"}) == first
    first.remove()
    assert queue.add("third", opts={"job_id": "one"}).name == "third"


def test_it_is_unique_in_its_queue_only():
    assert Queue("a").add("x", opts={"job_id": "one"}) != Queue("b").add("x", opts={"job_id": "one"})


def test_a_bulk_with_some_that_exist_and_some_twice():
    queue = Queue("q")
    old = queue.add("old", opts={"job_id": "old"})
    jobs = queue.add_bulk(
        [
            ("plain", {}),
            ("again", {}, {"job_id": "old"}),
            ("new", {}, {"job_id": "new"}),
            ("newer", {}, {"job_id": "new"}),
            ("plain", {}),
        ]
    )
    assert [j.name for j in jobs] == ["plain", "old", "new", "new", "plain"]
    assert jobs[1] == old
    assert jobs[2] == jobs[3]
    assert Job.objects.count() == 4


def test_a_flow_whose_root_exists_is_returned():
    [first] = add(node("root", node("a"), node("b"), job_id="one"))
    finish("a")
    [second] = add(node("other", node("c", job_id="x"), job_id="one"))
    assert second == FlowProducer().get_flow(first.job.id)
    assert [child.job.state for child in second.children] == ["completed", "waiting"]
    assert Job.objects.count() == 3


def test_the_same_flow_twice():
    """Also when its inner nodes have ids: they belong to the flow that exists."""

    def flow():
        return node("root", node("a", node("b", job_id="b"), job_id="a"), job_id="one")

    assert add(flow()) == add(flow())
    assert Job.objects.count() == 3


def test_a_root_that_exists_as_a_child_of_another_flow():
    add(node("root", node("child", node("leaf"), job_id="one")))
    [result] = add(node("other", node("x"), job_id="one"))
    assert (result.job.name, [c.job.name for c in result.children]) == ("child", ["leaf"])
    assert Queue("q").add("yet another", opts={"job_id": "one"}).name == "child"


@pytest.mark.parametrize(
    "flow",
    [
        node("root", node("child", job_id="taken")),
        node("root", node("a"), node("b", node("c", node("d"), job_id="taken")), job_id="new"),
        node("root", *(node(str(n)) for n in range(1200)), node("child", node("below"), job_id="taken")),
    ],
)
def test_any_other_node_that_exists_is_an_error_and_nothing_is_written(flow):
    Queue("q").add("there", opts={"job_id": "taken"})
    for given in ([flow], [node("fine", node("x")), flow]):
        with pytest.raises(DuplicateJob, match=r"'taken'.*'q'"):
            FlowProducer().add_bulk(given)
        assert states() == {"there": "waiting"}


@pytest.mark.parametrize(
    "given",
    [
        [node("root", node("a", job_id="x"), node("b", job_id="x"))],
        [node("root", node("a", job_id="x"), job_id="x")],
        [node("one", job_id="x"), node("two", job_id="x")],
        [node("one", node("a", job_id="x")), node("two", node("b", job_id="x"))],
        [node("one", node("a", job_id="x")), node("two", job_id="x")],
    ],
)
def test_two_of_one_call_that_are_equal_in_a_queue(given):
    with pytest.raises(InvalidFlow, match="'x'"):
        FlowProducer().add_bulk(given)
    assert not Job.objects.exists()


def test_equal_ones_in_different_queues():
    add(node("root", node("a", job_id="x"), node("b", job_id="x", queue="other")))
    assert Job.objects.filter(job_id="x").count() == 2


EXACT = [
    "order-A",
    "ORDER-A",
    "order-a",
    "order-A ",
    " order-A",
    "order-A  ",
    "ordér-A",
    "orde\u0301r-A",
    "0",
    "00",
    "ß",
    "ss",
]


def test_they_compare_exactly():
    queue = Queue("q")
    added = {value: queue.add("job", opts={"job_id": value}) for value in EXACT}
    assert len({j.pk for j in added.values()}) == len(EXACT)
    for value, there in added.items():
        assert queue.get_job(value) == there
        assert queue.add("again", opts={"job_id": value}) == there
    assert queue.get_job("Order-A") is None


def test_names_and_queues_compare_exactly():
    for value in EXACT:
        Queue(value).add(value, opts={"job_id": "x"})
    for value in EXACT:
        assert Queue(value).count() == 1
        assert Job.objects.in_queue(value).get().name == value
        assert Job.objects.filter(name=value).count() == 1


# Looking them up


def test_get_job():
    queue = Queue("q")
    added = queue.add("job", opts={"job_id": "one"})
    other = Queue("other").add("job", opts={"job_id": "two"})
    for value in (added.pk, str(added.pk), added.pk.hex, "one"):
        assert queue.get_job(value) == added
    for value in (other.pk, str(other.pk), "two", "One", "", None, 5, "a\x00b", "\ud800", "x" * 300):
        assert queue.get_job(value) is None


def test_a_job_id_that_looks_like_an_id():
    queue = Queue("q")
    first = queue.add("first")
    second = queue.add("second", opts={"job_id": "01234567-89ab-7cde-8f01-23456789abcd"})
    third = queue.add("third", opts={"job_id": str(first.pk)})
    assert queue.get_job("01234567-89ab-7cde-8f01-23456789abcd") == second
    assert queue.get_job(str(first.pk)) == first  # ids come first
    assert third != first


# At the same time


def test_a_job_that_goes_while_it_is_being_found():
    """What stood in the way is gone by the time it is read: then there is room."""
    queue = Queue("q")
    queue.add("old", opts={"job_id": "one"})
    with after_reading("insert_jobs", lambda: job("old").remove()):
        added = queue.add("new", opts={"job_id": "one"})
    assert states() == {"new": "waiting"}
    assert added == job("new")


def test_an_existing_flow_that_goes_before_it_is_read(monkeypatch):
    [first] = add(node("root", node("a"), job_id="one"))
    enqueue = flows.enqueue

    def enqueue_and_lose(using, trees):
        existing = enqueue(using, trees)
        job("root").remove()
        return existing

    monkeypatch.setattr(flows, "enqueue", enqueue_and_lose)
    [second] = add(node("again", job_id="one"))
    assert (second.job, second.children) == (first.job, [])
    assert states() == {}


def in_threads(*functions):
    """Run these at the same time, each with a connection of its own; their results or what they raised."""
    barrier = threading.Barrier(len(functions))
    results = [None] * len(functions)

    def run(index, function):
        try:
            barrier.wait(10)
            results[index] = function()
        except Exception as error:
            results[index] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return results


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(3))
def test_of_several_that_add_the_same_at_once_one_adds_and_all_get_it(attempt):
    def add_flow():
        return FlowProducer().add(node("root", node("a"), node("b", job_id="b"), job_id="one")).job.id

    def add_job():
        return str(Queue("jobs").add("job", opts={"job_id": "one"}).pk)

    added = in_threads(*[add_flow] * 6)
    assert set(added) == {str(job("root").pk)}
    jobs = in_threads(*[add_job] * 6)
    assert set(jobs) == {str(job("job").pk)}
    assert states() == {"root": "waiting-children", "a": "waiting", "b": "waiting", "job": "waiting"}


@pytest.mark.django_db(transaction=True)
def test_bulks_that_overlap_in_another_order():
    numbers = list(range(200))

    def add_some(order):
        return lambda: [j.pk for j in Queue("q").add_bulk([(str(n), {}, {"job_id": str(n)}) for n in order])]

    one, two = in_threads(add_some(numbers), add_some(numbers[::-1]))
    assert one == two[::-1]
    assert Job.objects.count() == 200


@pytest.mark.django_db(transaction=True)
def test_inner_nodes_at_once():
    """One flow is stored, the other is an error; none is stored in part."""

    def add_flow(root):
        return lambda: add(node(root, *(node(f"{root}-{n}", job_id=str(n)) for n in range(20))))

    results = in_threads(add_flow("one"), add_flow("two"))
    assert sorted(type(result) for result in results if isinstance(result, Exception)) == [DuplicateJob]
    assert Job.objects.count() == 21


@pytest.mark.django_db(transaction=True)
@pytest.mark.only_on("postgresql", "mysql", reason="one writer at a time: the second can't even begin")
@pytest.mark.parametrize("commit", [True, False])
def test_the_second_waits_for_the_first_to_commit(commit):
    begun, go_on = threading.Event(), threading.Event()

    def first():
        with transaction.atomic():
            added = Queue("q").add("first", opts={"job_id": "one"})
            begun.set()
            assert go_on.wait(20)
            transaction.set_rollback(not commit)
        return added.name

    def second():
        assert begun.wait(20)
        threading.Timer(0.3, go_on.set).start()
        with transaction.atomic():
            name = Queue("q").add("second", opts={"job_id": "one"}).name
            Queue("q").add("more")  # the caller's transaction is usable
        assert go_on.is_set()
        return name

    expected = "first" if commit else "second"
    assert in_threads(first, second) == ["first", expected]
    assert states() == {expected: "waiting", "more": "waiting"}


@pytest.mark.django_db(transaction=True)
def test_removed_and_added_again_and_again():
    """Jobs that come and go under one id: nobody sees an error, nobody gets nothing."""

    def add_many():
        return [Queue("q").add("job", opts={"job_id": "one", "remove_on_fail": True}).pk for _ in range(20)]

    def cancel_many():
        taken = 0
        for _ in range(20):
            for there in Job.objects.waiting():
                try:
                    there.cancel()
                except Job.DoesNotExist:
                    continue
            taken += tidy()
        return taken

    added, taken = in_threads(add_many, cancel_many)
    assert len(added) == 20
    assert isinstance(taken, int)
    assert len(set(added)) <= taken + 1


def test_forked_processes_make_ids_of_their_own_when_the_clock_goes_back():
    script = """
import os, time
from unittest import mock
from conveyor_django.ids import new_id
new_id()
past = time.time_ns() - 10**9
for _ in range(2):
    if os.fork() == 0:
        with mock.patch("time.time_ns", return_value=past):
            print(new_id(), flush=True)
        os._exit(0)
    os.wait()
"""
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert len(set(made)) == 2
