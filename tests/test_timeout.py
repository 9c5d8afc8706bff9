"""`timeout`: on record at the deadline, whatever the processor does about it, and nothing of it reaches another job."""

import asyncio
import ctypes
import random
import threading
import time
from collections import Counter

import pytest

from conveyor_django import JobState, Queue, Worker, processor
from conveyor_django.exceptions import JobCancelled, JobTimeout, LostLease
from conveyor_django.models import Job
from conveyor_django.outcomes import Completed, Failed
from conveyor_django.worker import due
from conveyor_django.worker.attempt import Attempt
from conveyor_django.worker.executor import Executor

from .factories import JobFactory
from .processes import wait_for
from .workers import PATIENCE, wait, work, working

pytestmark = pytest.mark.django_db(transaction=True)


def add(name="job", **opts):
    return Queue("timed").add(name, opts={"timeout": 0.1, **opts})


@pytest.fixture
def blocked():
    """A processor that one blocking call holds until `blocked.go`."""

    class Blocked:
        go = threading.Event()
        ended = threading.Semaphore(0)

    @processor("timed", "block")
    def block(job):
        try:
            wait(Blocked.go)
            return "late"
        finally:
            Blocked.ended.release()

    yield Blocked
    Blocked.go.set()


def test_recorded_at_the_deadline_though_the_thread_blocks_on(blocked, caplog):
    job = add("block")
    with working("timed"):
        job.wait_until_finished(PATIENCE)
        assert job.state == JobState.FAILED
        assert job.failed_reason == "JobTimeout: ran longer than 0.1 s"
        assert (job.finished_at - job.started_at).total_seconds() >= 0.1
        assert not blocked.ended.acquire(blocking=False)
        blocked.go.set()
        assert blocked.ended.acquire(timeout=PATIENCE)
    job.refresh_from_db()
    assert (job.state, job.return_value, job.errors.count()) == (JobState.FAILED, None, 1)  # too late
    assert "LostLease" not in caplog.text  # it isn't even tried


def test_its_slot_counts_until_the_thread_ends(blocked, monkeypatch):
    turns = Counter()
    next_due = due.next_due
    monkeypatch.setattr(due, "next_due", lambda *args: turns.update("1") or next_due(*args))
    processor("timed", "next")(lambda job: threading.current_thread())
    first, second = add("block"), Queue("timed").add("next")
    with working("timed", poll_interval=0.01):
        first.wait_until_finished(PATIENCE)
        seen = turns["1"]
        wait_for(lambda: turns["1"] > seen + 3)
        second.refresh_from_db()
        assert second.state == JobState.WAITING
        blocked.go.set()
        second.wait_until_finished(PATIENCE)


def test_a_retry_may_overlap_with_the_attempt_that_ran_out_of_time(blocked):
    @processor("timed", "job")
    def process(job):
        if job.attempts_made == 1:
            try:
                wait(blocked.go)
            finally:
                blocked.ended.release()
        return job.attempts_made

    job = add(attempts=2, timeout=0.5)
    with working("timed", concurrency=2):
        job.wait_until_finished(PATIENCE)
        assert not blocked.ended.acquire(blocking=False)  # the first one still runs
        blocked.go.set()
        assert blocked.ended.acquire(timeout=PATIENCE)
    job.refresh_from_db()
    assert (job.state, job.return_value, job.attempts_made) == (JobState.COMPLETED, 2, 2)


def test_nobody_waits_for_a_thread_that_ran_out_of_time(blocked):
    add("block")
    worker = Worker("timed", poll_interval=0.05)
    assert worker.run(until_idle=True) == 1
    assert worker.left_behind == 1
    add("block")
    assert worker.run(max_jobs=1) == 1
    assert worker.left_behind == 1
    assert not blocked.ended.acquire(blocking=False)


@pytest.mark.parametrize("swallows", [False, True])
def test_the_exception_reaches_code_that_can_be_interrupted(swallows):
    raised, threads = [], []

    @processor("timed", "job")
    def process(job):
        threads.append(threading.current_thread())
        try:
            spin()
        except JobTimeout as error:
            raised.append(error)
            assert job.cancel_requested
            if not swallows:
                raise
        return "late"

    @processor("timed", "next")
    def next_one(job):
        threads.append(threading.current_thread())
        for number in range(100_000):  # time enough for an exception that is on its way
            job.number = number
        return job.number

    job = add()
    following = Queue("timed").add("next")
    work("timed")
    job.refresh_from_db()
    assert (job.state, job.return_value, job.errors.count()) == (JobState.FAILED, None, 1)
    assert job.failed_reason.startswith("JobTimeout")
    assert len(raised) == 1
    assert following.wait_until_finished(0).return_value == 99_999
    assert threads[0] is not threads[1]  # what was interrupted anywhere isn't used again
    wait_for(lambda: not threads[0].is_alive())


def spin():
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        pass


def test_an_async_processor_is_cancelled():
    cancelled = []

    @processor("timed")
    async def process(job):
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            cancelled.append(job.cancel_requested)
            raise

    job = add()
    work("timed")
    job.refresh_from_db()
    assert job.failed_reason == "JobTimeout: ran longer than 0.1 s"
    assert cancelled == [True]


def test_an_async_processor_that_holds_the_event_loop_is_recorded_too(blocked):
    @processor("timed")
    async def process(job):
        wait(blocked.go)
        return "late"

    job = add()
    with working("timed"):
        job.wait_until_finished(PATIENCE)
        assert job.failed_reason.startswith("JobTimeout")
        blocked.go.set()
    job.refresh_from_db()
    assert job.return_value is None


def test_time_enough_changes_nothing():
    processor("timed")(lambda job: "in time")
    job = add(timeout=3600, attempts=2)
    work("timed")
    job.refresh_from_db()
    assert (job.return_value, job.attempts_made) == ("in time", 1)


def test_a_timeout_is_a_failed_attempt_like_any_other(blocked):
    job = add("block", attempts=2, backoff={"type": "fixed", "delay": 60})
    work("timed")
    job.refresh_from_db()
    assert (job.state, job.attempts_made) == (JobState.DELAYED, 1)
    assert (job.run_at - job.errors.get().created_at).total_seconds() == 60


# Around the processor's end: the interrupt comes when it likes, and must strike nothing but the processor


class StrikingLock:
    """Lets an interrupt that was on its way strike just before the `nth` critical section."""

    def __init__(self, nth):
        self.left = nth
        self._lock = threading.Lock()

    def __enter__(self):
        self.left -= 1
        if self.left == 0:
            interrupt_here(JobTimeout)
        self._lock.acquire()

    def __exit__(self, *error):
        self._lock.release()


def interrupt_here(error):
    ident = ctypes.c_ulong(threading.get_ident())
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(error))


@pytest.mark.django_db
@pytest.mark.parametrize("raises", [False, True])
def test_an_interrupt_that_strikes_the_very_end_is_the_last_one(raises):
    def process(job):
        if raises:
            raise ValueError

    attempt = Attempt(JobFactory.build(), None, process)
    attempt._guard = StrikingLock(nth=2)  # 1: before the processor, 2: after it
    assert isinstance(attempt.run(), Failed)
    assert attempt._guard.left < 0
    attempt.interrupt(LostLease)
    assert sum(range(10_000)) == 49_995_000  # nothing is raised here any more


@pytest.mark.django_db
def test_an_interrupt_before_the_start_keeps_the_processor_from_starting():
    started = []
    attempt = Attempt(JobFactory.build(), None, started.append)
    attempt.interrupt(JobCancelled)
    assert attempt.run().reason == "JobCancelled"
    assert not started


@pytest.mark.django_db
def test_interrupts_at_any_time_end_in_an_outcome_and_stay_in_their_attempt():
    outcomes = []
    attempts = [Attempt(JobFactory.build(), None, lambda job: sum(range(500))) for _ in range(400)]

    def run():
        for attempt in attempts:
            outcomes.append(attempt.run())

    thread = threading.Thread(target=run)  # an exception that leaks ends it
    thread.start()
    for attempt in attempts:
        while attempt._thread is None and not outcomes[attempts.index(attempt) :]:
            time.sleep(0)
        time.sleep(random.random() * 5e-5)
        attempt.interrupt(JobTimeout)
    thread.join(PATIENCE)
    assert len(outcomes) == len(attempts)
    assert {type(outcome) for outcome in outcomes} <= {Completed, Failed}
    assert not Job.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["sync", "async"])
def test_attempts_that_are_interrupted_as_they_start_still_end(how):
    async def asynchronous(job):
        await asyncio.sleep(PATIENCE)

    ended = threading.Semaphore(0)
    executor = Executor("default", 200, lambda attempt, outcome, more: ended.release())
    for _ in range(100):
        attempt = Attempt(JobFactory.build(), None, asynchronous if how == "async" else lambda job: spin())
        executor.start([attempt])
        executor.interrupt(attempt, JobCancelled)
    assert all(ended.acquire(timeout=PATIENCE) for _ in range(100))
    executor.shutdown()
