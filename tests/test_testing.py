"""`testing.drain`: jobs run inline, in the test's own transaction."""

import time
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import IntegrityError, connection, transaction
from django.test import TestCase
from django.utils import timezone, translation

from conveyor_django import FlowProducer, JobState, Queue, processor
from conveyor_django.models import Job, QueueState
from conveyor_django.testing import adrain, drain

pytestmark = pytest.mark.django_db


def add(name="job", data=None, queue="drained", **opts):
    return Queue(queue).add(name, data, opts)


def drained(job):
    drain("drained")
    job.refresh_from_db()
    return job


class TestInsideTestCase(TestCase):
    def setUp(self):
        processor("drained", "one")(lambda job: 1)

        @processor("drained", "sum")
        async def total(job):
            values = await job.aget_children_values()
            return sum(values.values())

    def add_flow(self):
        one = {"name": "one", "queue_name": "drained"}
        flow = FlowProducer().add({"name": "sum", "queue_name": "drained", "children": [one, one.copy()]})
        return Job.objects.get(pk=flow.job.id)

    def test_a_flow_runs_from_end_to_end(self):
        assert connection.in_atomic_block
        parent = self.add_flow()
        assert drain() == 3
        parent.refresh_from_db()
        assert (parent.state, parent.return_value) == (JobState.COMPLETED, 2)
        assert drain() == 0

    async def test_from_async_code(self):
        job = await Queue("drained").aadd("one")
        assert await adrain("drained") == 1
        await job.arefresh_from_db()
        assert job.return_value == 1


@pytest.mark.django_db(transaction=True)
def test_outside_of_a_transaction():
    processor("drained")(lambda job: connection.in_atomic_block)
    assert drained(add()).return_value is False


def test_only_the_queues_that_are_named():
    processor("drained")(lambda job: None)
    processor("other")(lambda job: None)
    add(), add(queue="other"), add(queue="third")
    assert drain("drained", "other") == 2
    assert Job.objects.waiting().get().queue_name == "third"
    assert drain() == 1


def test_in_the_order_of_workers():
    order = []
    processor("drained")(lambda job: order.append(job.name))
    add("second"), add("third"), add("last", priority=1), add("first", lifo=True)
    drain()
    assert order == ["first", "second", "third", "last"]


def test_delayed_jobs_stay_until_they_are_due():
    processor("drained")(lambda job: None)
    later = add(delay=3600)
    due = add(delay=timezone.now() - timedelta(seconds=5))
    assert drain() == 1
    later.refresh_from_db()
    due.refresh_from_db()
    assert (later.state, due.state) == (JobState.DELAYED, JobState.COMPLETED)


def test_failures_are_recorded_as_by_a_worker():
    processor("drained")(lambda job: 1 / 0)
    job = drained(add(attempts=3))
    assert (job.state, job.attempts_made, job.errors.count()) == (JobState.FAILED, 3, 3)
    assert job.failed_reason == "ZeroDivisionError: division by zero"
    backing_off = drained(add(attempts=3, backoff={"delay": 60}))
    assert (backing_off.state, backing_off.attempts_made) == (JobState.DELAYED, 1)
    unknown = add("x", queue="unknown-queue")
    assert drain("unknown-queue") == 1
    unknown.refresh_from_db()
    assert unknown.failed_reason.startswith("NoProcessor: ")


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_nothing_that_a_processor_raises_ends_the_test(error):
    @processor("drained")
    def process(job):
        raise error

    assert drained(add()).failed_reason == error.__name__


def break_with_the_orm():
    QueueState.objects.create(queue_name="taken")


def break_with_sql():
    with connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")


def break_a_block_of_the_caller():
    with transaction.atomic(savepoint=False):
        raise ValueError


@pytest.mark.parametrize("breaks", [break_with_the_orm, break_with_sql, break_a_block_of_the_caller])
@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_statement_that_fails_does_not_cost_the_callers_transaction(breaks, how):
    QueueState.objects.create(queue_name="taken")

    async def asynchronous(job):
        await sync_to_async(breaks)()

    processor("drained")(asynchronous if how == "async" else lambda job: breaks())
    job = add(attempts=2)
    with transaction.atomic():
        assert drain() == 2
    job.refresh_from_db()
    assert (job.state, job.errors.count()) == (JobState.FAILED, 2)
    assert QueueState.objects.count() == 1


def test_what_a_failing_processor_wrote_stays_as_without_a_transaction():
    @processor("drained")
    def process(job):
        QueueState.objects.create(queue_name="written")
        raise ValueError

    drained(add())
    assert QueueState.objects.get().queue_name == "written"


def test_a_processor_may_catch_what_its_own_block_refused():
    QueueState.objects.create(queue_name="taken")

    @processor("drained")
    def process(job):
        with pytest.raises(IntegrityError), transaction.atomic():
            break_with_the_orm()
        return QueueState.objects.count()

    assert drained(add()).return_value == 1


def test_timeouts_are_not_enforced():
    processor("drained")(lambda job: time.sleep(0.02))
    assert drained(add(timeout=0.001)).state == JobState.COMPLETED


def test_the_callers_language_and_time_zone_are_its_own(settings):
    settings.LANGUAGE_CODE, settings.TIME_ZONE = "de", "Asia/Kathmandu"
    seen = []

    @processor("drained")
    def process(job):
        seen.append((translation.get_language(), timezone.get_current_timezone_name()))
        translation.activate("it")
        timezone.activate("America/Lima")

    add(), add()
    with translation.override("fr"), timezone.override("Europe/Paris"):
        drain()
        assert (translation.get_language(), timezone.get_current_timezone_name()) == ("fr", "Europe/Paris")
    assert seen == [("de", "Asia/Kathmandu")] * 2


def test_the_job_api_works_there_too():
    @processor("drained")
    def process(job):
        job.update_progress(50)
        job.log("line")
        if job.epoch == 1:
            job.move_to_delayed(60)

    job = drained(add())
    assert (job.state, job.progress, job.attempts_made) == (JobState.DELAYED, 50, 0)
    job.promote()
    assert drained(job).state == JobState.COMPLETED
    assert job.logs.count() == 2


def test_a_processor_that_cancels_its_own_job():
    processor("drained")(lambda job: Job.objects.get(pk=job.pk).cancel())
    assert drained(add()).state == JobState.CANCELLED


def test_deferred_removals_are_done():
    processor("drained")(lambda job: None)
    add(remove_on_complete=True)
    assert drain() == 1
    assert not Job.objects.exists()
