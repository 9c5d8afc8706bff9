"""A worker's turn: what usually happens goes in one short transaction, and comes to the same as by the longer way."""

import importlib
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from conveyor_django import JobState, Queue, transitions
from conveyor_django.engines import get_engine
from conveyor_django.ids import new_id
from conveyor_django.models import Job, QueueState, WorkerProcess
from conveyor_django.outcomes import Completed

from .factories import WorkerProcessFactory
from .helpers import USING, WORKER, add, claim, finish, job, node, report, report_of, states
from .machine.rig import clock
from .test_engines import in_thread

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def only_turns(monkeypatch):
    def never(*args):
        raise AssertionError("not in a turn")

    module = importlib.import_module("conveyor_django.transitions.turn")  # the package has a function of that name
    monkeypatch.setattr(module, "finish_in", never)


def active(*names):
    """These, of whatever state, run at our worker."""
    Job.objects.filter(name__in=names).update(state=JobState.ACTIVE, worker=WORKER, epoch=1, attempts_made=1)
    return [report_of(row, Completed(row.name)) for row in Job.objects.filter(name__in=names)]


def test_children_of_many_parents_end_in_one_turn_and_release_them(only_turns):
    add(*(node(f"p{n}", *(node(f"{n}-{c}") for c in range(n + 1))) for n in range(4)))
    names = [f"{n}-{c}" for n in range(4) for c in range(n + 1) if (n, c) != (3, 0)]
    assert report(WORKER, *active(*names)) == []
    assert [states()[f"p{n}"] for n in range(4)] == ["waiting", "waiting", "waiting", "waiting-children"]
    assert [job(f"p{n}").pending_children for n in range(4)] == [0, 0, 0, 1]
    assert job("2-1").return_value == "2-1"
    finish("3-0")
    assert job("p3").state == "waiting"


def test_a_lost_lease_counts_nothing_off(only_turns):
    add(node("p", node("mine"), node("taken")))
    reports = active("mine", "taken")
    Job.objects.filter(name="taken").update(epoch=2)
    assert report(WORKER, *reports) == [job("taken").pk]
    assert (job("p").pending_children, job("p").state, job("taken").state) == (1, "waiting-children", "active")
    assert report(WORKER, *reports) == [r.job_id for r in reports]  # again, since the reply to the first was lost
    assert job("p").pending_children == 1


def test_a_child_whose_parent_went_meanwhile_ends_alone(only_turns):
    add(node("p", node("c"), node("d"), policy="remove"))
    reports = active("c")
    Job.objects.filter(name="c").update(parent=None)
    Job.objects.filter(name="p").update(pending_children=1)
    assert report(WORKER, *reports) == []
    assert (job("c").state, job("p").pending_children) == ("completed", 1)


def clear():
    Job.objects.filter(state=JobState.ACTIVE).update(state=JobState.WAITING, worker=None)
    Job.objects.all().delete()


def parents_after(reported, *, in_turns):
    engine = get_engine(USING)
    with clock(lambda: NOW), mock.patch.object(type(engine), "has_turns", in_turns):
        engine.transact(lambda: report(WORKER, *reported))
    fields = ("name", "state", "pending_children", "run_at", "epoch", "attempts_made")
    return list(Job.objects.filter(name__startswith="p").order_by("name").values_list(*fields))


def test_parents_become_what_they_become_by_the_longer_way():
    def prepared():
        clear()
        kinds = {
            "p-free": {},
            "p-delay": {"delay": 60},
            "p-was-delayed": {"delay": 60, "run_at": NOW - timedelta(hours=1)},
            "p-waits-longer": {"delay": 60, "run_at": NOW + timedelta(hours=1)},
            "p-is-due": {"run_at": NOW - timedelta(hours=1)},
            "p-more": {"pending_children": 2},
            "p-none": {"pending_children": 0},
            "p-completed": {"state": JobState.COMPLETED, "finished_at": NOW},
            "p-active": {"state": JobState.ACTIVE, "worker": new_id()},
            "p-failed": {"state": JobState.FAILED, "finished_at": NOW},
        }
        for name, fields in kinds.items():
            add(node(name, node(f"c{name}")))
            if fields.get("pending_children") == 0:  # a fault, which the check mends
                fields = {**fields, "state": JobState.WAITING}
            Job.objects.filter(name=name).update(**fields)
        return active(*(f"c{name}" for name in kinds))

    by_turn = parents_after(prepared(), in_turns=True)
    assert by_turn == parents_after(prepared(), in_turns=False)
    found = {name: state for name, state, *_ in by_turn}
    assert [name for name, state in found.items() if state == "delayed"] == [
        "p-delay",
        "p-waits-longer",
        "p-was-delayed",
    ]
    clear()  # the counts of some were wrong on purpose


@pytest.mark.only_on("mysql", reason="PostgreSQL's statements are in `pipeline`, SQLite has one writer at a time")
def test_children_and_parents_are_locked_in_one_order(only_turns):
    add(node("p", node("a"), node("b")), node("q", node("c")))
    reports = active("a", "b", "c")
    with CaptureQueriesContext(connection) as queries:
        report(WORKER, *reports)
    locks = [query["sql"] for query in queries if query["sql"].endswith("FOR UPDATE")]
    [lock] = [lock.replace("-", "") for lock in locks]
    assert "FORCE INDEX (PRIMARY)" in lock
    assert lock.endswith("ORDER BY id FOR UPDATE")
    places = [lock.index(row.pk.hex) for row in Job.objects.order_by("pk")]
    assert len(places) == 5
    assert places == sorted(places)


@pytest.mark.only_on("mysql", reason="what a subquery reads is locked nowhere else")
def test_a_claim_locks_neither_the_lease_nor_the_pause_that_it_looks_at():
    add(node("j"))
    worker = WorkerProcessFactory().pk
    QueueState.objects.create(queue_name="q")
    engine = get_engine(USING)
    with transaction.atomic():
        assert engine._waiting_rows("q", 1, worker)

        def change():
            engine.limit_statements(1)  # seconds until a lock isn't waited for
            WorkerProcess.objects.filter(pk=worker).update(heartbeat_at=NOW)
            QueueState.objects.update(paused_at=NOW)

        in_thread(change)
    assert WorkerProcess.objects.get(pk=worker).heartbeat_at == NOW


@pytest.mark.only_on("mysql", "sqlite", reason="on PostgreSQL a claim is one statement that waits for nobody")
@pytest.mark.parametrize("queue_names", [["q"], ["q", "r"], None], ids=str)
def test_a_claim_where_nothing_waits_reads_once_and_begins_no_transaction(queue_names):
    if queue_names:
        add(node("elsewhere", queue="s"))
    with CaptureQueriesContext(connection) as queries:
        assert transitions.claim(USING, WORKER, queue_names, 5) == []
    assert len(queries) == 1


def test_a_worker_that_was_declared_dead_and_a_paused_queue_give_nothing():
    add(node("j"))
    dead, alive = WorkerProcessFactory(dead_at=NOW).pk, WorkerProcessFactory().pk
    assert transitions.claim(USING, dead, ["q"], 1) == []
    transitions.queues.pause(USING, "q")
    assert transitions.claim(USING, alive, ["q"], 1) == []
    transitions.queues.resume(USING, "q")
    assert [row.name for row in transitions.claim(USING, alive, ["q"], 1)] == ["j"]
    assert claim(1) == []


@pytest.mark.parametrize("number", [1, 3, 80])  # of jobs: each number is added in another way
def test_processors_get_what_a_query_would_find(number):
    data = [None, {}, [], "null", "", 0, False, {"a": [None, "ü\u2028"]}]
    rows = [
        ("n", value, {"backoff": {"type": "fixed", "delay": 2}, "priority": n}) for n, value in enumerate(data * 10)
    ][:number]
    Queue("q").add_bulk(rows)
    WorkerProcessFactory(pk=WORKER)
    taken = transitions.turn(USING, WORKER, [], transitions.Claiming(["q"], 100, {"q": 100})).taken
    assert [taken_job.data for taken_job in taken] == [value for _, value, _ in rows]
    for taken_job in taken:
        stored = Job.objects.get(pk=taken_job.pk)
        given = {name: value for name, value in vars(taken_job).items() if not name.startswith("_")}
        assert given == {name: getattr(stored, name) for name in given}
        assert taken_job.get_deferred_fields() == {
            *("progress", "return_value", "failed_reason", "stacktrace"),
        }
