"""What a processor can do with its job, from sync and async code alike, and in which surroundings it runs."""

import asyncio
import contextvars
import threading
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.utils import timezone, translation

from conveyor_django import FlowProducer, JobState, Queue, processor
from conveyor_django.exceptions import InvalidJobState, InvalidNode
from conveyor_django.models import Job, QueueState

from .processes import wait_for
from .workers import wait, work, working

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["sync", "async"])
def register(request):
    """Registers a function as a sync or as an async processor."""

    def register(name=None):
        def decorate(function):
            async def asynchronous(job):
                await asyncio.sleep(0)
                return function(job)

            processor("api", name)(asynchronous if request.param == "async" else function)

        return decorate

    return register


def add(name="job", **opts):
    return Queue("api").add(name, opts=opts)


def ran(job):
    work("api")
    job.refresh_from_db()
    return job


def test_progress_and_log_lines_are_written_while_it_runs(register):
    seen = threading.Event()

    @register()
    def process(job):
        job.update_progress(10)
        job.log("first")
        job.update_progress({"percent": 50})
        job.log("second \x00 line")
        wait(seen)
        job.update_progress([100])
        job.log("last")

    job = add()
    with working("api"):
        wait_for(lambda: Job.objects.get(pk=job.pk).progress == {"percent": 50})
        assert [line.text for line in job.logs.order_by("pk")] == ["first", "second \ufffd line"]
        seen.set()
        job.wait_until_finished(20)
    assert job.progress == [100]
    assert [line.text for line in job.logs.order_by("pk")] == ["first", "second \ufffd line", "last"]


def test_progress_of_a_failing_attempt_is_kept(register):
    @register()
    def process(job):
        job.update_progress("half way")
        job.log("stumbling")
        raise ValueError

    job = ran(add())
    assert (job.state, job.progress) == (JobState.FAILED, "half way")
    assert job.logs.get().text == "stumbling"


def test_progress_is_not_part_of_the_processors_transaction():
    @processor("api")
    def process(job):
        with transaction.atomic():
            QueueState.objects.create(queue_name="rolled back")
            job.update_progress(1)
            job.log("kept")
            raise ValueError

    job = ran(add())
    assert not QueueState.objects.exists()
    assert (job.progress, job.logs.get().text) == (1, "kept")


@pytest.mark.parametrize("progress", [float("nan"), {1: 2}, object(), "\x00"], ids=["nan", "key", "object", "nul"])
def test_bad_progress_is_refused_where_it_is_reported(progress):
    @processor("api")
    def process(job):
        with pytest.raises(InvalidNode):
            job.update_progress(progress)
        return "went on"

    job = ran(add())
    assert (job.return_value, job.progress) == ("went on", None)


def test_discard_means_no_more_attempts(register):
    @register()
    def process(job):
        job.discard()
        raise ValueError("no use")

    job = ran(add(attempts=5, backoff={"delay": 60}))
    assert (job.state, job.attempts_made, job.failed_reason) == (JobState.FAILED, 1, "ValueError: no use")


def test_discard_does_not_fail_a_job_that_returns(register):
    register()(lambda job: job.discard())
    assert ran(add(attempts=5)).state == JobState.COMPLETED


def test_move_to_delayed_runs_again_without_a_counted_attempt(register):
    runs = []

    @register()
    def process(job):
        runs.append(job.attempts_made)
        if len(runs) < 3:
            job.move_to_delayed(timedelta(minutes=5))
            return "dropped"
        return "done"

    job = add()
    for _ in range(2):
        before = timezone.now()
        ran(job)
        assert (job.state, job.attempts_made, job.return_value) == (JobState.DELAYED, 0, None)
        assert timedelta(minutes=4) < job.run_at - before < timedelta(minutes=6)
        job.promote()
    assert ran(job).return_value == "done"
    assert runs == [1, 1, 1]
    assert job.epoch == 3


def test_move_to_delayed_gives_way_to_a_failure(register):
    @register()
    def process(job):
        job.move_to_delayed(60)
        raise ValueError("after all")

    assert ran(add()).failed_reason == "ValueError: after all"


def test_nobody_asked_it_to_stop(register):
    register()(lambda job: job.cancel_requested)
    assert ran(add()).return_value is False


@pytest.mark.django_db
def test_outside_of_a_processor_there_is_nothing_to_report_to():
    job = add()
    assert job.cancel_requested is False
    for call in (job.discard, lambda: job.log("x"), lambda: job.update_progress(1), lambda: job.move_to_delayed(1)):
        with pytest.raises(InvalidJobState, match="not being processed"):
            call()


@pytest.mark.parametrize("how", ["sync", "async"])
def test_nothing_that_an_earlier_job_set_is_set(settings, how):
    settings.LANGUAGE_CODE, settings.TIME_ZONE = "de", "Asia/Kathmandu"
    seen = []

    left = contextvars.ContextVar("left", default=None)

    def process(job):
        seen.append((translation.get_language(), timezone.get_current_timezone_name(), left.get()))
        translation.activate("fr")
        timezone.activate("America/Lima")
        left.set("behind")

    async def asynchronous(job):
        process(job)

    processor("api")(asynchronous if how == "async" else process)
    for _ in range(3):
        add()
    work("api")  # one slot: a thread serves all three
    assert seen == [("de", "Asia/Kathmandu", None)] * 3


def test_each_async_job_has_a_database_thread_of_its_own():
    both = threading.Barrier(2, timeout=20)

    @processor("api")
    async def process(job):
        await sync_to_async(both.wait)()  # would wait for ever if the two shared one thread
        return await Job.objects.filter(queue_name="api").acount()

    jobs = [add(), add()]
    work("api", concurrency=2)
    assert [job.wait_until_finished(0).return_value for job in jobs] == [2, 2]


def test_a_processors_connection_is_its_own_and_open_transactions_end_with_it():
    seen = []

    @processor("api")
    def process(job):
        seen.append(connection.in_atomic_block)
        transaction.set_autocommit(False)
        QueueState.objects.create(queue_name=job.name)

    for n in range(3):
        add(f"job-{n}")
    work("api")
    assert seen == [False] * 3
    assert Job.objects.completed().count() == 3
    assert not QueueState.objects.exists()  # never committed


def test_deferred_removals_are_done_before_until_idle_returns():
    processor("api", "child")(lambda job: job.data)
    processor("api", "parent")(lambda job: sorted(job.get_children_values().values()))
    children = [
        {"name": "child", "queue_name": "api", "data": n, "opts": {"remove_on_complete": True}} for n in range(5)
    ]
    kept = FlowProducer().add({"name": "parent", "queue_name": "api", "children": children})
    FlowProducer().add({"name": "parent", "queue_name": "api", "opts": {"remove_on_complete": True}})
    processor("api", "bad")(lambda job: 1 / 0)
    add("bad", remove_on_fail=True)
    assert work("api", concurrency=2) == 8
    parent = Job.objects.get()  # all others are gone
    assert (str(parent.pk), parent.return_value) == (kept.job.id, [0, 1, 2, 3, 4])
