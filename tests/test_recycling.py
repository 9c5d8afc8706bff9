"""Processes that are replaced after so many attempts, or when they have too much memory; no job takes harm."""

from collections import Counter

import pytest

from conveyor_django import JobState, Queue, Worker, processor
from conveyor_django.models import Job, JobError, WorkerProcess
from conveyor_django.worker import loop
from conveyor_django.worker.recycling import MEGABYTE, resident_memory, spread

from .processes import spawn, wait_for
from .workers import Gate, running, wait, working

pytestmark = pytest.mark.django_db(transaction=True)
QUEUE = Queue("process-recycle")
HEARTBEAT = {"CONVEYOR_TEST_HEARTBEAT": "0.1,5"}


def add(*data):
    return QUEUE.add_bulk(("hold", each) for each in data)


def pid_of(job):
    """Of the process that completed it."""
    job.refresh_from_db()
    return job.return_value


def assert_all_ran_once():
    assert set(Job.objects.values_list("state", "attempts_made", "epoch", "stalls")) == {("completed", 1, 1, 0)}
    assert not JobError.objects.exists()
    assert not WorkerProcess.objects.exists()


def wait_for_heartbeats(count):
    """Of the only worker."""
    for _ in range(count):
        before = WorkerProcess.objects.get().heartbeat_at
        wait_for(lambda before=before: WorkerProcess.objects.get().heartbeat_at > before)


def runworker(*options, **env):
    return spawn("runworker", "process-recycle", "--poll-interval", "0.05", *options, env=env)


# After so many attempts


@pytest.mark.parametrize("processes", [1, 2])
def test_a_process_makes_so_many_attempts_and_another_one_takes_its_place(processes):
    jobs = add(*[{}] * 12)
    with runworker(
        "--until-idle", "--max-jobs-per-process=5", "--concurrency=3", f"--processes={processes}"
    ) as process:
        assert process.ends_with() == 0, process.output
        assert "5 attempts in this process: another one takes its place" in process.output
        assert "ended with exit code" not in process.output
    assert_all_ran_once()
    attempts = Counter(map(pid_of, jobs))
    assert max(attempts.values()) == 5
    assert len(attempts) >= 3
    assert process.pid not in attempts


def test_running_jobs_end_first_however_long_they_take(tmp_path):
    file = tmp_path / "go"
    [long, *others] = add({"file": str(file)}, {}, {}, {}, {})
    options = ["--max-jobs-per-process=3", "--concurrency=2", "--shutdown-timeout=0.1"]
    with runworker(*options, **HEARTBEAT) as process:
        wait_for(lambda: QUEUE.get_job_counts()["completed"] == 2, describe=lambda: process.output)
        wait_for_heartbeats(5)
        assert QUEUE.get_job_counts() | {"completed": 2, "active": 1, "waiting": 2} == QUEUE.get_job_counts()
        file.touch()
        wait_for(lambda: QUEUE.get_job_counts()["completed"] == 5, describe=lambda: process.output)
        process.terminate()
        assert process.ends_with() == 0, process.output
    assert_all_ran_once()
    pids = [pid_of(job) for job in [long, *others]]
    assert pids[0] == pids[1] == pids[2] != pids[3] == pids[4]


def test_told_to_stop_meanwhile_it_waits_no_longer_than_otherwise(tmp_path):
    [job] = add({"file": str(tmp_path / "never")})
    with runworker("--max-jobs-per-process=1", "--shutdown-timeout=0.1") as process:
        wait_for(lambda: Job.objects.active().exists(), describe=lambda: process.output)
        process.terminate()
        assert process.ends_with() == 0, process.output
    job.refresh_from_db()
    assert (job.state, job.attempts_made) == (JobState.WAITING, 0)


def test_processes_that_started_together_end_one_by_one():
    limits = {spread(1000) for _ in range(200)}
    assert len(limits) > 20
    assert limits <= set(range(900, 1001))
    assert [spread(few) for few in (1, 5, 9)] == [1, 5, 9]


# With too much memory


def test_a_process_that_has_too_much_memory_is_replaced(tmp_path):
    file = tmp_path / "go"
    [large, *others] = add({"bytes": 250 * MEGABYTE, "file": str(file)}, {}, {})
    options = ["--until-idle", "--max-memory-per-process=250", "--shutdown-timeout=0"]
    with runworker(*options, **HEARTBEAT) as process:
        process.wait_for_output("250 are its limit: starting anew when the running jobs have ended")
        wait_for_heartbeats(3)
        file.touch()
        assert process.ends_with() == 0, process.output
        assert "Warning" not in process.output
        assert process.output.count("are its limit") == 1
    assert_all_ran_once()
    assert pid_of(large) not in {pid_of(job) for job in others}


def test_a_limit_that_every_process_is_above_is_warned_about_and_holds_nothing_up(tmp_path):
    first, second = files = [tmp_path / "1", tmp_path / "2"]
    jobs = add(*[{"file": str(file)} for file in files])
    with runworker("--until-idle", "--max-memory-per-process=1") as process:
        process.wait_for_output("1 are its limit")
        first.touch()
        wait_for(lambda: process.output.count("1 are its limit") == 2, describe=lambda: process.output)
        second.touch()
        assert process.ends_with() == 0, process.output
        assert "Warning: --max-memory-per-process: a process has" in process.output
    assert_all_ran_once()
    assert len({pid_of(job) for job in jobs}) == 2


def test_what_is_measured_is_this_process():
    before = resident_memory()
    held = b"x" * (100 * MEGABYTE)
    assert resident_memory() - before > 90 * MEGABYTE
    del held


# A worker that retires


def test_what_was_leased_ahead_goes_back_without_an_attempt(monkeypatch):
    monkeypatch.setattr(loop, "_STUCK", 60)  # it would go back too
    add(*({"n": n} for n in range(300)))
    gate = Gate(at=200)
    worker = Worker("process-recycle", gate, shutdown_timeout=0, poll_interval=60)
    with running(worker) as thread:
        wait(gate.reached)
        assert worker.retire()
        wait_for(lambda: Job.objects.active().count() == 1)
        assert thread.is_alive()
        gate.open.set()
        thread.join(20)
        assert not thread.is_alive()
    assert gate.began == list(range(201))
    left = Job.objects.exclude(state=JobState.COMPLETED)
    assert set(left.values_list("state", "attempts_made", "stalls")) == {("waiting", 0, 0)}


def test_nobody_retires_before_having_begun_something():
    assert not Worker("process-recycle").retire()
    processor("process-recycle")(lambda job: "done")
    with working("process-recycle") as worker:
        wait_for(WorkerProcess.objects.exists)
        assert not worker.retire()
        [job] = add({})
        assert job.wait_until_finished(20).return_value == "done"
        assert worker.retire()
