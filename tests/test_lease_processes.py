"""The lease between real processes: workers that are killed, or stopped past their lease and continued."""

import os
import signal
import sqlite3
from contextlib import closing, suppress

import pytest
from django.db import connection
from django.test import override_settings

from conveyor_django import FlowProducer, JobState, Queue
from conveyor_django.models import Job, WorkerProcess

from .processes import spawn, wait_for
from .workers import PATIENCE, QUICK, working

pytestmark = pytest.mark.django_db(transaction=True)
HEARTBEAT = {"CONVEYOR_TEST_HEARTBEAT": "0.2,2"}  # seconds; who sweeps goes by what each lease says itself


@pytest.fixture
def sweeper():
    """Some other worker, which takes part in looking after the dead."""
    with override_settings(CONVEYOR=QUICK), working("nothing-here"):
        yield


def start_worker(*queues):
    return spawn("runworker", *queues, "--poll-interval", "0.1", env=HEARTBEAT)


def run_until_killed(job):
    """A worker of its own takes the job and dies; whether there was a stall in between shows in the row."""
    with start_worker(job.queue_name) as process:
        wait_for(lambda: process.poll() is None and Job.objects.get(pk=job.pk).state == JobState.ACTIVE)
        process.kill()
        wait_for(lambda: Job.objects.get(pk=job.pk).state != JobState.ACTIVE)
    job.refresh_from_db()


def test_a_killed_workers_job_comes_back_max_stalls_times_and_then_fails(sweeper):
    child = {"name": "sleep", "queue_name": "process-sleep", "data": {"seconds": 600}, "opts": {"max_stalls": 1}}
    flow = FlowProducer().add({"name": "parent", "queue_name": "process-add", "children": [child]})
    job = Job.objects.get(pk=flow.children[0].job.id)
    run_until_killed(job)
    assert (job.state, job.stalls, job.attempts_made, job.worker) == (JobState.WAITING, 1, 0, None)
    run_until_killed(job)
    assert (job.state, job.stalls, job.attempts_made) == (JobState.FAILED, 2, 0)
    assert job.failed_reason.startswith("stalled ")
    parent = Job.objects.get(pk=flow.job.id)
    assert (parent.state, parent.failed_by) == (JobState.FAILED, job.pk)
    assert job.failed_reason in parent.failed_reason


def test_another_worker_finishes_what_a_killed_one_began(tmp_path):
    job = Queue("process-once").add("block", {"file": str(tmp_path / "second-time")})
    with start_worker("process-once") as first, start_worker("process-once") as second:
        worker = wait_for(lambda: Job.objects.get(pk=job.pk).worker)
        pid = WorkerProcess.objects.get(pk=worker).pid
        assert pid in (first.pid, second.pid)
        (tmp_path / "second-time").touch()
        os.kill(pid, signal.SIGKILL)
        job.wait_until_finished(PATIENCE)
    assert (job.return_value, job.stalls, job.attempts_made) == ("second time", 1, 1)


def test_a_stopped_worker_changes_nothing_when_it_goes_on_and_carries_on_as_another(sweeper):
    queue = Queue("process-sleep")
    job = queue.add("sleep", {"seconds": 2})
    with start_worker("process-sleep", "process-add") as process:
        wait_for(lambda: Job.objects.get(pk=job.pk).state == JobState.ACTIVE)
        old = WorkerProcess.objects.get(pid=process.pid)
        stop(process)
        queue.pause()  # it stays as it is rescued
        wait_for(lambda: Job.objects.get(pk=job.pk).state == JobState.WAITING)
        rescued = Job.objects.filter(pk=job.pk).values().get()
        assert (rescued["stalls"], rescued["attempts_made"], rescued["epoch"]) == (1, 0, 1)
        process.send_signal(signal.SIGCONT)

        process.wait_for_output(f"LostLease: job {job.pk}")  # its processor has ended, one way or the other
        assert Job.objects.filter(pk=job.pk).values().get() == rescued
        new = wait_for(lambda: WorkerProcess.objects.filter(pid=process.pid, dead_at=None).first())
        assert new.pk != old.pk
        assert f"goes on as {new.pk}" in process.output
        added = Queue("process-add").add("add", {"a": 1, "b": 2})
        assert added.wait_until_finished(PATIENCE).return_value == 3
        queue.resume()
        job.wait_until_finished(PATIENCE)
        assert (job.state, job.attempts_made, job.epoch) == (JobState.COMPLETED, 1, 2)


def test_a_stopped_worker_that_is_continued_in_time_goes_on_as_itself():
    job = Queue("process-sleep").add("sleep", {"seconds": 0.5})
    with spawn("runworker", "process-sleep", "--poll-interval", "0.1") as process:  # a lease of 30 seconds
        wait_for(lambda: Job.objects.get(pk=job.pk).state == JobState.ACTIVE)
        stop(process)
        process.send_signal(signal.SIGCONT)
        job.wait_until_finished(PATIENCE)
        assert (job.state, job.stalls, job.epoch) == (JobState.COMPLETED, 0, 1)


def stop(process):
    """Not in the middle of a write, though: it would hold SQLite's one lock for as long as it is stopped."""
    while True:
        process.send_signal(signal.SIGSTOP)
        wait_for(lambda: os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT))
        if can_write():
            return
        process.send_signal(signal.SIGCONT)


def can_write():
    if connection.vendor != "sqlite":
        return True
    session = sqlite3.connect(connection.settings_dict["NAME"], timeout=0.2)
    with closing(session), suppress(sqlite3.OperationalError):
        session.execute("BEGIN IMMEDIATE")
        return True
    return False
