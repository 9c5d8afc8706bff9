"""What probes ask: `workerhealth`, and the file that `runworker --heartbeat-file` keeps fresh."""

import json
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from conveyor_django import Queue, Worker, processor, signals
from conveyor_django.models import Job, WorkerProcess
from conveyor_django.worker.lease import Lease

from .factories import JobFactory, WorkerProcessFactory
from .processes import spawn, wait_for
from .workers import QUICK, running, wait

pytestmark = pytest.mark.django_db(transaction=True)
HEARTBEAT = {"CONVEYOR_TEST_HEARTBEAT": "0.2,30"}


def health(*options):
    """What it prints, and its exit code."""
    out, code = StringIO(), 0
    try:
        call_command("workerhealth", *options, stdout=out)
    except SystemExit as error:
        code = error.code
    return out.getvalue(), code


# Of the rows


def test_it_says_who_lives():
    worker = WorkerProcessFactory(host="web-1", pid=77, queues=["reports", "mail"])
    JobFactory(state="active", worker=worker.pk)
    output, code = health()
    assert code == 0
    for said in ("web-1", "77", "reports, mail", " ago", "1 worker."):
        assert said in output
    output, code = health("--format=json")
    [said] = json.loads(output)["workers"]
    assert 0 <= said.pop("heartbeat_seconds") < 10
    facts = {"id": str(worker.pk), "host": "web-1", "pid": 77, "queues": ["reports", "mail"]}
    assert said == {**facts, "concurrency": 4, "running": 1}


@pytest.mark.parametrize(
    "options",
    [["--host=web-1"], ["--pid=77"], ["--queue=reports"], ["--host=web-1", "--pid=77", "--queue=reports"], []],
)
def test_it_finds_the_one_that_is_meant(options):
    assert health(*options)[1] == 1
    WorkerProcessFactory(host="web-1", pid=77, queues=["reports"])
    assert health(*options)[1] == 0


@pytest.mark.parametrize("option", ["--host=web-2", "--pid=78", "--queue=report"])
def test_others_do_not_count(option):
    WorkerProcessFactory(host="web-1", pid=77, queues=["reports"])
    output, code = health(option)
    assert code == 1
    assert output == f"No worker lives ({option.replace('=', ' ')}).\n"
    assert json.loads(health(option, "--format=json")[0]) == {"healthy": False, "workers": []}


@pytest.mark.parametrize(
    "worker",
    [
        {"dead_at": timezone.now()},
        {"heartbeat_at": timezone.now() - timedelta(seconds=31)},
        {"heartbeat_at": timezone.now() - timedelta(seconds=31), "expires_at": timezone.now() + timedelta(hours=1)},
    ],
    ids=["declared dead", "lease ran out", "silent for longer than is asked for"],
)
def test_the_dead_do_not_count(worker):
    WorkerProcessFactory(**worker)
    assert health()[1] == 1


def test_the_age_that_will_do():
    WorkerProcessFactory(heartbeat_at=timezone.now() - timedelta(seconds=20))
    assert health("--max-age=25s")[1] == 0
    assert health("--max-age=15")[1] == 1


def test_a_worker_for_every_queue_serves_each():
    WorkerProcessFactory(queues=None)
    output, code = health("--queue=anything")
    assert (code, "every queue" in output) == (0, True)


# The file


def test_a_worker_keeps_its_file_fresh_and_removes_it(tmp_path):
    file = tmp_path / "alive"
    with spawn("runworker", "process-add", "--heartbeat-file", str(file), env=HEARTBEAT) as process:
        wait_for(file.exists, describe=lambda: process.output)
        first = file.stat().st_mtime
        wait_for(lambda: file.stat().st_mtime > first, describe=lambda: process.output)
        said = json.loads(file.read_text())
        assert (said["pid"], said["worker"]) == (process.pid, str(WorkerProcess.objects.get().pk))
        assert health(f"--heartbeat-file={file}")[1] == 0
        assert health(f"--host={socket.gethostname()}", f"--pid={process.pid}")[1] == 0

        process.send_signal(signal.SIGSTOP)
        assert json.loads(file.read_text())  # never half written
        wait_for(lambda: health(f"--heartbeat-file={file}", "--max-age=0.5")[1] == 1)
        process.send_signal(signal.SIGCONT)
        wait_for(lambda: health(f"--heartbeat-file={file}", "--max-age=0.5")[1] == 0)
        process.terminate()
        assert process.ends_with() == 0, process.output
    assert list(tmp_path.iterdir()) == []


def test_the_supervisors_file_is_as_fresh_as_its_stalest_process(tmp_path):
    file = tmp_path / "alive"
    options = ["--processes", "2", "--heartbeat-file", str(file)]
    with spawn("runworker", "process-add", *options, env=HEARTBEAT) as process:
        wait_for(file.exists, describe=lambda: process.output)
        said = json.loads(file.read_text())
        assert (said["pid"], said["processes"]) == (process.pid, 2)
        parts = [tmp_path / "alive.1", tmp_path / "alive.2"]
        stopped = json.loads(parts[0].read_text())["pid"]
        os.kill(stopped, signal.SIGSTOP)
        try:
            wait_for(lambda: time.time() - file.stat().st_mtime > 0.7)
            assert parts[1].stat().st_mtime > parts[0].stat().st_mtime
            assert file.stat().st_mtime <= parts[0].stat().st_mtime
        finally:
            os.kill(stopped, signal.SIGCONT)
        wait_for(lambda: time.time() - file.stat().st_mtime < 0.5)
        process.terminate()
        assert process.ends_with() == 0, process.output
    assert list(tmp_path.iterdir()) == []


@override_settings(CONVEYOR=QUICK)
def test_a_loop_that_hangs_leaves_the_file_alone(tmp_path, monkeypatch):
    """Though its lease is renewed."""
    go, hung, renewed = threading.Event(), threading.Event(), []
    beat = Lease._beat
    monkeypatch.setattr(Lease, "_beat", lambda self: (beat(self), renewed.append(1))[0])
    processor("hangs")(lambda job: "done")

    def hang(**kwargs):
        hung.set()
        wait(go)

    signals.job_started.connect(hang)
    worker = Worker("hangs", poll_interval=0.05)
    worker.heartbeat_file = str(tmp_path / "alive")
    try:
        with running(worker), ExitStack() as at_the_end:
            at_the_end.callback(go.set)
            wait_for((tmp_path / "alive").exists)
            job = Queue("hangs").add("job")
            wait(hung)
            renew_twice(renewed)  # the first may have seen the loop before it hung
            before = (tmp_path / "alive").stat().st_mtime
            renew_twice(renewed)
            assert (tmp_path / "alive").stat().st_mtime == before
            go.set()
            wait_for(lambda: (tmp_path / "alive").stat().st_mtime > before)
            wait_for(lambda: Job.objects.get(pk=job.pk).is_finished)
    finally:
        signals.job_started.disconnect(hang)


def renew_twice(renewed):
    before = len(renewed)
    wait_for(lambda: len(renewed) >= before + 2)


def test_no_file_is_no_health(tmp_path):
    output, code = health(f"--heartbeat-file={tmp_path}/none")
    assert (code, "There is no file" in output) == (1, True)
    output, code = health(f"--heartbeat-file={tmp_path}/none", "--format=json")
    assert (code, json.loads(output)) == (1, {"healthy": False, "heartbeat_seconds": None})


def test_the_file_or_the_rows(tmp_path):
    with pytest.raises(CommandError, match="Give --heartbeat-file, or"):
        health(f"--heartbeat-file={tmp_path}/none", "--queue=reports")


def test_a_folder_that_is_not_there_is_refused_at_once(tmp_path):
    with pytest.raises(CommandError, match="--heartbeat-file: can't write into the folder of"):
        call_command("runworker", "process-add", "--until-idle", heartbeat_file=str(tmp_path / "none" / "alive"))
