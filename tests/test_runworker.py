"""`runworker` as it runs on a site: a process of its own that is signalled, killed and asked to reload."""

import os
import signal
import time
from itertools import count

import pytest
from django.db import connection

from conveyor_django import JobState, Queue
from conveyor_django.models import Job, WorkerProcess
from tests.processes import Process, spawn, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 2  # of a job that has begun when its worker is told to stop


def state_of(job: Job) -> str:
    job.refresh_from_db()
    return job.state


def wait_until_active(job: Job, process: Process) -> None:
    wait_for(lambda: state_of(job) == JobState.ACTIVE, describe=lambda: process.output)


def living_pids() -> set[int]:
    return set(WorkerProcess.objects.filter(dead_at=None).values_list("pid", flat=True))


def wait_for_pids(count: int, process: Process, without: frozenset[int] = frozenset()) -> set[int]:
    """The pids of `count` registered workers."""
    wait_for(lambda: len(living_pids() - without) >= count, describe=lambda: process.output)
    return living_pids() - without


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_works_until_idle_and_says_what_it_has():
    jobs = [Queue("process-add").add("add", {"a": number, "b": 1}) for number in range(3)]
    with spawn("runworker", "process-add", "--until-idle", "--concurrency", "2") as process:
        assert process.ends_with() == 0, process.output
        output = process.output
    assert [(state_of(job), job.return_value) for job in jobs] == [("completed", n) for n in (1, 2, 3)]
    assert str(connection.settings_dict["NAME"]) in output
    assert connection.display_name in output
    assert "process-add/add" in output
    assert "2 jobs at a time" in output
    assert "3 completed" in output
    assert str(jobs[0].pk) not in output  # a line a job only from verbosity 2 on


def test_without_names_it_serves_the_queues_that_have_a_processor():
    job = Queue("process-add").add("add", {"a": 1, "b": 1})
    with spawn("runworker", "--until-idle") as process:
        assert process.ends_with() == 0, process.output
        assert "process-add/add" in process.output
        assert "process-fail/*" in process.output
    assert state_of(job) == JobState.COMPLETED


def test_a_line_a_job_from_verbosity_2_on():
    job = Queue("process-add").add("add", {"a": 1, "b": 1})
    with spawn("runworker", "process-add", "--until-idle", "--verbosity", "2") as process:
        assert process.ends_with() == 0, process.output
        (line,) = [line for line in process.output.splitlines() if str(job.pk) in line]
    assert "completed" in line
    assert "add " in line
    assert "in process-add" in line
    assert " ms" in line
    assert "attempt 1 of 1" in line


def test_failures_are_said_in_one_inert_line():
    Queue("process-fail").add("evil\x85name".replace("\x85", "\u202e"), {"reason": "bell\x07\nTraceback: fake"})
    with spawn("runworker", "process-fail", "--until-idle") as process:
        assert process.ends_with() == 0, process.output
        (line,) = [line for line in process.output.splitlines() if "ValueError" in line]
        assert "1 failed" in process.output
    assert r"bell\x07\nTraceback: fake" in line
    assert r"evil\u202ename" in line


def test_verbosity_0_is_silent():
    Queue("process-fail").add("fail")
    with spawn("runworker", "process-fail", "--until-idle", "--verbosity", "0") as process:
        assert process.ends_with() == 0, process.output
        assert process.output == ""


def test_a_queue_without_processors_is_warned_about():
    with spawn("runworker", "process-add", "proces-add", "--until-idle") as process:
        assert process.ends_with() == 0, process.output
        assert "'proces-add' has no processors" in process.output
        assert "'process-add' has no processors" not in process.output


def test_max_jobs():
    for number in range(3):
        Queue("process-add").add("add", {"a": number, "b": 1})
    with spawn("runworker", "process-add", "--max-jobs", "2") as process:
        assert process.ends_with() == 0, process.output
    assert Queue("process-add").get_job_counts()["waiting"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_running_job_end(number):
    job = Queue("process-sleep").add("sleep", {"seconds": SECONDS})
    later = Queue("process-sleep").add("sleep", {"seconds": 0})
    with spawn("runworker", "process-sleep") as process:
        wait_until_active(job, process)
        process.send_signal(number)
        assert process.ends_with() == 0, process.output
        assert "1 job still running" in process.output
    assert (state_of(job), job.attempts_made) == (JobState.COMPLETED, 1)
    assert state_of(later) == JobState.WAITING
    assert not living_pids()


def test_what_does_not_end_in_time_goes_back_and_is_not_waited_for():
    job = Queue("process-block").add("block", {"seconds": 600})
    with spawn("runworker", "process-block", "--shutdown-timeout", "0.2") as process:
        wait_until_active(job, process)
        process.terminate()
        assert process.ends_with() == 0, process.output
        assert f"given back: {job.pk}" in process.output
    assert (state_of(job), job.attempts_made) == (JobState.WAITING, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(number):
    job = Queue("process-block").add("block", {"seconds": 600})
    with spawn("runworker", "process-block") as process:
        wait_until_active(job, process)
        process.send_signal(number)
        process.wait_for_output("1 job still running")
        process.send_signal(number)
        assert process.ends_with() == 128 + number, process.output
    assert state_of(job) == JobState.ACTIVE  # until the lease has run out


def test_processes_are_replaced_when_killed():
    with spawn("runworker", "process-add", "--processes", "2", "--poll-interval", "0.05") as process:
        before = wait_for_pids(2, process)
        assert process.pid not in before
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        (new,) = wait_for_pids(1, process, frozenset(before))
        assert f"worker process {victim} was killed by SIGKILL: another one starts" in process.output
        job = Queue("process-add").add("add", {"a": 1, "b": 1})
        wait_for(lambda: state_of(job) == JobState.COMPLETED, describe=lambda: process.output)
        process.terminate()
        assert process.ends_with() == 0, process.output
    assert not any(is_running(pid) for pid in {*before, new})


def test_ctrl_c_in_a_terminal_is_one_signal_to_each_process():
    jobs = [Queue("process-sleep").add("sleep", {"seconds": SECONDS}) for _ in range(2)]
    with spawn("runworker", "process-sleep", "--processes", "2") as process:
        for job in jobs:
            wait_until_active(job, process)
        os.killpg(process.pid, signal.SIGINT)
        assert process.ends_with() == 0, process.output
    assert {state_of(job) for job in jobs} == {JobState.COMPLETED}


def test_a_supervised_process_is_not_hurried_by_a_second_signal():
    """An init system signals all processes of a service, and the supervisor passes its own signal on."""
    job = Queue("process-sleep").add("sleep", {"seconds": SECONDS})
    with spawn("runworker", "process-sleep", "--processes", "1", "--reload") as process:
        wait_until_active(job, process)
        (pid,) = living_pids()
        os.kill(pid, signal.SIGTERM)
        process.wait_for_output("1 job still running")
        process.terminate()
        assert process.ends_with() == 0, process.output
    assert (state_of(job), job.attempts_made) == (JobState.COMPLETED, 1)


def test_a_second_signal_to_the_supervisor_kills_its_processes():
    job = Queue("process-block").add("block", {"seconds": 600})
    with spawn("runworker", "process-block", "--processes", "2") as process:
        wait_until_active(job, process)
        pids = wait_for_pids(2, process)
        process.terminate()
        process.wait_for_output("1 job still running")
        process.terminate()
        assert process.ends_with() == 128 + signal.SIGTERM, process.output
    assert not any(is_running(pid) for pid in pids)


def test_processes_stop_when_their_supervisor_is_gone():
    job = Queue("process-sleep").add("sleep", {"seconds": SECONDS})
    with spawn("runworker", "process-sleep", "--processes", "2") as process:
        wait_until_active(job, process)
        pids = wait_for_pids(2, process)
        process.kill()
        process.wait()
        wait_for(lambda: not living_pids(), describe=lambda: process.output)
    wait_for(lambda: not any(map(is_running, pids)))
    assert (state_of(job), job.attempts_made) == (JobState.COMPLETED, 1)


def test_processes_that_are_idle_are_not_replaced():
    jobs = [Queue("process-add").add("add", {"a": number, "b": 1}) for number in range(4)]
    with spawn("runworker", "process-add", "--processes", "2", "--until-idle") as process:
        assert process.ends_with() == 0, process.output
        assert process.output.count("started") == 2
    assert {state_of(job) for job in jobs} == {JobState.COMPLETED}


def test_reload_lets_running_jobs_end_first(tmp_path):
    settings = tmp_path / "settings_to_change.py"
    settings.write_text("from tests.settings import *\n")
    env = {"DJANGO_SETTINGS_MODULE": settings.stem, "PYTHONPATH": str(tmp_path)}
    job = Queue("process-sleep").add("sleep", {"seconds": 3})
    with spawn("runworker", "process-sleep", "--reload", env=env) as process:
        wait_until_active(job, process)
        before = living_pids()
        moments = count(int(time.time()) + 3600)  # each is later than what the watcher saw first
        wait_for(lambda: os.utime(settings, (next(moments),) * 2) or "the code has changed" in process.output)
        (new,) = wait_for_pids(1, process, frozenset(before))
        assert (state_of(job), job.attempts_made) == (JobState.COMPLETED, 1)
        assert is_running(new)
        process.send_signal(signal.SIGINT)
        assert process.ends_with() == 0, process.output
