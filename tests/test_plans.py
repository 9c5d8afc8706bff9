"""How the databases find what the worker asks for, where most rows are finished jobs."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conveyor_django import JobState
from conveyor_django.engines import get_engine
from conveyor_django.ids import new_ids
from conveyor_django.models import Job
from conveyor_django.transitions import check

pytestmark = pytest.mark.django_db(transaction=True)  # MySQL's ANALYZE commits


@pytest.fixture
def engine():
    return get_engine("default")


@pytest.fixture
def many_jobs():
    """Enough finished jobs that reading all of them is never the better plan."""
    finished = {"state": JobState.COMPLETED, "finished_at": timezone.now()}
    store(3000, queue_name="default", **finished)
    for queue_name in ("default", "other"):
        store(50, queue_name=queue_name, state=JobState.WAITING)
    with connection.cursor() as cursor:
        table = connection.ops.quote_name(Job._meta.db_table)
        cursor.execute(f"ANALYZE TABLE {table}" if connection.vendor == "mysql" else f"ANALYZE {table}")


def store(count, **fields):
    Job.objects.bulk_create(Job(id=pk, root_id=pk, name="job", **fields) for pk in new_ids(count))


def plan(function):
    """How the database would find the rows of the one SELECT on jobs that `function` makes."""
    with CaptureQueriesContext(connection) as queries:
        function()
    [statement] = [q["sql"] for q in queries if q["sql"].lstrip().startswith("SELECT")][:1]
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {statement.replace('%', '%%')}")
        return "\n".join(" ".join(map(str, row)) for row in cursor.fetchall())


def test_the_claim_reads_the_index_of_waiting_jobs_in_its_order(engine, many_jobs):
    found = plan(lambda: engine.waiting_jobs(["default", "other"], 5))
    assert "conveyor_job_waiting" in found
    for wrong in ("Seq Scan", "filesort", "USE TEMP B-TREE"):
        assert wrong not in found


@pytest.mark.only_on("mysql", reason="elsewhere an index isn't locked")
def test_the_claim_reads_and_locks_that_index_when_there_is_little_to_read_too(engine):
    for queue_name in ("default", "other"):
        store(3, queue_name=queue_name, state=JobState.WAITING)
    found = plan(lambda: engine.waiting_jobs(["default"], 5))
    assert "conveyor_job_waiting conveyor_job_waiting" in found  # the one that is possible, and the one that is taken


PRIMARY_KEY = {
    "postgresql": "conveyor_django_job_pkey",
    "mysql": "PRIMARY",
    "sqlite": "sqlite_autoindex_conveyor_django_job_1",
}


def test_locks_go_through_the_primary_key(engine, many_jobs):
    ids = list(Job.objects.values_list("pk", flat=True)[:5])
    found = plan(lambda: engine.lock_jobs(ids))
    assert PRIMARY_KEY[connection.vendor] in found
    assert "Seq Scan" not in found


def test_parents_that_wait_are_found_by_their_state(engine, many_jobs):
    found = plan(lambda: check.find_in_parents("default", None))
    assert ("conveyor_job_" if connection.vendor == "mysql" else "conveyor_job_parents") in found
    assert "Seq Scan" not in found


def test_children_are_counted_through_their_index(engine, many_jobs):
    ids = list(Job.objects.values_list("pk", flat=True)[:5])
    found = plan(lambda: list(check.miscounted(Job.objects.filter(pk__in=ids))))
    assert "conveyor_job_parent" in found
    assert PRIMARY_KEY[connection.vendor] in found
    assert "Seq Scan" not in found
