"""`@processor(..., atomic=True)`: what the processor writes and what came of its job are one transaction.

Groups stand for what a site writes.
"""

import signal
import threading
from contextlib import contextmanager, suppress
from unittest import mock

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import OperationalError, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import override_settings

from conveyor_django import Queue, processor, signals, transitions
from conveyor_django.exceptions import InvalidJob
from conveyor_django.models import Job, WorkerProcess
from conveyor_django.outcomes import Failed, GivenBack
from conveyor_django.testing import drain
from conveyor_django.worker import atomic
from conveyor_django.worker.attempt import Attempt

from .factories import WorkerProcessFactory
from .helpers import add, job, node, states
from .processes import spawn, wait_for
from .workers import QUICK, wait, work, working

pytestmark = pytest.mark.django_db(transaction=True)
quick = override_settings(CONVEYOR=QUICK)
in_test_case = pytest.mark.django_db


def groups():
    return sorted(Group.objects.values_list("name", flat=True))


def writing(result=None, **options):
    """A processor that writes a group for its job, and then does what `result` does."""

    def process(job):
        Group.objects.create(name=job.name)
        return result(job) if result else "done"

    return processor("q", atomic=True, **options)(process)


def taken(name):
    """An attempt at this job, just claimed by a worker that lives."""
    worker = WorkerProcessFactory()
    [claimed] = transitions.claim("default", worker.pk, ["q"], 1)
    assert claimed.name == name
    return Attempt(claimed, worker.pk)


@contextmanager
def told(signal):
    """The ids that a receiver of the signal gets during the block, a list for each time."""
    heard = []

    def receive(job_ids, **kwargs):
        heard.append(job_ids)

    signal.connect(receive)
    try:
        yield heard
    finally:
        signal.disconnect(receive)


# Together


def test_the_writes_and_the_end_of_the_job_are_one_transaction():
    seen = []

    def look(job):
        job.log("a line")
        job.update_progress(50)
        transaction.on_commit(lambda: seen.append((groups(), Job.objects.get(pk=job.pk).state)))
        seen.append(Job.objects.get(pk=job.pk).state)

    writing(look)
    add(node("root", node("leaf")))
    with told(signals.job_completed) as heard:
        assert work("q") == 2
    assert seen == ["active", (["leaf"], "completed"), "active", (["leaf", "root"], "completed")]
    assert states() == {"leaf": "completed", "root": "completed"}
    assert (job("leaf").progress, [line.text for line in job("leaf").logs.all()]) == (50, ["a line"])
    assert heard == [[str(job("leaf").pk)], [str(job("root").pk)]]


def test_jobs_that_it_adds_come_with_its_end():
    @processor("q", "first", atomic=True)
    def first(job):
        Queue("q").add("second")
        if job.attempts_made == 1:
            raise ValueError("boom")

    @processor("q", "second", atomic=True)
    def second(job):
        return "done"

    Queue("q").add("first", opts={"attempts": 2})
    assert work("q") == 3
    assert states() == {"first": "completed", "second": "completed"}


def test_a_delay_that_it_asks_for_commits_with_its_writes():
    writing(lambda job: job.move_to_delayed(3600))
    Queue("q").add("job")
    work("q")
    assert (groups(), job("job").state, job("job").attempts_made) == (["job"], "delayed", 0)


# Neither


def test_a_failed_attempt_leaves_no_writes_and_is_recorded():
    def process(job):
        job.log(f"attempt {job.attempts_made}")
        if job.attempts_made == 1:
            raise ValueError("boom")

    writing(process, attempts=2)
    Queue("q").add("job")
    assert work("q") == 2
    assert groups() == ["job"]  # else the second attempt would have met the first one's
    assert (job("job").state, job("job").attempts_made) == ("completed", 2)
    assert [error.reason for error in job("job").errors.all()] == ["ValueError: boom"]
    assert [line.text for line in job("job").logs.order_by("pk")] == ["attempt 1", "attempt 2"]


def test_what_runs_out_of_time_leaves_no_writes():
    def spin(job):
        while True:
            pass

    writing(spin, timeout=0.2)
    Queue("q").add("job")
    work("q")
    assert (groups(), job("job").state) == ([], "failed")


def test_writes_that_the_commit_refuses_fail_the_attempt():
    @processor("q", atomic=True)
    def process(job):
        Group.objects.create(name="group")
        Permission.objects.create(name="p", codename="p", content_type_id=2**31 - 1)  # no such content type

    Queue("q").add("job")
    work("q")
    assert (groups(), job("job").state) == ([], "failed")
    assert "IntegrityError" in job("job").failed_reason


def test_a_processor_that_swallowed_the_loss_of_its_transaction_fails():
    @processor("q", atomic=True)
    def process(job):
        Group.objects.create(name="group")
        with suppress(ValueError), transaction.atomic(savepoint=False):  # without one, all is lost
            raise ValueError
        return "done"

    Queue("q").add("job")
    work("q")
    assert (groups(), job("job").state) == ([], "failed")


def lose_to_cancel(attempt):
    Job.objects.get(pk=attempt.job_id).cancel()


def lose_to_rescue(attempt):
    WorkerProcess.objects.filter(pk=attempt.worker).update(dead_at=attempt.job.created_at)
    assert transitions.rescue_stalled("default") == 1


def lose_to_another(attempt):
    lose_to_rescue(attempt)
    taken("job")  # active again, and under a higher epoch


def lose_to_removal(attempt):
    transitions.remove("default", [attempt.job_id], force=True)


@pytest.mark.parametrize("lose", [lose_to_cancel, lose_to_rescue, lose_to_another, lose_to_removal])
def test_a_lost_lease_takes_the_writes_with_it(lose):
    writing()
    Queue("q").add("job")
    attempt = taken("job")
    lose(attempt)
    before = list(Job.objects.values())
    ending = atomic.run(attempt, "default")
    assert isinstance(ending, Failed)
    assert groups() == []
    assert transitions.finish("default", attempt.worker, [attempt.report(ending)]) == [attempt.job_id]
    assert list(Job.objects.values()) == before


def test_a_processor_that_cancels_its_own_job_undoes_that_and_fails():
    writing(lambda job: transitions.cancel("default", [job.pk]))
    Queue("q").add("job")
    assert work("q") == 1
    assert (groups(), job("job").state) == ([], "failed")
    assert job("job").failed_reason == "LostLease: the job's own atomic processor can't cancel, retry or remove it"


@quick
@pytest.mark.only_on("postgresql", "mysql", reason="nobody else can write while the processor runs")
def test_a_worker_that_lost_a_lease_says_so_and_goes_on(caplog):
    started, cancelled = threading.Event(), threading.Event()

    def process(job):
        if job.name == "cancelled":
            started.set()
            wait(cancelled)

    writing(process)
    Queue("q").add_bulk([("cancelled", {}), ("other", {})])
    with working("q"):
        wait(started)
        job("cancelled").cancel()
        cancelled.set()
        wait_for(lambda: job("other").state == "completed")
    assert groups() == ["other"]
    assert "LostLease" in caplog.text


# Conflicts and outages are nobody's fault


def test_a_conflict_over_the_end_is_no_attempt():
    writing()
    Queue("q").add("job")
    real, calls = atomic.finish, []

    def finish(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise OperationalError("the server closed the connection")
        return real(*arguments)

    with mock.patch.object(atomic, "finish", finish):
        assert work("q") == 2
    assert (groups(), job("job").state, job("job").attempts_made, job("job").epoch) == (["job"], "completed", 1, 2)
    assert not job("job").errors.exists()


def test_a_commit_whose_reply_was_lost_counts():
    writing()
    Queue("q").add("job")
    attempt = taken("job")
    real = BaseDatabaseWrapper.commit

    def commit(self):
        real(self)
        self.close()
        raise OperationalError("the server closed the connection")

    with mock.patch.object(BaseDatabaseWrapper, "commit", commit):
        ending = atomic.run(attempt, "default")
    assert ending == GivenBack()  # it can't know; the fence does
    assert transitions.finish("default", attempt.worker, [attempt.report(ending)]) == [attempt.job_id]
    assert (groups(), job("job").state, job("job").attempts_made) == (["job"], "completed", 1)


def test_killed_in_the_middle_it_leaves_nothing_and_runs_again():
    Queue("process-atomic").add("job", {"group": "written"})
    quick = {"CONVEYOR_TEST_HEARTBEAT": "0.2,1"}
    with spawn("runworker", "process-atomic", env=quick) as first:
        assert first.ends_with() == -signal.SIGKILL  # by its own hand, after it has written
    assert groups() == []
    with spawn("runworker", "process-atomic", "--until-idle", env=quick) as second:
        wait_for(lambda: job("job").state == "completed")
        assert second.ends_with() == 0
    assert (groups(), job("job").stalls, job("job").attempts_made) == (["written"], 1, 1)


def test_the_session_is_as_it_was_afterwards():
    limits = []

    @processor("q", "look")
    def look(job):
        limits.append(_idle_limit())

    writing()
    limits.append(_idle_limit())
    connections["default"].close()
    with mock.patch("conveyor_django.worker.threads.close_stale_connections"):  # both jobs in one session
        Queue("q").add_bulk([("write", {}), ("look", {})])
        work("q")
    assert states() == {"write": "completed", "look": "completed"}
    assert limits[0] == limits[1]


def _idle_limit():
    statement = {
        "postgresql": "SHOW idle_in_transaction_session_timeout",
        "mysql": "SELECT @@idle_transaction_timeout",
        "sqlite": "SELECT 0",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


# In a test case


@in_test_case
def test_drain_undoes_what_a_failed_one_wrote():
    @processor("q", atomic=True, attempts=2)
    def process(job):
        Group.objects.create(name=job.name)
        if job.attempts_made == 1:
            raise ValueError("boom")
        return "done"

    Group.objects.create(name="mine")
    add(node("root", node("leaf")))
    with transaction.atomic():
        assert drain() == 4
    assert states() == {"leaf": "completed", "root": "completed"}
    assert groups() == ["leaf", "mine", "root"]


# Asked for wrongly


def test_async_functions_cannot_be_atomic():
    async def process(job): ...

    class Callable:
        async def __call__(self, job): ...

    for function in (process, Callable()):
        with pytest.raises(InvalidJob, match="atomic is for sync functions"):
            processor("q", atomic=True)(function)


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_atomic_is_a_bool(value):
    with pytest.raises(InvalidJob, match="atomic must be True or False, not (str|int|NoneType)"):
        processor("q", atomic=value)
