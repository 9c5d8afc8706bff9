"""The end of a worker, asked for or not, and databases that go away."""

import asyncio
import threading

import pytest
from django.db import OperationalError, connection, connections
from django.test import override_settings

from conveyor_django import JobState, Queue, Worker, processor
from conveyor_django.models import Job, WorkerProcess
from conveyor_django.transitions import turn
from conveyor_django.worker import due, ledger

from .processes import wait_for
from .workers import PATIENCE, QUICK, running, sessions, terminate_sessions, wait, work, working

pytestmark = pytest.mark.django_db(transaction=True)


def add(name="job", **opts):
    return Queue("ending").add(name, opts=opts)


class Gate:
    """A processor that waits at it."""

    def __init__(self):
        self.reached, self.open, self.left = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, job):
        self.reached.set()
        try:
            wait(self.open)
            return "passed"
        finally:
            self.left.set()


@pytest.fixture
def gate():
    gate = Gate()
    processor("ending", "gate")(gate)
    yield gate
    gate.open.set()


# Asked to stop


def test_running_jobs_have_their_time_and_nothing_new_begins(gate, caplog):
    caplog.set_level("INFO", "conveyor_django")
    job = add("gate")
    later = add("gate")
    worker = Worker("ending", shutdown_timeout=PATIENCE, poll_interval=0.05)
    with running(worker) as thread:
        wait(gate.reached)
        worker.stop()
        wait_for(lambda: "1 job still running" in caplog.text)
        gate.open.set()
        thread.join(PATIENCE)
    job.refresh_from_db()
    later.refresh_from_db()
    assert (job.state, job.return_value) == (JobState.COMPLETED, "passed")
    assert (later.state, later.epoch) == (JobState.WAITING, 0)
    assert worker.left_behind == 0


def test_what_is_left_goes_back_and_its_late_return_changes_nothing(gate, caplog):
    job = add("gate", attempts=1)
    worker = Worker("ending", shutdown_timeout=0.1)
    with running(worker):
        wait(gate.reached)
    assert worker.left_behind == 1
    before = Job.objects.filter(pk=job.pk).values().get()
    assert (before["state"], before["attempts_made"], before["stalls"]) == (JobState.WAITING, 0, 0)
    assert before["worker"] is None
    assert f"given back: {job.pk}" in caplog.text
    assert not WorkerProcess.objects.exists()
    gate.open.set()
    wait(gate.left)
    wait_for(lambda: not processor_threads())
    assert Job.objects.filter(pk=job.pk).values().get() == before
    assert work("ending") == 1
    job.refresh_from_db()
    assert (job.state, job.attempts_made, job.epoch) == (JobState.COMPLETED, 1, 2)


def test_async_processors_that_are_left_are_cancelled():
    started, ended = threading.Event(), []

    @processor("ending")
    async def process(job):
        started.set()
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)  # has a moment to clean up
            ended.append("cancelled")
            raise

    job = add()
    worker = Worker("ending", shutdown_timeout=0)
    with running(worker):
        wait(started)
    job.refresh_from_db()
    assert (job.state, job.attempts_made) == (JobState.WAITING, 0)
    assert ended == ["cancelled"]
    assert worker.left_behind == 0


def test_a_timeout_still_counts_while_stopping(gate):
    job = add("gate", timeout=0.3)
    worker = Worker("ending", shutdown_timeout=PATIENCE)
    with running(worker) as thread:
        wait(gate.reached)
        worker.stop()
        thread.join(PATIENCE)
        assert not gate.left.is_set()
    job.refresh_from_db()
    assert (job.state, job.failed_reason) == (JobState.FAILED, "JobTimeout: ran longer than 0.3 s")


# What stays behind


def processor_threads():
    return [t for t in threading.enumerate() if t.name.startswith("conveyor-")]


def test_threads_and_connections_are_gone():
    def process(job):
        assert Job.objects.count() == 8
        return threading.current_thread().name

    async def asynchronous(job):
        return await Job.objects.acount()

    processor("ending", "sync")(process)
    processor("ending", "async")(asynchronous)
    for name in ("sync", "async") * 4:
        add(name)
    before = wait_for(sessions)
    with working("ending", concurrency=4):
        wait_for(lambda: Job.objects.completed().count() == 8)
        assert processor_threads()
    wait_for(lambda: not processor_threads())
    wait_for(lambda: sessions() <= before)


def test_they_are_gone_after_a_crash_too(monkeypatch, gate):
    add("gate")
    worker = Worker("ending", poll_interval=0.01)

    def crash(*args):
        if gate.reached.is_set():
            raise ZeroDivisionError("a bug")

    monkeypatch.setattr(due, "next_due", crash)
    with pytest.raises(ZeroDivisionError):
        worker.run()
    assert worker.left_behind == 1
    assert not WorkerProcess.objects.exists()
    gate.open.set()
    wait_for(lambda: not processor_threads())
    Job.objects.get().cancel()


def test_a_worker_that_cannot_even_register_says_why(monkeypatch):
    def crash(self):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("conveyor_django.worker.lease.Lease._register", crash)
    with pytest.raises(ZeroDivisionError):
        Worker("ending").run()
    assert not processor_threads()


@pytest.mark.parametrize("max_age", [0, None], ids=["close", "keep"])
def test_a_processors_connection_lives_as_long_as_the_settings_say(monkeypatch, max_age):
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", max_age)
    seen = []

    @processor("ending")
    def process(job):
        seen.append((threading.get_ident(), connection.connection is not None))
        Job.objects.count()

    for _ in range(3):
        add()
    work("ending")
    assert len({thread for thread, _ in seen}) == 1
    assert [was_open for _, was_open in seen] == [False, max_age is None, max_age is None]


@pytest.mark.only_on("postgresql", "mysql", reason="SQLite has no sessions to end")
def test_a_processors_broken_connection_is_not_kept(monkeypatch):
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", None)

    @processor("ending")
    def process(job):
        Job.objects.count()
        if job.name == "breaks":
            terminate_sessions(only=connection)
        return Job.objects.count()

    job, following = add("breaks"), add("follows")
    work("ending")
    job.refresh_from_db()
    following.refresh_from_db()
    assert job.state == JobState.FAILED
    assert following.return_value == 2


# The database goes away


@pytest.mark.only_on("postgresql", "mysql", reason="SQLite has no sessions to end")
@override_settings(CONVEYOR=QUICK)
def test_sessions_that_are_ended_lose_nothing(gate, caplog):
    job = add("gate", attempts=1)
    with working("ending", concurrency=2):
        wait(gate.reached)
        wait_for(lambda: terminate_sessions() and "database not available" in caplog.text)
        gate.open.set()
        job.wait_until_finished(PATIENCE)
        wait_for(lambda: "database available again" in caplog.text)
        assert add("gate").wait_until_finished(PATIENCE).state == JobState.COMPLETED
    assert (job.return_value, job.attempts_made, job.stalls) == ("passed", 1, 0)


@pytest.mark.only_on("postgresql", "mysql", reason="SQLite has no sessions to end")
@override_settings(CONVEYOR=QUICK)
def test_sessions_that_are_ended_again_and_again_lose_nothing():
    processor("ending")(lambda job: "done")
    jobs = Queue("ending").add_bulk(("job", {}, {"attempts": 1}) for _ in range(200))
    with working("ending", concurrency=4, poll_interval=0.01):
        for _ in range(8):
            terminate_sessions()
            done = Job.objects.completed().count()
            wait_for(lambda done=done: Job.objects.completed().count() > done or done == len(jobs))
        wait_for(lambda: Job.objects.completed().count() == len(jobs), timeout=60)
    assert {(job.return_value, job.attempts_made, job.stalls) for job in Job.objects.all()} == {("done", 1, 0)}


def test_it_waits_for_a_database_that_is_away_and_says_so(monkeypatch, caplog, gate):
    errors = [OperationalError("gone\nfishing")] * 3

    def turns(using, worker, reports, *args):
        if reports and errors:
            raise errors.pop()
        return turn(using, worker, reports, *args)

    monkeypatch.setattr(ledger, "turn", turns)

    job = add("gate")
    gate.open.set()
    work("ending")
    job.refresh_from_db()
    assert (job.return_value, job.attempts_made) == ("passed", 1)
    assert [record.getMessage() for record in caplog.records] == [
        "database not available (gone fishing); next try in 100 ms",
        "database not available (gone fishing); next try in 200 ms",
        "database not available (gone fishing); next try in 400 ms",
        "database available again",
    ]


def test_a_database_that_stays_away_does_not_keep_a_worker_from_stopping(monkeypatch, caplog, gate):
    def away(using, worker, reports, *args):
        if reports:
            raise OperationalError("for good")
        return turn(using, worker, reports, *args)

    monkeypatch.setattr(ledger, "turn", away)
    add("gate")
    worker = Worker("ending", shutdown_timeout=0.3)
    with running(worker):
        wait(gate.reached)
        gate.open.set()
        wait_for(lambda: "not available" in caplog.text)
    assert "stopped while the database was away; 1 leased" in caplog.text
    assert not processor_threads()
    assert Job.objects.get().state == JobState.ACTIVE  # until the lease runs out
