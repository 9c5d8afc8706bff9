"""Leasing ahead: quick jobs are claimed before there is a slot for them, and nobody has to wait or to suffer for it."""

import threading
import time

import pytest

from conveyor_django import JobState, Queue, Worker, processor
from conveyor_django.models import Job
from conveyor_django.worker import ledger

from .processes import wait_for
from .workers import Gate, running, wait, work, working

pytestmark = pytest.mark.django_db(transaction=True)
QUEUE = Queue("ahead")


def add(count, **opts):
    return QUEUE.add_bulk(("job", {"n": n}, opts) for n in range(count))


@pytest.fixture
def turns(monkeypatch):
    """How many jobs each turn claimed."""
    claimed, turn = [], ledger.turn

    def counted(*args):
        done = turn(*args)
        claimed.append(len(done.taken))
        return done

    monkeypatch.setattr(ledger, "turn", counted)
    return claimed


@pytest.mark.parametrize("how", ["sync", "async"])
def test_quick_jobs_are_leased_in_batches(turns, how):
    async def asynchronous(job):
        pass

    processor("ahead")(asynchronous if how == "async" else lambda job: None)
    add(500)
    assert work("ahead") == 500
    assert Job.objects.completed().count() == 500
    assert turns[0] == 1  # nothing is known of them yet
    assert len(turns) < 250
    assert 1 < max(turns) <= 101


def test_long_jobs_are_not_leased_ahead(turns):
    processor("ahead")(lambda job: time.sleep(0.03))
    add(5)
    work("ahead")
    assert max(turns) == 1


@pytest.fixture
def gate():
    gate = Gate(at=200)
    processor("ahead")(gate)
    add(300)
    yield gate
    gate.open.set()


def test_what_waits_behind_a_long_job_goes_back(gate):
    with working("ahead", poll_interval=60):
        wait(gate.reached)
        wait_for(lambda: Job.objects.active().count() == 1)
        others = Worker("ahead", gate)
        assert others.run(until_idle=False, max_jobs=99) == 99
        gate.open.set()
        wait_for(lambda: Job.objects.completed().count() == 300)
    assert sorted(gate.began) == list(range(300))
    assert set(Job.objects.values_list("attempts_made", "stalls")) == {(1, 0)}


def test_what_has_not_begun_goes_back_when_the_worker_stops(gate):
    worker = Worker("ahead", shutdown_timeout=20)
    with running(worker) as thread:
        wait(gate.reached)
        worker.stop()
        wait_for(lambda: Job.objects.active().count() == 1)
        gate.open.set()
        thread.join(20)
    assert gate.began == list(range(201))
    assert Job.objects.completed().count() == 201
    left = Job.objects.exclude(state=JobState.COMPLETED)
    assert set(left.values_list("state", "attempts_made", "stalls")) == {("waiting", 0, 0)}


def test_a_job_that_stalled_before_begins_with_nothing_leased_beside_it():
    seen = {}

    @processor("ahead")
    def process(job):
        if job.stalls:
            seen[job.data["n"]] = Job.objects.active().count()

    jobs = add(400)
    suspects = [jobs[n].pk for n in (150, 151, 300)]
    Job.objects.filter(pk__in=suspects).update(stalls=1)
    assert work("ahead", concurrency=2) == 400
    assert seen.keys() == {150, 151, 300}
    assert max(seen.values()) <= 2  # those with a slot
    assert set(Job.objects.values_list("state", "attempts_made")) == {("completed", 1)}


def test_jobs_of_some_milliseconds_use_all_slots():
    lock, now, most = threading.Lock(), set(), []

    @processor("ahead")
    def process(job):
        with lock:
            now.add(job.pk)
            most.append(len(now))
        time.sleep(0.01)
        with lock:
            now.discard(job.pk)

    add(200)
    work("ahead", concurrency=8)
    assert max(most) == 8
    assert sum(most) / len(most) > 2  # one that was leased by a thread would be alone most of the time


def test_an_urgent_job_waits_only_for_what_is_leased(turns):
    order = []

    @processor("ahead")
    def process(job):
        order.append(job.name)
        time.sleep(0.001)
        if len(order) == 100:
            QUEUE.add("urgent", {}, {"priority": -1})

    add(400)
    work("ahead")
    assert order.index("urgent") < 100 + 2 * max(turns) + 1
    assert max(turns) < 20
