"""A worker that hangs: its loop doesn't turn, or its connection to the database is half open."""

import logging
import signal
import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test import override_settings

from conveyor_django import JobState, Queue, Worker, processor, signals
from conveyor_django.engines import get_engine
from conveyor_django.models import Job, WorkerProcess
from conveyor_django.worker import due, limits, outage, watchdog
from conveyor_django.worker.attendant import HUNG
from conveyor_django.worker.line import Line
from conveyor_django.worker.pulse import Pulse
from conveyor_django.worker.sessions import limited_sessions

from .processes import spawn, wait_for
from .proxies import Proxy, has_sockets
from .workers import PATIENCE, QUICK, running, wait, working

pytestmark = pytest.mark.django_db(transaction=True)
LEASE = 2  # seconds
HEARTBEAT = {"CONVEYOR_TEST_HEARTBEAT": f"0.4,{LEASE}"}
HANGING_APP = """
import threading
from pathlib import Path
from conveyor_django import signals

def hang(**kwargs):  # receivers run in the loop
    while not Path({go!r}).exists():
        threading.Event().wait(0.01)

signals.job_started.connect(hang)
"""


@pytest.fixture
def hanging(tmp_path):
    """The environment of a process whose loop hangs when a job has started, until the file `go` is there."""
    (tmp_path / "settings_that_hang.py").write_text(
        "from tests.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'app_that_hangs']\n"
    )
    app = tmp_path / "app_that_hangs"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "jobs.py").write_text(HANGING_APP.format(go=str(tmp_path / "go")))
    return {"DJANGO_SETTINGS_MODULE": "settings_that_hang", "PYTHONPATH": str(tmp_path), **HEARTBEAT}


@pytest.fixture
def impatient(monkeypatch):
    """Leases of 0.4 seconds, and so are the limits."""
    monkeypatch.setattr(limits, "_LEAST", 0.1)
    with override_settings(CONVEYOR={"HEARTBEAT_INTERVAL": 0.1, "HEARTBEAT_TIMEOUT": 0.4}):
        yield


@pytest.fixture
def sweeper():
    with override_settings(CONVEYOR=QUICK), working("nothing-here"):
        yield


# A loop that hangs


def test_a_worker_whose_loop_hangs_ends_itself_and_is_replaced(hanging, sweeper, tmp_path):
    job = Queue("process-add").add("add", {"a": 1, "b": 1})
    with spawn("runworker", "process-add", "--processes", "1", "--reload", env=hanging) as process:
        process.wait_for_output(f"ended with exit code {HUNG}: another one starts")
        wait_for(lambda: Job.objects.get(pk=job.pk).stalls, describe=lambda: process.output)
        assert f"the worker's loop has not turned for {2 * LEASE}.0 s; it is in " in process.output
        assert " hang" in process.output
        (tmp_path / "go").touch()
        process.terminate()
        process.ends_with()


def test_a_process_that_was_stopped_has_its_time_to_go_on(hanging, tmp_path):
    job = Queue("process-add").add("add", {"a": 1, "b": 1})
    with spawn("runworker", "process-add", env=hanging) as process:
        wait_for(lambda: Job.objects.get(pk=job.pk).state == JobState.ACTIVE, describe=lambda: process.output)
        worker = WorkerProcess.objects.filter(pid=process.pid)
        before = worker.get().heartbeat_at
        wait_for(lambda: worker.get().heartbeat_at > before)  # it has been hanging for a moment
        process.send_signal(signal.SIGSTOP)
        last = worker.get().heartbeat_at
        wait_for(lambda: get_engine("default").now() > last + timedelta(seconds=2.5 * LEASE))
        process.send_signal(signal.SIGCONT)
        wait_for(lambda: worker.get().heartbeat_at > last + timedelta(seconds=LEASE))
        (tmp_path / "go").touch()
        job.wait_until_finished(PATIENCE)
        process.terminate()
        assert process.ends_with() == 0, process.output
        assert "has not turned" not in process.output


def test_in_a_process_that_is_not_its_own_it_only_says_so(impatient, caplog):
    go = threading.Event()
    processor("hangs")(lambda job: "done")

    def hang(**kwargs):
        wait(go)

    signals.job_started.connect(hang)
    try:
        job = Queue("hangs").add("job")
        with working("hangs"):
            wait_for(lambda: "has not turned" in caplog.text)
            assert f" {hang.__name__} > " in caplog.text
            go.set()
            job.wait_until_finished(PATIENCE)
    finally:
        signals.job_started.disconnect(hang)
    [record] = [record for record in caplog.records if "has not turned" in record.getMessage()]
    assert record.levelno == logging.ERROR


@pytest.fixture
def watched(monkeypatch):
    """Waits until the watchdog has looked for three leases."""
    looks, look = [], watchdog.Watchdog._look_at
    monkeypatch.setattr(watchdog.Watchdog, "_look_at", lambda self, it: looks.append(it.name) or look(self, it))

    def wait_for_three_leases():
        before = looks.count("loop")
        wait_for(lambda: looks.count("loop") > before + 60)

    return wait_for_three_leases


def test_idle_loops_long_processors_and_outages_are_no_hanging(impatient, watched, monkeypatch):
    hangs, go, promote = [], threading.Event(), due.next_due
    monkeypatch.setattr(outage, "_FIRST_PAUSE", 1.5)
    processor("long")(lambda job: wait(go))
    worker = Worker("long", poll_interval=3)
    worker.on_hang = lambda: hangs.append(1)

    def fail(*args):
        raise OperationalError("away")

    with running(worker):
        watched()  # with nothing to do
        Queue("long").add("job")
        wait_for(Job.objects.active().exists)
        watched()
        monkeypatch.setattr(due, "next_due", fail)
        worker._loop.wake()
        watched()
        monkeypatch.setattr(due, "next_due", promote)
        go.set()
        wait_for(Job.objects.completed().exists)
    assert hangs == []


@pytest.mark.only_on("postgresql", "mysql", reason="one waits for all who write")
def test_a_lock_that_somebody_holds_for_long_is_no_hanging(impatient, watched, caplog):
    hangs, go = [], threading.Event()
    processor("locked")(lambda job: wait(go))
    job = Queue("locked").add("job")
    worker = Worker("locked", poll_interval=0.05)
    worker.on_hang = lambda: hangs.append(1)
    with override_settings(CONVEYOR={"HEARTBEAT_INTERVAL": 0.2, "HEARTBEAT_TIMEOUT": 1}), running(worker):
        wait_for(Job.objects.active().exists)
        with transaction.atomic():
            Job.objects.select_for_update().get(pk=job.pk)
            go.set()
            watched()
        assert job.wait_until_finished(PATIENCE).state == JobState.COMPLETED
    assert hangs == []
    assert "given up" not in caplog.text  # the database had ended the statement before


# The database says nothing


@pytest.mark.only_on("postgresql", "mysql", reason="a file is never half open")
def test_a_half_open_connection_is_given_up():
    add = Queue("process-add").add
    with (
        Proxy() as proxy,
        spawn("runworker", "process-add", "--poll-interval", "0.1", env=HEARTBEAT | proxy.environment) as process,
    ):
        add("add", {"a": 1, "b": 1}).wait_until_finished(PATIENCE)
        proxy.freeze()
        job = add("add", {"a": 1, "b": 2})
        wait_for(lambda: Job.objects.get(pk=job.pk).return_value == 3, describe=lambda: process.output)
        assert "no answer from the database to the loop for 3.0 s: its connection is given up" in process.output
        wait_for(lambda: "to the heartbeat for" in process.output, describe=lambda: process.output)
        process.terminate()
        assert process.ends_with() == 0, process.output


@override_settings(CONVEYOR={"HEARTBEAT_TIMEOUT": 6})
def test_only_the_workers_own_sessions_have_limits():
    statement, expected = {
        "postgresql": ("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'", 6000),
        "mysql": ("SELECT @@innodb_lock_wait_timeout", 6),
        "sqlite": ("PRAGMA busy_timeout", 6000),
    }[connection.vendor]

    def limit():
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return int(cursor.fetchone()[0])

    before, settings = limit(), connection.settings_dict
    assert before != expected
    with limited_sessions("default"):
        assert limit() == expected
        assert connection.settings_dict["OPTIONS"].get("connect_timeout") == (2 if has_sockets() else None)
        connection.close()
        assert limit() == expected  # of a new session, too
    assert limit() == before
    assert connection.settings_dict is settings is connections.settings["default"]
    assert "connect_timeout" not in settings["OPTIONS"]


@pytest.mark.only_on("postgresql", "mysql", reason="a file is never half open")
def test_a_session_of_somebody_who_went_on_is_not_cut():
    pulse = Pulse()
    with limited_sessions("default", pulse):
        connection.ensure_connection()
        assert not Line(connection).cut(lambda: False)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert pulse.cut()
        with pytest.raises(OperationalError), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.close()
        assert not pulse.cut()
