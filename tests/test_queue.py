"""`Queue`: looking at its jobs; and the verbs that change an unfinished job without changing its state."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conveyor_django import JobState, Queue
from conveyor_django.exceptions import InvalidJobState, InvalidNode
from conveyor_django.models import Job

from .helpers import add, bring, fail, finish, job, node, start, states

pytestmark = pytest.mark.django_db

PLAIN = ("waiting", "delayed", "active", "completed", "failed", "cancelled")


@pytest.fixture
def queue():
    """A queue with one job in each state; its neighbour has some too."""
    for state in PLAIN:
        add(node(state))
        bring(state, state)
    add(node("waiting-children", node("child", queue="other")))
    return Queue("q")


def test_counts(queue):
    assert queue.get_job_counts() == dict.fromkeys(JobState.values, 1)
    assert queue.count() == 7
    assert [queue.count(state) for state in JobState] == [1] * 7
    assert Queue("other").get_job_counts() == {**dict.fromkeys(JobState.values, 0), "waiting": 1}
    assert (Queue("empty").count(), Queue("empty").count("failed")) == (0, 0)


def test_get_jobs(queue):
    assert [j.name for j in queue.get_jobs()] == [*PLAIN, "waiting-children"]
    assert [j.name for j in queue.get_jobs("failed", JobState.WAITING)] == ["waiting", "failed"]
    assert [j.name for j in queue.get_jobs(limit=2)] == ["waiting", "delayed"]
    assert [j.name for j in queue.get_jobs(limit=2, offset=5)] == ["cancelled", "waiting-children"]
    assert [j.name for j in queue.get_jobs("waiting", offset=1)] == []
    assert Queue("empty").get_jobs() == []


@pytest.mark.parametrize("state", ["done", "WAITING", "waiting_children", 5])
def test_what_is_no_state(queue, state):
    for ask in (queue.get_jobs, queue.count, queue.clean, queue.retry_jobs):
        with pytest.raises(InvalidNode, match="is not a state; states are waiting, waiting-children"):
            ask(state)


def test_retry_of_what_is_not_finished(queue):
    for state in ("waiting", "delayed", "active", "waiting-children"):
        with pytest.raises(InvalidJobState, match=state):
            queue.retry_jobs(state)


def test_promote(queue):
    add(node("elsewhere", delay=60, queue="other"))
    assert queue.promote_jobs() == 1
    assert queue.promote_jobs() == 0
    assert states()["delayed"] == "waiting"
    assert states()["elsewhere"] == "delayed"
    assert job("delayed").run_at is None


def test_its_repr():
    assert repr(Queue("q")) == "Queue('q', using='default')"


# Querysets


def test_ways_to_pick_jobs(queue):
    jobs = Job.objects.in_queue("q")
    for state in (*PLAIN, "waiting-children"):
        assert [j.name for j in getattr(jobs, state.replace("-", "_"))()] == [state]
    assert {j.name for j in jobs.finished()} == {"completed", "failed", "cancelled"}
    assert {j.name for j in jobs.unfinished()} == {"waiting", "delayed", "active", "waiting-children"}
    assert {j.name for j in Job.objects.roots()} == {*PLAIN, "waiting-children"}
    assert {j.name for j in Job.objects.in_queue("q", "other").in_state("waiting")} == {"waiting", "child"}


def test_lean_jobs_are_without_what_can_be_large(queue):
    with CaptureQueriesContext(connection) as queries:
        lean = Job.objects.lean().get(name="failed")
        assert (lean.state, lean.attempts_made) == ("failed", 1)
    assert len(queries) == 1
    assert lean.get_deferred_fields() == {"data", "return_value", "progress", "failed_reason", "stacktrace"}


# Changes that aren't changes of state


@pytest.mark.parametrize("state", PLAIN)
def test_update_data(queue, state):
    job(state).update_data({"new": [1, "ü", None]})
    assert job(state).data == {"new": [1, "ü", None]}
    assert states()[state] == state


@pytest.mark.parametrize("state", PLAIN)
def test_change_priority(queue, state):
    if state in ("completed", "failed", "cancelled"):
        with pytest.raises(InvalidJobState, match=state):
            job(state).change_priority(5)
    else:
        target = job(state)
        target.change_priority(5)
        assert target.priority == job(state).priority == 5


@pytest.mark.parametrize("delay", [30, 30.0, timedelta(seconds=30)])
def test_change_delay_of_a_delayed_job_counts_from_now(queue, delay):
    before = job("delayed").run_at  # in an hour
    job("delayed").change_delay(delay)
    assert job("delayed").run_at < before - timedelta(minutes=50)
    assert states()["delayed"] == "delayed"


def test_change_delay_of_a_parent_counts_from_its_release(queue):
    job("waiting-children").change_delay(60)
    finish("child")
    parent = job("waiting-children")
    assert (parent.state, parent.run_at - job("child").finished_at) == ("delayed", timedelta(minutes=1))


@pytest.mark.parametrize("delay", [-1, "soon", None, True, float("nan")])
def test_bad_delays(queue, delay):
    with pytest.raises(InvalidNode, match="delay"):
        job("delayed").change_delay(delay)


def test_the_verbs_leave_the_instance_as_the_row_is(queue):
    target = job("delayed")
    Job.objects.filter(pk=target.pk).update(progress={"by": "somebody else"})
    target.promote()
    assert (target.state, target.progress) == ("waiting", {"by": "somebody else"})
    target.change_priority(3)
    target.update_data(7)
    assert (target.priority, target.data) == (3, 7)


def test_verbs_of_a_job_that_is_gone(queue):
    target = job("delayed")
    job("delayed").remove()
    for verb in (
        target.retry,
        target.cancel,
        target.promote,
        target.remove,
        lambda: target.change_priority(1),
        lambda: target.change_delay(1),
        lambda: target.update_data(1),
    ):
        with pytest.raises(Job.DoesNotExist):
            verb()


# What a row tells


def test_what_a_job_is_read_for(queue):
    add(node("parent", node("bad", attempts=2), data={"n": 1}))
    fail("bad", "first")
    fail("bad", "ValueError: second")
    bad, parent = job("bad"), job("parent")
    assert (bad.attempts_made, bad.max_attempts, bad.failed_reason) == (2, 2, "ValueError: second")
    assert (bad.parent, bad.root, list(parent.children.all())) == (parent, parent, [bad])
    assert parent.root == parent
    assert parent.parent is None
    assert bad.created_at <= bad.started_at <= bad.finished_at
    assert bad.is_finished
    assert not job("waiting").is_finished
    assert (bad.queue_name, bad.name, bad.priority, bad.progress, bad.return_value) == ("q", "bad", 0, None, None)
    assert [(e.attempt, e.reason, e.worker) for e in bad.errors.order_by("attempt")] == [
        (1, "first", job("active").worker),
        (2, "ValueError: second", job("active").worker),
    ]
    assert start("waiting").started_at == job("waiting").started_at
