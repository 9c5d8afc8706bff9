"""What must not be: rows broken by hand are found, said and set right, and what is sound is left alone."""

import json
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conveyor_django import processor, transitions
from conveyor_django.engines import get_engine
from conveyor_django.ids import new_id
from conveyor_django.models import Job
from conveyor_django.transitions import check
from conveyor_django.worker import maintenance

from .factories import JobFactory, WorkerProcessFactory
from .helpers import USING, add, bring, finish, job, node, start, states
from .processes import wait_for
from .workers import PATIENCE, working

pytestmark = pytest.mark.django_db(transaction=True)


def check_flows(*options):
    """What `checkflows` prints, and its exit code."""
    out, code = StringIO(), 0
    try:
        call_command("checkflows", *options, stdout=out)
    except SystemExit as error:
        code = error.code
    return out.getvalue(), code


def found():
    return {(part.fault, Job.objects.get(pk=pk).name) for part in transitions.find(USING) for pk in part.ids}


def write(name, **columns):
    Job.objects.filter(name=name).update(**columns)


def end_unheard(name, state="completed"):
    """The child's end without what follows from it."""
    write(name, state=state, finished_at=timezone.now(), failed_reason="" if state == "completed" else "boom")


@contextmanager
def constraints_off():
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            yield
            cursor.execute("SET session_replication_role = DEFAULT")
    else:
        with connection.constraint_checks_disabled():
            yield


def lose(name):
    """Its row, by raw SQL where no constraint is checked."""
    with constraints_off():
        get_engine(USING).delete_jobs([job(name).pk])


# Each way to break a flow `parent(one, two)`, what is then wrong, and how the jobs are once that is set right


def stick():
    finish("one")
    end_unheard("two")


def release_early():
    write("parent", state="waiting")


def delay_early():
    write("parent", state="delayed", run_at=timezone.now() + timedelta(hours=1))


def count_too_many():
    write("parent", pending_children=7)


def count_too_few():
    write("parent", pending_children=1)


def miscount_a_finished_one():
    bring("alone", "completed")
    write("alone", pending_children=1)


def orphan():
    start("one")
    write("one", started_at=timezone.now() - timedelta(minutes=5))


def orphan_of_the_dead():
    orphan()
    WorkerProcessFactory(pk=job("one").worker, dead_at=timezone.now() - timedelta(minutes=1))


def orphan_of_one_that_nobody_declared_dead():
    orphan()
    WorkerProcessFactory(pk=job("one").worker, heartbeat_at=timezone.now() - timedelta(minutes=3))


def lose_the_parent():
    lose("parent")


def misroot():
    write("one", root=job("alone").pk)


def lose_the_root():
    """All of the tree names one that was never there."""
    Job.objects.filter(name__in=("parent", "one", "two")).update(root_id=new_id())


def sink():
    Job.objects.filter(name__in=("parent", "two")).update(depth=F("depth") + 3)


WAITS = {"parent": "waiting-children", "one": "waiting", "two": "waiting", "alone": "waiting"}
BROKEN = [
    (stick, {("stuck-parent", "parent")}, {"parent": "waiting", "one": "completed", "two": "completed"}),
    (release_early, {("released-early", "parent")}, {}),
    (delay_early, {("released-early", "parent")}, {}),
    (count_too_many, {("wrong-count", "parent")}, {}),
    (count_too_few, {("wrong-count", "parent")}, {}),
    (miscount_a_finished_one, {("wrong-count", "alone")}, {"alone": "completed"}),
    (orphan, {("orphaned", "one")}, {}),
    (orphan_of_the_dead, {("orphaned", "one")}, {}),
    (orphan_of_one_that_nobody_declared_dead, {("orphaned", "one")}, {}),
    (lose_the_parent, {("missing-parent", "one"), ("missing-parent", "two")}, {"parent": None}),
    (misroot, {("wrong-place", "one")}, {}),
    (lose_the_root, {("wrong-place", "parent")}, {}),
    (sink, {("wrong-place", "parent"), ("wrong-place", "one")}, {}),
]


@pytest.mark.parametrize(("break_it", "wrong", "then"), BROKEN, ids=[case[0].__name__ for case in BROKEN])
def test_what_is_broken_is_found_said_and_set_right(break_it, wrong, then):
    add(node("parent", node("one"), node("two")), node("alone"))
    assert found() == set()
    break_it()
    assert found() == wrong
    names = {str(pk): name for pk, name in Job.objects.values_list("pk", "name")}

    output, code = check_flows()
    assert code == 1
    for fault, name in wrong:
        assert fault in output
        assert str(job(name).pk) in output
    output, code = check_flows("--format=json")
    said = json.loads(output)["found"]
    assert {(fault, names[pk]) for fault, tally in said.items() for pk in tally["ids"]} == wrong
    assert (code, found()) == (1, wrong)  # looking changes nothing

    output, code = check_flows("--fix")
    assert code == 0, output
    assert "set right" in output
    assert found() == set()
    assert states() == {name: state for name, state in (WAITS | then).items() if state}
    for one in Job.objects.select_related("parent"):
        assert one.root_id == (one.parent.root_id if one.parent else one.pk)
        assert one.depth == (one.parent.depth + 1 if one.parent else 0)


def test_sound_flows_are_left_alone():
    add(node("parent", node("child", node("leaf")), node("done")), node("other", node("late", delay=60)))
    finish("done")
    start("leaf")
    WorkerProcessFactory(pk=job("leaf").worker)
    before = list(Job.objects.order_by("pk").values())
    assert check_flows("--fix") == ("All flows are as they should be.\n", 0)
    assert json.loads(check_flows("--format=json")[0]) == {"found": {}, "left": {}}
    assert list(Job.objects.order_by("pk").values()) == before


def test_an_orphan_is_left_to_the_workers_at_first():
    add(node("job"))
    start("job")
    WorkerProcessFactory(pk=job("job").worker, heartbeat_at=timezone.now() - timedelta(seconds=40))
    assert check_flows()[1] == 0
    Job.objects.update(started_at=timezone.now() - timedelta(seconds=70))
    assert check_flows()[1] == 0  # a lease ended ten seconds ago


# A parent that missed how its children ended


@pytest.mark.parametrize(
    ("policy", "then"),
    [
        ("fail", {"top": "failed", "parent": "failed", "one": "failed", "two": "waiting"}),
        ("ignore", {"top": "waiting-children", "parent": "waiting-children", "one": "failed", "two": "waiting"}),
        ("remove", {"top": "waiting", "one": "failed"}),
    ],
)
def test_a_parent_that_missed_a_failure_follows_its_policy(policy, then):
    add(node("top", node("parent", node("one"), node("two"), policy=policy)))
    end_unheard("one", "failed")
    assert found() == {("wrong-count", "parent")}
    assert check_flows("--fix")[1] == 0
    assert states() == then
    if policy == "fail":
        assert job("parent").failed_by == job("one").pk
        assert job("parent").failed_reason == f"child {job('one').pk} failed: boom"


def test_counts_above_are_exact_before_a_failure_climbs_to_them():
    add(node("top", node("middle", node("parent", node("leaf"))), node("other")))
    end_unheard("leaf", "failed")
    Job.objects.filter(name__in=("middle", "top")).update(pending_children=9)
    transitions.mend(USING, transitions.Found(check.Fault.STUCK_PARENT, [job("parent").pk]))
    assert states() == dict.fromkeys(("top", "middle", "parent", "leaf"), "failed") | {"other": "waiting"}
    assert found() == set()


def test_a_delay_holds_at_the_release():
    add(node("parent", node("one"), delay=3600))
    end_unheard("one")
    assert check_flows("--fix")[1] == 0
    assert states()["parent"] == "delayed"


def test_what_was_put_right_meanwhile_is_not_touched():
    add(node("parent", node("one")))
    end_unheard("one", "failed")
    [part] = transitions.find(USING)
    assert transitions.mend(USING, part) == 1
    job("one").retry()
    before = list(Job.objects.values())
    assert transitions.mend(USING, part) == 0
    assert list(Job.objects.values()) == before


# Many


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
def test_a_count_that_is_too_low_stops_nobody(end):
    add(node("root", node("a")))
    finish("a")
    job("a").retry()
    Job.objects.filter(name="root").update(pending_children=0, state="failed", finished_at=timezone.now())
    bring("a", end)
    assert states() == {"root": "failed", "a": end}


def test_it_says_how_many_and_shows_the_first():
    roots = [add(node(f"{number}", node(f"child {number}")))[0].job.id for number in range(12)]
    Job.objects.roots().update(pending_children=2)
    said = json.loads(check_flows("--format=json")[0])["found"]
    assert said == {"wrong-count": {"count": 12, "mended": 0, "ids": roots[:10]}}
    assert "and 2 more" in check_flows()[0]
    assert json.loads(check_flows("--fix", "--format=json")[0])["left"] == {}


def test_it_looks_at_some_rows_at_a_time(monkeypatch):
    monkeypatch.setattr(check, "_WINDOW", 10)
    now = timezone.now()
    Job.objects.bulk_create(JobFactory.build(state="completed", finished_at=now) for _ in range(35))
    Job.objects.filter(pk=Job.objects.order_by("pk")[30].pk).update(depth=1)
    with CaptureQueriesContext(connection) as queries:
        [(fault, ids)] = transitions.find(USING)
    assert fault == "wrong-place"
    assert len(queries) < 4 * (35 // 10 + 1) + 4
    assert check_flows("--fix")[1] == 0


def test_a_circle_cannot_be_set_right():
    add(node("parent", node("child")), node("spare"))
    with constraints_off():
        write("parent", parent=job("child").pk)
        write("child", pending_children=1)
    output, code = check_flows("--fix")
    assert code == 1
    assert "could not be set right" in output


# In maintenance


@pytest.fixture
def eager_maintenance(monkeypatch):
    monkeypatch.setattr(maintenance, "_CHECK_INTERVAL", 0)


def test_maintenance_takes_the_parents_in_turns(monkeypatch, eager_maintenance, caplog):
    monkeypatch.setattr(check, "_PARENTS", 2)
    add(*(node(f"parent {number}", node(f"child {number}")) for number in range(5)))
    for number in (0, 4):
        end_unheard(f"child {number}")
    turns = maintenance.Check(USING)
    released = []
    for _ in range(4):
        turns.take_turn()
        released.append(Job.objects.filter(name__startswith="parent").waiting().count())
    assert released == [1, 1, 2, 2]
    assert f"1 job set right that should not have been wrong (stuck-parent): {job('parent 4').pk}" in caplog.text
    end_unheard("child 1")
    for _ in range(2):  # to the end, and from the beginning again
        turns.take_turn()
    assert states()["parent 1"] == "waiting"


def test_a_worker_frees_a_parent_that_waits_for_nothing(eager_maintenance):
    processor("q")(lambda job: "done")
    add(node("parent", node("child")))
    end_unheard("child")
    with working("q"):
        assert job("parent").wait_until_finished(PATIENCE).return_value == "done"


def test_no_false_alarm_while_workers_work(eager_maintenance, caplog):
    """Children end all the time, and every look is one at a moment between."""

    @processor("busy")
    def process(job):
        if job.data.get("fails"):
            raise ValueError("boom")

    def flow(number):
        children = [node(f"{number}.{n}", queue="busy", data={"fails": n == number % 9}) for n in range(6)]
        return node(f"{number}", *children, queue="busy", policy=("fail", "ignore", "remove")[number % 3])

    alarms = []
    with working("busy", concurrency=4), working("busy", concurrency=4):
        for begin in range(0, 60, 20):
            add(*(flow(number) for number in range(begin, begin + 20)))
            wait_for(lambda: alarms.extend(transitions.find(USING)) or Job.objects.unfinished().count() < 20)
        wait_for(lambda: alarms.extend(transitions.find(USING)) or not Job.objects.unfinished().exists())
    assert alarms == []
    assert "set right" not in caplog.text
