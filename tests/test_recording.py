"""What came of a job is recorded, whatever it is: what the database refuses fails that job alone, and nothing else."""

from contextlib import closing
from unittest import mock

import pytest
from django.db import OperationalError, connection, connections

from conveyor_django import Queue, processor
from conveyor_django.engines import get_engine
from conveyor_django.models import Job, JobError, JobLog
from conveyor_django.transitions import work as transition
from tests.processes import spawn
from tests.workers import QUICK, work

MEBIBYTE = 1024 * 1024
LARGE = 64 * MEBIBYTE  # far above what MariaDB and MySQL take in one statement unless told
mysql = pytest.mark.only_on("mysql", reason="for MariaDB and MySQL")


@mysql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("size", [17, 40])  # the server says what is wrong, or just hangs up
def test_a_result_above_the_servers_limit_fails_its_job_alone(settings, size):
    settings.CONVEYOR = {**QUICK, "MAX_DATA_BYTES": LARGE}

    @processor("q", "large")
    def large(job):
        return "x" * (size * MEBIBYTE)

    @processor("q", "small")
    def small(job):
        return "small"

    Queue("q").add_bulk([("small", {}), ("large", {}), ("small", {})])
    assert work("q", concurrency=3) == 3
    assert [job.return_value for job in Job.objects.completed()] == ["small", "small"]
    [failed] = Job.objects.failed()
    assert failed.failed_reason.startswith("the database refused the return value: DataError: ")
    assert "max_allowed_packet" in failed.failed_reason
    assert failed.errors.get().reason == failed.failed_reason


@mysql
@pytest.mark.django_db(transaction=True)
def test_progress_above_the_servers_limit_is_left_out(settings):
    settings.CONVEYOR = {**QUICK, "MAX_DATA_BYTES": LARGE}

    @processor("q")
    def large(job):
        job.update_progress("x" * (17 * MEBIBYTE))
        job.log("a line")
        raise ValueError("boom")

    Queue("q").add("large")
    assert work("q") == 1
    job = Job.objects.get()
    assert (job.state, job.failed_reason, job.progress) == ("failed", "ValueError: boom", None)


@mysql
@pytest.mark.django_db(transaction=True)
def test_a_server_that_hangs_up_and_then_lets_nobody_in_is_away():
    engine = get_engine("default")
    refused = connection.Database.OperationalError(1040, "Too many connections")

    def step():
        with closing(connection.copy()) as other, other.cursor() as cursor:
            cursor.execute(f"KILL {connection.connection.thread_id()}")
        with mock.patch.object(connections["default"], "get_new_connection", side_effect=refused):
            Job.objects.count()

    with pytest.raises(OperationalError) as raised:
        engine.transact(step)
    connection.close()
    assert engine.is_outage(raised.value)


@pytest.mark.django_db
@pytest.mark.parametrize("model", [JobError, JobLog])
def test_what_is_recorded_together_stays_below_a_servers_limit(model, django_assert_num_queries):
    page = transition._PAGE
    assert page * 4 * 65_536 < 16 * MEBIBYTE  # of characters that take four bytes each
    job = Queue("q").add("job")
    moves = transition.Work(get_engine("default"), {job.pk: job})
    for _ in range(page + 1):
        moves.record(model(job=job, created_at=moves.now, **({"attempt": 1} if model is JobError else {"text": "x"})))
    with django_assert_num_queries(2):
        moves.save()
    assert model.objects.count() == page + 1


@mysql
@pytest.mark.django_db(transaction=True)
def test_any_traceback_fits_where_the_databases_default_is_latin1():
    name = f"{connection.settings_dict['NAME']}_latin1"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET latin1 COLLATE latin1_swedish_ci")
    try:
        with spawn("shell", "-c", FAILS_IN_EMOJIS, env={"CONVEYOR_TEST_NAME": name}) as process:
            assert process.ends_with() == 0, process.output
            assert "recorded: ValueError: \\U0001f69a \\u0416 \\u202e" in process.output
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")


FAILS_IN_EMOJIS = r"""
from django.core.management import call_command
from conveyor_django import Queue, processor
from conveyor_django.engines import get_engine
from conveyor_django.models import Job, JobError, JobLog
from conveyor_django.testing import drain

call_command("migrate", "conveyor_django", verbosity=0)

@processor("q\u0416")
def fails(job):
    job.update_progress("\U0001f69a")
    job.log("\U0001f69a")
    raise ValueError("\U0001f69a \u0416 \u202e")

Queue("q\u0416").add("\U0001f69a", {"\U0001f69a": "\u0416"}, {"job_id": "\U0001f69a"})
drain()
job = Job.objects.get(name="\U0001f69a", queue_name="q\u0416")
assert (job.data, job.progress, job.job_id) == ({"\U0001f69a": "\u0416"}, "\U0001f69a", "\U0001f69a"), job.data
assert job.errors.get().reason == job.failed_reason and "\U0001f69a" in job.stacktrace
assert job.logs.get().text == "\U0001f69a"
print("recorded:", ascii(job.failed_reason)[1:-1])
"""
