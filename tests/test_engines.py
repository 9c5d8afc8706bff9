"""What each engine must do, the same on every database."""

import threading
from datetime import UTC, datetime, timedelta
from random import getrandbits
from uuid import UUID

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from conveyor_django import JobState, Queue
from conveyor_django.engines import get_engine
from conveyor_django.engines.sql import LARGE
from conveyor_django.models import Job

from .factories import JobFactory
from .workers import PATIENCE

pytestmark = pytest.mark.django_db
committed = pytest.mark.django_db(transaction=True)
locks = pytest.mark.only_on("postgresql", "mysql", reason="SQLite has one writer at a time")


@pytest.fixture
def engine():
    return get_engine("default")


# Rows


def test_jobs_are_locked_in_ascending_id_and_read_without_their_large_columns(engine):
    jobs = [JobFactory(id=random_id()) for _ in range(20)]
    with CaptureQueriesContext(connection) as queries:
        rows = engine.lock_jobs([job.pk for job in jobs] + [random_id()])
    assert list(rows) == sorted(job.pk for job in jobs)
    [statement] = [query["sql"] for query in queries]
    assert " ORDER BY id" in statement
    selected = statement.split(" FROM ")[0]
    assert not [name for name in LARGE if f" {name}," in f"{selected},"]
    job = rows[jobs[0].pk]
    assert job.get_deferred_fields() == LARGE
    assert (job.name, job.state, job.backoff) == (jobs[0].name, JobState.WAITING, None)


def test_many_jobs_are_locked_in_one_order_too(engine):
    ids = [job.pk for job in Job.objects.bulk_create(fresh(1200))]  # more than one statement takes
    assert list(engine.lock_jobs(reversed(ids))) == sorted(ids)


def test_ids_are_ordered_as_in_python():
    Job.objects.bulk_create(fresh(200))
    stored = list(Job.objects.order_by("pk").values_list("pk", flat=True))
    assert stored == sorted(stored)
    assert list(Job.objects.filter(pk__gt=stored[99]).order_by("pk").values_list("pk", flat=True)) == stored[100:]


def random_id():
    """As a UUIDv7 is made, but of any time: of those made in a row only the last bits differ."""
    return UUID(int=getrandbits(128) & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def fresh(count):
    ids = [random_id() for _ in range(count)]
    return [Job(id=pk, root_id=pk, queue_name="default", name="job", state=JobState.WAITING) for pk in ids]


@locks
@committed
def test_locks_are_waited_for_or_skipped(engine):
    held, free = JobFactory(), JobFactory()
    locked, done, found = threading.Event(), threading.Event(), {}

    def wait_for_lock():
        with engine.begin():
            locked.set()
            found["waited"] = list(engine.lock_jobs([held.pk]))
        done.set()
        connections.close_all()

    thread = threading.Thread(target=wait_for_lock)
    with transaction.atomic():
        engine.lock_jobs([held.pk])
        in_thread(lambda: found.update(skipped=skip(engine, [held.pk, free.pk])))
        in_thread(lambda: found.update(claimable=claimable(engine)))
        thread.start()
        assert locked.wait(PATIENCE)
        assert not done.wait(0.1)
    thread.join(PATIENCE)
    assert found == {"skipped": [free.pk], "claimable": [free.pk], "waited": [held.pk]}


def skip(engine, ids):
    with engine.begin():
        return list(engine.lock_jobs(ids, skip_locked=True))


def claimable(engine):
    with engine.begin():
        return [job.pk for job in engine.waiting_jobs(["default"], 5)]


def in_thread(function):
    def run():
        try:
            function()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("waiting", "limit", "dealt"),
    [
        ({"a": 5, "b": 5, "c": 5}, 3, "abc"),
        ({"a": 5, "b": 5, "c": 5}, 5, "abcab"),
        ({"a": 5, "b": 5, "c": 5}, 2, "ab"),
        ({"a": 0, "b": 1, "c": 5}, 4, "bccc"),
        ({"a": 0, "b": 0, "c": 1}, 1, "c"),
        ({"a": 2, "b": 5, "c": 0}, 6, "ababbb"),
        ({"a": 1, "b": 1, "c": 0}, 9, "ab"),
        ({"a": 0, "b": 0, "c": 0}, 9, ""),
    ],
)
def test_waiting_jobs_are_dealt_in_turn_and_in_order(engine, waiting, limit, dealt):
    for queue_name, count in waiting.items():
        JobFactory.create_batch(count, queue_name=queue_name)
    JobFactory(queue_name="d")
    with engine.begin():
        jobs = engine.waiting_jobs(list("abc"), limit)
    assert "".join(job.queue_name for job in jobs) == dealt
    for name in "abc":
        own = [job.pk for job in jobs if job.queue_name == name]
        assert own == list(Job.objects.in_queue(name).in_order().values_list("pk", flat=True)[: len(own)])
    assert not any(job.get_deferred_fields() for job in jobs)


def test_queues_with_waiting_jobs_are_found_by_their_exact_names(engine):
    names = ["a", "A", "a ", "ä", "\U0001f600"]
    for name in names:
        JobFactory.create_batch(3, queue_name=name)
    JobFactory(queue_name="not waiting", state=JobState.DELAYED)
    assert sorted(engine.waiting_queue_names()) == sorted(names)


# Names


NAMES = ["order-A", "ORDER-a", "order-a", "order-A ", " order-A", "örder-A", "order-Ａ", "order-A\u200b"]


def test_names_and_job_ids_compare_exactly():
    jobs = {name: Queue("ids").add("job", opts={"job_id": name}) for name in NAMES}
    assert len({job.pk for job in jobs.values()}) == len(NAMES)
    for name, job in jobs.items():
        assert Queue("ids").get_job(name).pk == job.pk
        assert Queue("ids").add("job", opts={"job_id": name}).pk == job.pk
        Queue(name).add(name)
    for name in NAMES:
        assert Queue(name).count() == 1
        assert Job.objects.filter(name=name).count() == 1
    Queue("order-A").pause()
    assert [name for name in NAMES if Queue(name).is_paused()] == ["order-A"]


# The clock


def test_now_is_the_databases_clock_and_moves_inside_a_transaction(engine):
    first, second = engine.now(), engine.now()
    assert first.utcoffset() == timedelta(0)
    assert abs(first - datetime.now(UTC)) < timedelta(hours=1)
    assert first < second


SESSION_ZONE = {
    "postgresql": ("SET TIME ZONE 'Asia/Karachi'", "SET TIME ZONE 'UTC'"),
    "mysql": ("SET time_zone = '+05:00'", "SET time_zone = 'SYSTEM'"),
}


@pytest.mark.only_on("postgresql", "mysql", reason="SQLite has no sessions with a time zone")
def test_now_is_utc_whatever_the_sessions_time_zone(engine):
    there, back = SESSION_ZONE[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(there)
        try:
            assert abs(engine.now() - datetime.now(UTC)) < timedelta(hours=1)
        finally:
            cursor.execute(back)


@pytest.mark.only_on("postgresql", reason="elsewhere nothing has to be vacuumed")
def test_the_table_of_jobs_is_vacuumed_early():
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE relname = %s", [Job._meta.db_table])
        [[options]] = cursor.fetchall()
    assert {option.split("=")[0] for option in options} == {
        "autovacuum_vacuum_scale_factor",
        "autovacuum_vacuum_threshold",
        "autovacuum_analyze_scale_factor",
    }
