"""The lease, in this process: the fence, reconciling, processors that are cancelled, the heartbeat itself.

What only real processes can show (SIGKILL, SIGSTOP) is in test_lease_processes.py.
"""

import asyncio
import logging
import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError, OperationalError
from django.db.models import QuerySet
from django.test import override_settings
from django.utils import timezone

from conveyor_django import JobState, Queue, Worker, processor
from conveyor_django.exceptions import JobCancelled, LostLease
from conveyor_django.models import Job, WorkerProcess
from conveyor_django.transitions import claim, rescue_stalled, turn
from conveyor_django.worker import ledger
from conveyor_django.worker.lease import Lease

from .factories import JobFactory, WorkerProcessFactory
from .processes import wait_for
from .workers import PATIENCE, QUICK, running, wait, work, working

pytestmark = pytest.mark.django_db(transaction=True)
quick = override_settings(CONVEYOR=QUICK)


def add(name="job", **opts):
    return Queue("leased").add(name, opts=opts)


def lose_lease(job):
    """The worker that runs `job` is declared dead; some sweep or other takes the job."""
    WorkerProcess.objects.filter(pk=Job.objects.get(pk=job.pk).worker).update(dead_at=timezone.now())
    rescue_stalled("default")


# The fence


@quick
def test_a_worker_that_lost_its_lease_changes_nothing_and_says_so(caplog):
    runs = []

    @processor("leased")
    def process(job):
        runs.append((job.epoch, job.attempts_made))
        if len(runs) == 1:
            job.update_progress("of the lost attempt")
            job.log("of the lost attempt")
            lose_lease(job)  # the heartbeat may interrupt it, or not
            return "stale"
        return "fresh"

    job = add(attempts=1)
    assert work("leased") == 2
    job.refresh_from_db()
    assert (job.state, job.return_value, job.progress) == (JobState.COMPLETED, "fresh", None)
    assert (job.stalls, job.attempts_made, job.errors.count(), job.logs.count()) == (1, 1, 0, 0)
    assert runs == [(1, 1), (2, 1)]  # a stall isn't an attempt
    assert f"LostLease: job {job.pk}" in caplog.text
    assert "goes on as" in caplog.text


@quick
@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_running_processor_hears_that_its_lease_was_lost(how):
    started, heard = threading.Event(), []

    @processor("leased", "sync")
    def process(job):
        if job.stalls == 0:
            started.set()
            try:
                spin()
            except LostLease:
                heard.append(job.cancel_requested)

    @processor("leased", "async")
    async def asynchronous(job):
        if job.stalls == 0:
            started.set()
            try:
                await asyncio.sleep(PATIENCE)
            except asyncio.CancelledError:
                heard.append(job.cancel_requested)

    job = add(how)
    with working("leased"):
        wait(started)
        lose_lease(job)
        job.wait_until_finished(PATIENCE)
    assert heard == [True]
    assert (job.state, job.stalls) == (JobState.COMPLETED, 1)


def spin():
    for _ in range(PATIENCE * 100):
        threading.Event().wait(0.01)


def test_a_dead_worker_claims_nothing():
    add()
    dead = WorkerProcessFactory(dead_at=timezone.now())
    assert claim("default", dead.pk, ["leased"], 5) == []
    assert claim("default", JobFactory.build().pk, ["leased"], 5) == []  # nor one that never registered
    assert len(claim("default", WorkerProcessFactory().pk, ["leased"], 5)) == 1


# Reconciling


@quick
def test_a_claim_whose_reply_was_lost_is_given_back(monkeypatch, caplog):
    calls = []

    def turns(using, worker, reports, claiming, taken=None):
        calls.append(claiming)
        if len(calls) > 1:
            return turn(using, worker, reports, claiming, taken)
        assert turn(using, worker, reports, claiming).taken
        raise OperationalError("the connection was lost while the commit's answer was on its way")

    monkeypatch.setattr(ledger, "turn", turns)
    processor("leased")(lambda job: "done")
    job = add(attempts=1)
    assert work("leased") == 1
    job.refresh_from_db()
    assert (job.return_value, job.attempts_made, job.stalls, job.epoch) == ("done", 1, 0, 2)
    assert "without its knowing" in caplog.text


@quick
def test_what_runs_for_many_heartbeats_is_not_given_back(caplog):
    go = threading.Event()
    processor("leased")(lambda job: wait(go))
    add()
    with working("leased"):
        wait_for(Job.objects.active().exists)
        beats = set()
        wait_for(lambda: beats.add(WorkerProcess.objects.get().heartbeat_at) or len(beats) > 5)
        assert Job.objects.active().count() == 1
        go.set()
        wait_for(Job.objects.completed().exists)
    assert not caplog.records


def test_heartbeats_in_the_middle_of_a_claim_and_of_an_end_are_no_harm(monkeypatch, caplog):
    """The rows are ahead of what the worker has noted: once for its claim, once for its report."""
    runs = []
    processor("leased")(lambda job: runs.append(job))
    worker = Worker("leased", poll_interval=0.05)

    def heartbeat():
        worker._loop._lease._beat()

    def turns(using, worker, reports, claiming, taken=None):
        done = turn(using, worker, reports, claiming, lambda jobs: (heartbeat(), taken(jobs)))
        heartbeat()
        return done

    monkeypatch.setattr(Lease, "start", Lease._register)  # no heartbeats but these
    monkeypatch.setattr(ledger, "turn", turns)
    Queue("leased").add_bulk([("job", {})] * 3)
    assert worker.run(until_idle=True) == 3
    assert [(job.epoch, job.cancel_requested) for job in runs] == [(1, False)] * 3
    assert not caplog.records


# Cancelling what runs


@pytest.fixture
def long_running():
    """Processors that run until they are cancelled, and tell how they heard of it."""
    started, heard = threading.Event(), []

    def listen(job, until):
        started.set()
        try:
            until()
        except JobCancelled:
            heard.append("raised")
            raise
        heard.append("asked")
        return "too late"

    def ask(job):
        while not job.cancel_requested:
            threading.Event().wait(0.001)

    @processor("leased", "async")
    async def asynchronous(job):
        started.set()
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            assert job.cancel_requested
            heard.append("cancelled")
        return "too late"

    processor("leased", "spins")(lambda job: listen(job, spin))
    processor("leased", "asks")(lambda job: listen(job, lambda: ask(job)))
    return started, heard


@quick
@pytest.mark.parametrize(
    ("name", "hears"), [("spins", {"raised"}), ("asks", {"raised", "asked"}), ("async", {"cancelled"})]
)
def test_cancel_reaches_a_running_processor(name, hears, long_running):
    started, heard = long_running
    processor("leased", "next")(lambda job: "fine")
    job = add(name, attempts=3)
    with working("leased"):
        wait(started)
        job.cancel()
        assert add("next").wait_until_finished(PATIENCE).return_value == "fine"  # in the same slot
    job.refresh_from_db()
    assert (job.state, job.return_value, job.errors.count()) == (JobState.CANCELLED, None, 0)
    assert heard and set(heard) <= hears


@quick
def test_until_idle_does_not_wait_for_a_cancelled_processor_that_does_not_hear():
    started, go = threading.Event(), threading.Event()

    @processor("leased")
    def process(job):
        started.set()
        wait(go)

    job = add()
    worker = Worker("leased", poll_interval=0.05, shutdown_timeout=0.1)
    with running(worker, until_idle=True) as thread:
        wait(started)
        job.cancel()
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert worker.left_behind == 1
    go.set()


# The heartbeat itself


@quick
def test_the_heartbeat_survives_what_goes_wrong(monkeypatch, caplog):
    reconcile, errors = Lease._reconcile, [RuntimeError("odd"), DatabaseError("away")]
    monkeypatch.setattr(Lease, "_reconcile", lambda *args: fail(errors.pop()) if errors else reconcile(*args))

    def fail(error):
        raise error

    with working("leased"):
        wait_for(lambda: not errors)
        before = wait_for(WorkerProcess.objects.get).heartbeat_at
        wait_for(lambda: WorkerProcess.objects.get().heartbeat_at > before)
    failures = [record for record in caplog.records if "heartbeat failed" in record.getMessage()]
    assert [record.exc_info is None for record in failures] == [True, False]  # a bug comes with its traceback
    assert {record.levelno for record in failures} == {logging.WARNING}


def test_attempts_hear_of_the_lost_lease_though_registering_anew_takes_two_tries(monkeypatch):
    class Running:
        ended = False
        worker = None

    told, create, failures = [], QuerySet.create, [OperationalError("away")]
    lease = Lease("default", ["leased"], 1, {1: Running}, lambda attempt, error: told.append((attempt, error)))
    Running.worker = lease.id  # never registered: as good as dead

    def fail():
        raise failures.pop()

    monkeypatch.setattr(QuerySet, "create", lambda *args, **row: fail() if failures else create(*args, **row))
    with pytest.raises(OperationalError):
        lease._beat()
    lease._beat()
    assert told == [(Running, LostLease)]
    assert WorkerProcess.objects.get().pk == lease.id != Running.worker


def test_the_row_tells_who_holds_the_lease():
    with working("leased", concurrency=3):
        row = wait_for(WorkerProcess.objects.first)
        assert (row.queues, row.concurrency, row.dead_at) == (["leased"], 3, None)
        assert row.expires_at - row.heartbeat_at == timedelta(seconds=30)
    assert not WorkerProcess.objects.exists()
