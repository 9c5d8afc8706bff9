"""Two transitions that want the same rows: the second one comes when the first has made its changes, but no commit."""

import re
import threading
from concurrent.futures import Future
from unittest import mock

import pytest
from django.db import connection, connections

from conveyor_django import Queue, transitions
from conveyor_django.engines import failpoints
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.models import Job
from conveyor_django.outcomes import Completed, Failed

from .helpers import USING, add, claim, delay, fail, finish, job, node, parents, report, report_of, start, states
from .processes import PATIENCE, wait_for
from .workers import session_ids

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.only_on("postgresql", "mysql", reason="SQLite has one writer at a time"),
]


def race(first, second, *, waits=True):
    """Let `first` stop before its commit, start `second`, and let `first` go on once `second` waits for it.

    Returns what both returned, or raised. With `waits=False` it is `second` that has to end before.
    """
    paused, go_on = threading.Event(), threading.Event()

    def pause(place, connection):
        paused.set()
        assert go_on.wait(PATIENCE)

    with mock.patch.object(failpoints, "armed", failpoints.Failpoint("*:commit:before", pause)):
        try:
            one = in_thread(first)
            assert paused.wait(PATIENCE)
            two = in_thread(second)
            wait_for(is_somebody_blocked if waits else two.done)
            assert two.done() is not waits
        finally:
            go_on.set()
        return result(one), result(two)


def in_thread(function):
    future = Future()

    def run():
        try:
            found = function()
        except Exception as error:
            found = error
        finally:
            connections.close_all()
        future.set_result(found)

    threading.Thread(target=run).start()
    return future


def is_somebody_blocked():
    """Whether a session with this database waits for a lock, as the database says."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
                "AND pg_blocking_pids(pid) <> '{}'"
            )
            return cursor.fetchone()
        # not information_schema.innodb_trx: it stays as it is for as long as somebody looks at it often
        cursor.execute("SHOW ENGINE INNODB STATUS")
        waiting = [text for text in cursor.fetchone()[2].split("---TRANSACTION") if "LOCK WAIT" in text]
    threads = {int(number) for text in waiting for number in re.findall(r"thread id (\d+)", text)}
    return threads & set(session_ids())


def result(future):
    found = future.result(PATIENCE)
    if isinstance(found, Exception) and not isinstance(found, (InvalidJobState, Job.DoesNotExist)):
        raise found
    return found


def reporting(name, outcome):
    """The job's worker, about to report; it returns what it had lost."""
    leased = start(name)
    return lambda: report(leased.worker, report_of(leased, outcome))


def rescue():
    return transitions.rescue_stalled(USING)


# The ends of two children


@pytest.mark.parametrize(("first", "second"), ["ab", "ba"])
def test_the_last_two_children(first, second):
    add(node("root", node("a"), node("b")))
    reports = {name: reporting(name, Completed()) for name in "ab"}
    assert race(reports[first], reports[second]) == ([], [])
    assert states() == {"root": "waiting", "a": "completed", "b": "completed"}


@pytest.mark.parametrize(("first", "second"), ["ab", "ba"])
def test_two_failures_that_climb_to_one_root(first, second):
    add(node("root", node("left", node("a")), node("right", node("b"))))
    reports = {name: reporting(name, Failed(name)) for name in "ab"}
    assert race(reports[first], reports[second]) == ([], [])
    assert set(states().values()) == {"failed"}
    assert job("root").failed_by == job({"a": "left", "b": "right"}[first]).pk


# A worker's report against others


def test_a_cancel_during_a_completion():
    add(node("root", node("leaf"), node("other")))
    race(reporting("leaf", Completed(1)), job("root").cancel)
    assert states() == {"root": "cancelled", "leaf": "completed", "other": "cancelled"}


def test_a_completion_during_a_cancel():
    add(node("root", node("leaf"), node("other")))
    leaf = job("leaf").pk
    assert race(job("root").cancel, reporting("leaf", Completed(1))) == (None, [leaf])
    assert set(states().values()) == {"cancelled"}


def test_a_rescue_during_a_completion():
    add(node("root", node("leaf")))
    assert race(reporting("leaf", Completed(1)), rescue) == ([], 0)
    assert states() == {"root": "waiting", "leaf": "completed"}
    assert job("leaf").stalls == 0


def test_a_completion_during_a_rescue():
    add(node("root", node("leaf")))
    leaf = job("leaf").pk
    assert race(rescue, reporting("leaf", Completed(1))) == (1, [leaf])
    assert states() == {"root": "waiting-children", "leaf": "waiting"}


def test_a_removal_during_a_completion():
    add(node("root", node("middle", node("leaf"))))
    assert race(reporting("leaf", Completed(1)), job("middle").remove) == ([], None)
    assert states() == {"root": "waiting"}


def test_a_completion_during_a_removal():
    add(node("root", node("middle", node("leaf"))))
    completing, leaf, middle = reporting("leaf", Completed(1)), job("leaf").pk, job("middle").pk
    removed, lost = race(lambda: transitions.remove(USING, [middle], force=True), completing)
    assert (removed, lost) == (2, [leaf])
    assert states() == {"root": "waiting"}


def test_two_sweepers():
    add(node("root", node("leaf", max_stalls=1)))
    start("leaf")
    assert race(rescue, rescue) == (1, 0)
    assert (job("leaf").state, job("leaf").stalls) == ("waiting", 1)


# Retries


def test_a_childs_retry_during_its_parents_release():
    add(node("root", node("a"), node("b"), policy="ignore"))
    fail("a")
    race(reporting("b", Completed()), job("a").retry)
    assert states() == {"root": "waiting-children", "a": "waiting", "b": "completed"}


def test_a_parents_release_during_a_childs_retry():
    add(node("root", node("a"), node("b"), policy="ignore"))
    fail("a")
    race(job("a").retry, reporting("b", Completed()))
    assert states() == {"root": "waiting-children", "a": "waiting", "b": "completed"}


def finished_flow():
    add(node("root", node("middle", node("leaf"), remove_on_complete=True)))
    for name in ("leaf", "middle", "root"):
        finish(name)


def tidy():
    return transitions.tidy(USING)


def test_a_tidying_during_a_retry():
    finished_flow()
    assert race(job("leaf").retry, tidy) == (None, 0)
    assert states() == {"root": "completed", "middle": "completed", "leaf": "waiting"}


def test_a_retry_during_a_tidying():
    finished_flow()
    removed, error = race(tidy, job("leaf").retry)
    assert removed == 2
    assert isinstance(error, Job.DoesNotExist)
    assert states() == {"root": "completed"}


# Claims wait for nobody


def test_a_pause_during_a_claim():
    add(node("a"), node("b"))
    claimed, _ = race(claim, Queue("q").pause, waits=False)
    assert [j.name for j in claimed] == ["a"]
    assert claim() == []


def test_a_claim_during_a_pause():
    add(node("a"), node("b"))
    _, claimed = race(Queue("q").pause, claim, waits=False)
    assert [j.name for j in claimed] == ["a"]
    assert claim() == []


def test_a_cancel_during_a_claim():
    add(node("a"))
    [claimed], _ = race(claim, job("a").cancel)
    assert states() == {"a": "cancelled"}
    assert report(claimed.worker, report_of(claimed, Completed())) == [claimed.pk]


def test_a_claim_during_a_cancel():
    add(node("a"), node("b"))
    _, claimed = race(job("a").cancel, claim, waits=False)
    assert [j.name for j in claimed] == ["b"]


def test_a_removing_failure_during_a_claim():
    add(node("root", node("middle", node("a"), node("b"), policy="remove")))
    failing = reporting("a", Failed("boom"))
    [claimed], lost = race(claim, failing)
    assert (claimed.name, lost) == ("b", [])
    assert states() == {"root": "waiting", "a": "failed", "b": "active"}
    assert set(parents().values()) == {None}


def test_a_claim_during_a_removing_failure():
    add(node("root", node("middle", node("a"), node("b"), policy="remove")))
    assert race(reporting("a", Failed("boom")), claim, waits=False) == ([], [])
    assert states() == {"root": "waiting", "a": "failed"}


def test_two_that_promote_what_is_due():
    add(node("a"))
    delay("a")
    Job.objects.update(run_at=job("a").created_at)
    again_in = [lambda: transitions.promote_due(USING)] * 2
    assert race(*again_in, waits=False) == (None, 0.05)
    assert states() == {"a": "waiting"}


def test_a_promotion_during_a_cancel():
    add(node("a", delay=3600))
    assert race(job("a").cancel, lambda: transitions.promote_queue(USING, "q")) == (None, 0)
    assert states() == {"a": "cancelled"}


# Adding


def test_two_adds_with_one_job_id():
    def adding():
        [result] = add(node("root", node("leaf"), job_id="one"))
        return result.job.id

    one, two = race(adding, adding)
    assert one == two
    assert Job.objects.count() == 2
