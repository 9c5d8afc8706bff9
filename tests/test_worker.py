"""The worker's loop: how many jobs at a time, in which order, of which queues, and until when."""

import asyncio
import threading
import time
from collections import Counter
from datetime import timedelta
from itertools import accumulate

import pytest
from django.db import transaction
from django.utils import timezone

from conveyor_django import JobState, Queue, Worker, processor
from conveyor_django.models import Job, WorkerProcess
from conveyor_django.transitions import cancel
from conveyor_django.worker import loop
from conveyor_django.worker.idle import has_work

from .factories import JobFactory, WorkerProcessFactory
from .processes import wait_for
from .workers import PATIENCE, running, wait, work, working

pytestmark = pytest.mark.django_db(transaction=True)


def add(queue_name, count, **opts):
    return Queue(queue_name).add_bulk((f"job-{n}", {"n": n}, opts) for n in range(count))


class Crowd:
    """Counts who is in at the same time."""

    def __init__(self):
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __enter__(self):
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *error):
        with self._lock:
            self.now -= 1


def test_sync_processors_run_side_by_side_in_threads():
    crowd, all_in, threads = Crowd(), threading.Barrier(4, timeout=PATIENCE), set()

    @processor("busy")
    def process(job):
        with crowd:
            all_in.wait()  # a worker that ran fewer at a time would never get past this
            threads.add(threading.current_thread())

    add("busy", 12)
    assert work("busy", concurrency=4) == 12
    assert crowd.most == 4
    assert threading.main_thread() not in threads
    assert Job.objects.completed().count() == 12


def test_async_processors_run_side_by_side_on_one_loop():
    crowd, all_in, loops = Crowd(), asyncio.Barrier(4), set()

    @processor("busy")
    async def process(job):
        with crowd:
            async with asyncio.timeout(PATIENCE):
                await all_in.wait()
            loops.add(asyncio.get_running_loop())

    add("busy", 12)
    assert work("busy", concurrency=4) == 12
    assert crowd.most == 4
    assert len(loops) == 1
    assert Job.objects.completed().count() == 12


def test_sync_and_async_share_the_slots():
    crowd = Crowd()

    @processor("busy", "sync")
    def sync(job):
        with crowd:
            wait(both)

    @processor("busy", "async")
    async def asynchronous(job):
        with crowd:
            both.set()
            await asyncio.sleep(0)

    both = threading.Event()
    Queue("busy").add_bulk([("sync", {}), ("async", {}), ("async", {}), ("sync", {})])
    assert work("busy", concurrency=2) == 4
    assert crowd.most == 2


def test_claims_no_more_than_its_free_slots():
    active = []

    @processor("busy")
    def process(job):
        time.sleep(0.03)  # quick ones are leased ahead
        active.append(Job.objects.active().count())

    add("busy", 10)
    work("busy", concurrency=2)
    assert len(active) == 10
    assert max(active) <= 2


def test_waiting_jobs_stay_free_for_others_while_the_slots_are_taken():
    done = threading.Event()

    @processor("busy")
    def process(job):
        wait(done)

    add("busy", 5)
    with working("busy", concurrency=2):
        wait_for(lambda: Job.objects.active().count() == 2)
        heartbeats = WorkerProcess.objects.filter(dead_at=None)
        assert [w.concurrency for w in heartbeats] == [2]
        assert Job.objects.waiting().count() == 3
        done.set()
        wait_for(lambda: Job.objects.completed().count() == 5)


@pytest.fixture
def order():
    """The names of jobs in the order in which a worker with one slot runs them."""
    names = []

    @processor("ordered")
    def process(job):
        names.append(job.name)

    return names


def test_first_in_first_out(order):
    add("ordered", 12)
    work("ordered")
    assert order == [f"job-{n}" for n in range(12)]


def test_lower_priority_first_then_lifo_then_the_order_of_adding(order):
    queue = Queue("ordered")
    queue.add("later", opts={"priority": 5})
    queue.add("first-in")
    queue.add("second-in")
    queue.add("urgent", opts={"priority": -1})
    queue.add("pushed", opts={"lifo": True})
    queue.add("pushed-last", opts={"lifo": True})
    queue.add("pushed-later", opts={"lifo": True, "priority": 5})
    work("ordered")
    assert order == ["urgent", "pushed-last", "pushed", "first-in", "second-in", "pushed-later", "later"]


def test_a_delayed_job_stays_when_idle_and_runs_when_due(order):
    queue = Queue("ordered")
    queue.add("far", opts={"delay": 3600})
    assert work("ordered") == 0
    job = queue.add("near", opts={"delay": 0.4})
    assert job.state == JobState.DELAYED
    due = job.run_at
    with working("ordered", poll_interval=60):  # the delay ends long before the next poll
        wait_for(lambda: order == ["near"])
    assert job.wait_until_finished(PATIENCE).started_at >= due
    assert queue.count(JobState.DELAYED) == 1


@pytest.mark.parametrize("every", [False, True], ids=["named queues", "every queue"])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_several_queues_share_the_worker(every, concurrency):
    add("long", 30)
    add("other", 10)
    names = None if every else ["empty-1", "empty-2", "long", "empty-3", "other"]
    worker = Worker(names, lambda job: time.sleep(0.03), concurrency=concurrency, poll_interval=0.05)
    assert worker.run(until_idle=True) == 40
    claimed = Job.objects.order_by("started_at", "id").values_list("queue_name", flat=True)
    both = claimed[:20]  # after that `other` is empty
    lead = accumulate(1 if name == "long" else -1 for name in both)
    assert max(map(abs, lead)) <= concurrency + 1  # those claimed together started together, in any order


def test_one_function_for_every_queue():
    seen = []
    add("one", 1)
    add("two", 1)
    assert Worker(processor=lambda job: seen.append(job.queue_name)).run(until_idle=True) == 2
    assert sorted(seen) == ["one", "two"]


def test_no_names_are_the_queues_with_a_processor():
    processor("known")(lambda job: None)
    known, unknown = add("known", 1), add("unknown", 1)
    worker = Worker()
    assert "known" in worker.queue_names
    worker.run(until_idle=True)
    assert known[0].wait_until_finished(0).state == JobState.COMPLETED
    unknown[0].refresh_from_db()
    assert unknown[0].state == JobState.WAITING


def test_a_paused_queue_gives_nothing_and_is_not_waited_for(order):
    queue = Queue("ordered")
    queue.pause()
    queue.add("held")
    assert work("ordered") == 0
    queue.resume()
    assert work("ordered") == 1


def test_until_idle_waits_for_what_others_run(order, monkeypatch):
    other = WorkerProcessFactory(expires_at=timezone.now() + timedelta(hours=1))
    parent = JobFactory(queue_name="ordered", name="parent", state=JobState.WAITING_CHILDREN)
    child = JobFactory(queue_name="ordered", state=JobState.ACTIVE, worker=other.pk, parent=parent)
    looks = Counter()
    monkeypatch.setattr(loop, "has_work", lambda *args: looks.update("1") or has_work(*args))
    with running(Worker("ordered", poll_interval=0.01), until_idle=True) as thread:
        wait_for(lambda: looks["1"] >= 3)
        assert thread.is_alive()
        cancel("default", [child.pk])
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_max_jobs_counts_attempts(order):
    add("ordered", 5)
    assert Worker("ordered", concurrency=4).run(max_jobs=3) == 3
    assert Queue("ordered").get_job_counts()["waiting"] == 2
    assert Worker("ordered").run(max_jobs=0) == 0
    assert Worker("ordered").run(until_idle=True, max_jobs=10) == 2


def test_run_again_and_again(order):
    worker = Worker("ordered", poll_interval=0.05)
    for _ in range(3):
        add("ordered", 2)
        assert worker.run(until_idle=True) == 2
    assert not WorkerProcess.objects.exists()  # each took its lease with it


def test_stop_from_another_thread_ends_a_long_wait():
    worker = Worker("nothing-to-do", poll_interval=3600)
    with running(worker) as thread:
        wait_for(WorkerProcess.objects.exists)
        worker.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_stop_before_run_is_not_lost():
    add("nobody-takes-it", 1)
    worker = Worker("nobody-takes-it", poll_interval=3600)
    worker.stop()
    assert worker.run() == 0


def test_stop_inside_a_processor(order):
    processor("ordered", "last")(lambda job: worker.stop())
    worker = Worker("ordered", poll_interval=3600)
    Queue("ordered").add("last")
    add("ordered", 3)
    assert worker.run() == 1
    assert Queue("ordered").get_job_counts()["waiting"] == 3


@pytest.mark.django_db
def test_a_transaction_of_the_callers_is_refused():
    with transaction.atomic(), pytest.raises(RuntimeError, match=r"conveyor_django\.testing\.drain"):
        Worker("any").run(until_idle=True)


@pytest.mark.django_db
@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "4", None])
def test_concurrency_is_a_number_of_slots(concurrency):
    with pytest.raises(ValueError, match="concurrency"):
        Worker("any", concurrency=concurrency)
