"""What two things at once can lead to: each of these once went wrong."""

import asyncio
import threading
import time

import pytest
from asgiref.sync import async_to_sync
from django.db import Error, connection, connections, transaction
from django.test import override_settings

from conveyor_django import Queue, processor, signals, transitions
from conveyor_django.engines import get_engine
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.models import Job
from conveyor_django.outcomes import Delayed, Failed, GivenBack
from conveyor_django.worker.sessions import limited_sessions

from . import workers
from .helpers import USING, add, after_reading, fail, finish, job, node, settle, start, states

pytestmark = pytest.mark.django_db(transaction=True)


def run_parent_and_retried_child(policy):
    add(node("GG", node("G", node("P", node("C", max_stalls=0), policy=policy, attempts=3))))
    finish("C")
    start("P")
    job("C").retry()
    start("C")


@pytest.mark.parametrize("policy", ["fail", "remove"])
@pytest.mark.parametrize(
    "outcome", [Failed("x"), Delayed(3600), GivenBack()], ids=lambda outcome: type(outcome).__name__
)
def test_a_parent_returns_in_the_transaction_in_which_its_child_fails(policy, outcome):
    run_parent_and_retried_child(policy)
    settle({"P": outcome, "C": Failed("boom")})
    after = {
        "fail": {"GG": "failed", "G": "failed", "P": "failed"},
        "remove": {"GG": "waiting-children", "G": "waiting"},
    }
    assert states() == {"C": "failed", **after[policy]}


@pytest.mark.parametrize("policy", ["fail", "remove"])
def test_a_parent_and_its_child_are_lost_together(policy):
    run_parent_and_retried_child(policy)
    assert transitions.rescue_stalled(USING) == 2
    assert states()["C"] == "failed"
    assert job("G").state == ("failed" if policy == "fail" else "waiting")


@override_settings(CONVEYOR={"HEARTBEAT_INTERVAL": 0.1, "HEARTBEAT_TIMEOUT": 30})
def test_a_slow_receiver_of_job_started_does_not_make_a_job_run_twice():
    epochs = []
    processor("q")(lambda job: epochs.append(job.epoch))

    def receiver(**kwargs):
        time.sleep(1)  # many heartbeats

    signals.job_started.connect(receiver)
    try:
        Queue("q").add("a")
        workers.work("q")
    finally:
        signals.job_started.disconnect(receiver)
    assert (epochs, job("a").attempts_made) == ([1], 1)


def test_a_processor_cannot_write_its_state_and_lease_back():
    refused = []

    @processor("q")
    def saves(its_job):
        job("a").cancel()
        with pytest.raises(InvalidJobState):
            its_job.save()
        refused.append(True)

    Queue("q").add("a")
    workers.work("q")
    assert (refused, states()) == ([True], {"a": "cancelled"})


def test_a_bulk_may_weigh_more_than_one_statement_can():
    Queue("q").add_bulk([("n", "x" * 100_000)] * 300)
    assert Job.objects.count() == 300


def test_every_queue_is_seen_however_many_there_are():
    add(*(node("n", queue=f"q{number}") for number in range(1100)))
    connection.close()  # a new session: what an earlier statement set in the old one is gone
    assert len(get_engine(USING).waiting_queue_names()) == 1100


@pytest.mark.parametrize("remove_all", [lambda: Queue("q").obliterate(), lambda: Job.objects.all().delete()])
def test_what_somebody_else_has_removed_needs_no_removing(remove_all):
    Queue("q").add("a")
    Queue("q").add("b")
    with after_reading("subtree_ids", lambda: job("a").remove()):
        remove_all()
    assert not Job.objects.exists()


def test_waiting_for_a_job_does_not_keep_others_from_the_database():
    waited_for = Queue("q").add("a")

    async def both():
        waiting = asyncio.create_task(waited_for.await_until_finished(20))
        await asyncio.sleep(0)
        await (await Job.objects.aget(pk=waited_for.pk)).acancel()
        return await waiting

    assert async_to_sync(both)().state == "cancelled"


@pytest.mark.parametrize(("policy", "again"), [("fail", True), ("remove", True), ("ignore", False)])
def test_a_parent_that_failed_by_itself_takes_children_that_failed_afterwards(policy, again):
    add(node("P", node("C"), policy=policy))
    finish("C")
    start("P")
    job("C").retry()
    fail("P")
    fail("C")
    job("P").retry()
    assert states() == ({"P": "waiting-children", "C": "waiting"} if again else {"P": "waiting", "C": "failed"})


@pytest.mark.only_on("postgresql", "mysql", reason="one writer at a time: a stopped process holds up all others")
def test_a_worker_stopped_inside_a_transaction_does_not_keep_others_from_its_jobs():
    """Its session ends by itself, so that its locks go; what it then finds is an outage like any other."""
    Queue("q").add("a")
    start("a")
    locked, go = threading.Event(), threading.Event()

    def stopped_worker():
        lease = override_settings(CONVEYOR={"HEARTBEAT_TIMEOUT": 1})
        with lease, limited_sessions(USING), pytest.raises(Error), transaction.atomic():
            get_engine(USING).lock_jobs([job("a").pk])
            locked.set()
            go.wait(20)
            job("a")
        connections.close_all()

    thread = threading.Thread(target=stopped_worker)
    thread.start()
    assert locked.wait(20)
    assert transitions.rescue_stalled(USING) == 1  # waits for the lock, which nobody gives back
    go.set()
    thread.join(20)
    assert job("a").state == "waiting"
