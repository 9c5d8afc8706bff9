"""What there may be very much of is done a bite at a time: nobody who has other things to do waits for all of it."""

import sys
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conveyor_django import Queue, Worker, processor, transitions
from conveyor_django.ids import new_ids
from conveyor_django.models import Job
from conveyor_django.testing import drain
from conveyor_django.worker import maintenance
from conveyor_django.worker.idle import has_work
from conveyor_django.worker.maintenance import Removals

from .alike import store_alike
from .helpers import USING, add, finish, node, states, tidy

pytestmark = pytest.mark.django_db(transaction=True)
DONE = {"name": "done", "queue_name": "q", "state": "completed", "remove_on_complete": True, "removal_due": True}


def store_done(number):
    now = timezone.now()
    store_alike(new_ids(number), started_at=now, finished_at=now, **DONE)


def test_roots_without_children_are_removed_in_few_statements():
    store_done(400)
    with CaptureQueriesContext(connection) as sent:
        assert tidy() == 400
    assert len(sent) < 60
    assert not Job.objects.exists()


def test_what_has_children_or_is_wanted_again_is_not_removed_with_them():
    add(node("root", node("child"), remove_on_complete=True), node("retried", remove_on_complete=True))
    for name in ("child", "root", "retried"):
        finish(name)
    store_done(3)
    Job.objects.get(name="retried").retry()
    Job.objects.filter(name="retried").update(removal_due=True)
    assert tidy() == 5
    assert states() == {"retried": "waiting"}


def test_a_bite_goes_on_where_the_last_one_ended():
    add(*(node(f"root-{n}", node(f"child-{n}"), remove_on_complete=True) for n in range(5)))
    for n in range(5):
        finish(f"child-{n}")
        finish(f"root-{n}")
    left = Job.objects.count()
    after = None
    for _ in range(4):
        taken, after = transitions.tidy_some(USING, after, 0)
        assert (taken, Job.objects.count()) == (2, left - 2)
        left -= 2
    assert transitions.tidy_some(USING, after, 60) == (2, None)


def test_nobody_waits_for_all_of_them(monkeypatch):
    add(*(node(f"root-{n}", node(f"child-{n}"), remove_on_complete=True) for n in range(3)))
    for n in range(3):
        finish(f"child-{n}")
        finish(f"root-{n}")
    monkeypatch.setattr(maintenance, "_BITE", 1e-9)
    removals = Removals(USING)
    assert has_work(USING, None, removals)
    monkeypatch.setattr(maintenance, "_BITE", 60)
    assert removals.bite()
    assert not Job.objects.exists()
    assert not has_work(USING, None, removals)


def test_a_transaction_prunes_as_many_flows_as_have_some_thousand_rows(monkeypatch):
    room = sys.modules["conveyor_django.transitions.remove"]
    monkeypatch.setattr(room, "_MOST_ROWS", 7)
    chunks, real = [], room._remove_some
    monkeypatch.setattr(room, "_remove_some", lambda *given: chunks.append(len(given[2])) or real(*given))
    for n, size in enumerate([1, 1, 20, 2, 2]):  # children; the newest are the first
        names = [f"child-{n}-{m}" for m in range(size)]
        add(node(f"root-{n}", *map(node, names)))
        for name in (*names, f"root-{n}"):
            finish(name)
    assert transitions.queues.prune(USING, 0) == 31
    assert chunks == [2, 1, 2]
    assert not Job.objects.exists()


def test_very_many_that_are_due_at_once_are_promoted_a_batch_at_a_time(monkeypatch):
    monkeypatch.setattr(sys.modules["conveyor_django.transitions.promote"], "_BATCH", 2)
    queue = Queue("q")
    queue.add_bulk([("job", None, {"delay": 3600})] * 5)
    last = queue.add("job", opts={"delay": 3600})
    due = timezone.now() - timedelta(seconds=1)
    Job.objects.exclude(pk=last.pk).update(run_at=due)
    promoted = []
    while (left := transitions.promote_due(USING)) == 0:
        promoted.append(queue.count("waiting"))
    assert promoted == [2, 4]
    assert queue.count("waiting") == 5
    assert 3000 < left < 3601


def test_a_worker_of_no_queue_has_nothing_to_do():
    Queue("q").add("job")
    assert Worker([], poll_interval=0.05).run(until_idle=True) == 0
    assert Queue("q").count("waiting") == 1


def test_drain_promotes_all_that_is_due_in_whatever_queue(monkeypatch):
    monkeypatch.setattr(sys.modules["conveyor_django.transitions.promote"], "_BATCH", 2)
    for name in ("others", "wanted"):
        processor(name)(lambda job: None)
        Queue(name).add_bulk([("job", None, {"delay": 3600})] * 4)
    Job.objects.update(run_at=timezone.now() - timedelta(seconds=1))
    assert drain("wanted") == 4
