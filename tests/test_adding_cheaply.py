"""Adding in few statements and little memory comes to what Django would have stored, value for value."""

import json
import pickle
import tracemalloc
from contextlib import contextmanager
from datetime import timedelta
from unittest import mock

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import TextField
from django.db.models.functions import Cast
from django.db.models.signals import post_init
from django.utils import timezone
from hypothesis import given

from conveyor_django import FlowJob, FlowProducer, Queue, encoding, processor, queues, registry
from conveyor_django.encoding import PortableEncoder, normalize, normalize_text
from conveyor_django.engines import get_engine
from conveyor_django.exceptions import DuplicateJob, InvalidNode
from conveyor_django.ids import new_id, new_ids
from conveyor_django.models import Job

from .alike import emptied_after
from .helpers import USING, add, job, node, states
from .odd_values import values

pytestmark = pytest.mark.django_db

COLUMNS = [field.attname for field in Job._meta.concrete_fields]
IN_ONE_COPY = 200  # jobs: more than PostgreSQL is given as JSON
ODD_TEXTS = ["", "a\\b", "\\N", "\\\\.", "a\tb\nc\rd", "'", '"', "%s %", "{}", "ü 🚚 \u2028", "\\u0000", "e+23", "\x7f"]
ODD_DATA = [None, 0, -1, 1.5, 1e23, -1e300, 2**63 - 1, True, [], {}, *ODD_TEXTS, ODD_TEXTS, {t: t for t in ODD_TEXTS}]
ODD_OPTIONS = [
    {"attempts": 3, "max_stalls": 0},
    {"backoff": {"type": "fixed", "delay": 1.5, "jitter": 0.5}},
    {"delay": 60},
    {"delay": 0.25, "priority": -7},
    {"delay": timezone.now() + timedelta(hours=1)},
    {"delay": timezone.now() - timedelta(hours=1)},
    {"timeout": 3e9},
    {"lifo": True},
    {"remove_on_complete": True, "fail_parent_on_child_failure": "ignore"},
    {"remove_on_fail": True, "fail_parent_on_child_failure": "remove"},
]


@contextmanager
def statements():
    """A list that gets each statement that the block sends, beginnings and ends included, but no wake-ups."""
    sent = []
    connection.ensure_connection()
    set_autocommit = connection.set_autocommit

    def keep(execute, sql, params, many, context):
        if "pg_notify" not in sql or "INSERT INTO" in sql:  # the first one of a while tells workers, too
            sent.append("INSERT" if "INSERT INTO" in sql else sql.split()[0])
        return execute(sql, params, many, context)

    def begin_or_end(autocommit, **options):
        sent.append("END" if autocommit else "BEGIN")
        return set_autocommit(autocommit, **options)

    with connection.execute_wrapper(keep), mock.patch.object(connection, "set_autocommit", begin_or_end):
        yield sent


# What is stored


def rows(**which):
    """Exactly what is stored, but for ids and times that no two have in common."""
    found = Job.objects.filter(**which).annotate(text=Cast("data", TextField()), own=Cast("backoff", TextField()))
    left_out = {"id", "root_id", "parent_id", "queue_name", "created_at", "position"}
    return list(found.order_by("pk").values_list(*(name for name in COLUMNS if name not in left_out), "text", "own"))


def store_by_django(added):
    """Copies of these jobs in a queue of their own; parents first."""
    ids = dict(zip([one.pk for one in added], new_ids(len(added)), strict=True))
    values = [{name: getattr(one, name) for name in COLUMNS} for one in added]
    for each in values:
        each.update({name: ids.get(each[name]) for name in ("id", "root_id", "parent_id")}, queue_name="by django")
    Job.objects.bulk_create([Job(**each) for each in values])


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("others", [0, 2, IN_ONE_COPY])
def test_jobs_are_stored_as_django_stores_them(others, keyed):
    data = ODD_DATA if others == 0 else [ODD_DATA]
    cases = [(each, opts) for each in data for opts in ([{}] if others == 0 else [{}, *ODD_OPTIONS])]
    for number, (each, opts) in enumerate(cases):
        own = {**opts, "job_id": f"{number}\\a"} if keyed else opts
        Queue("q").add_bulk([("job", each, own), *[("a\\other", each, opts)] * others])
    store_by_django(list(Job.objects.order_by("pk")))
    assert rows(queue_name="q") == rows(queue_name="by django")


@pytest.mark.parametrize("children", [0, 3, IN_ONE_COPY])
@pytest.mark.parametrize("job_id", [None, "root\\"])
def test_flows_are_stored_as_django_stores_them(children, job_id):
    below = [
        node(f"child\\{number}", node("leaf", delay=60), data={"n": number, "\t": "\\"}, remove_on_complete=True)
        for number in range(children)
    ]
    result = FlowProducer().add(node("root", *below, delay=60, **({"job_id": job_id} if job_id else {})))
    assert FlowProducer().get_flow(result.job.id) == result
    added = sorted(Job.objects.all(), key=lambda one: one.depth)
    store_by_django(added)
    got = [sorted(map(repr, rows(queue_name=name))) for name in ("q", "by django")]
    assert got[0] == got[1]
    assert len({one.created_at for one in added}) == 1


@pytest.mark.parametrize("others", [0, 2, IN_ONE_COPY])
@pytest.mark.parametrize("opts", [{}, *ODD_OPTIONS, {"job_id": "one"}])
def test_what_is_returned_is_what_is_stored(others, opts):
    added = Queue("q").add_bulk([("job", {"n": 1}, opts), *[("other", None)] * others])
    for one in added:
        there = Job.objects.get(pk=one.pk)
        assert {name: getattr(one, name) for name in COLUMNS} == {name: getattr(there, name) for name in COLUMNS}


def test_the_database_is_given_the_text_that_django_would_write():
    for value in ODD_DATA:
        copy, text = normalize_text(value, "data", 10_000)
        assert text == json.dumps(copy, cls=PortableEncoder)


@given(value=values)
def test_the_quick_copy_is_the_careful_one(value):
    def copied():
        try:
            return repr(normalize_text(value, "data", 10_000))
        except InvalidNode as error:
            return str(error)

    quick = copied()
    with mock.patch.object(encoding, "_copied", lambda *args: encoding._ODD):
        assert copied() == quick


@pytest.mark.parametrize("size", [5, 6, 7, 8, 9, 20])
@pytest.mark.parametrize("value", ["xxxx", ["xx"], {"a": 1}, [[]], [1, 2], "üü", {"🚚": None}, 10**5])
def test_the_limit_is_the_same_one_for_both(value, size):
    results = []
    for function in (normalize, normalize_carefully):
        try:
            results.append(function(value, "data", size))
        except InvalidNode as error:
            results.append(str(error))
    assert results[0] == results[1]


def normalize_carefully(*args):
    with mock.patch.object(encoding, "_copied", lambda *args: encoding._ODD):
        return normalize(*args)


# The instance


def test_an_added_job_is_like_one_that_was_read():
    added = Queue("q").add("job", {"n": 1}, {"backoff": {"delay": 2}})
    there = Job.objects.get()
    assert added == there
    assert list(added.__dict__) == list(there.__dict__)
    for name in ("adding", "db", "fields_cache"):
        assert getattr(added._state, name) == getattr(there._state, name)
    assert not added.get_deferred_fields()
    again = pickle.loads(pickle.dumps(added))
    assert {name: getattr(again, name) for name in COLUMNS} == {name: getattr(there, name) for name in COLUMNS}
    assert (added.parent, added.root, list(added.children.all())) == (None, there, [])
    added.change_priority(4)
    added.refresh_from_db()
    assert added.priority == 4


def test_jobs_share_nothing_that_can_be_changed():
    queue = Queue("q")
    one, two = queue.add_bulk([("job", {}, {"backoff": {"delay": 2}})] * 2)
    one.backoff["delay"] = 3
    one.data["n"] = 1
    assert (two.backoff["delay"], two.data) == (2, {})
    assert queue.add("job", opts={"backoff": {"delay": 2}}).backoff["delay"] == 2


def test_receivers_of_djangos_signals_see_each_instance():
    seen = []

    def see(instance, **kwargs):
        seen.append(instance)

    post_init.connect(see, sender=Job)
    try:
        added = Queue("q").add_bulk([("a", {}), ("b", {})])
    finally:
        post_init.disconnect(see, sender=Job)
    assert seen == added
    assert [one._state.adding for one in added] == [False, False]


def test_defaults_are_looked_up_each_time(settings):
    def attempts():
        return Queue("q").add("job").max_attempts

    assert attempts() == 1
    settings.CONVEYOR = {"DEFAULT_JOB_OPTIONS": {"attempts": 2}}
    assert attempts() == 2
    processor("q", "job", attempts=3)(print)
    assert attempts() == 3
    registry.processors.clear()
    assert attempts() == 2
    settings.CONVEYOR = {}
    assert attempts() == 1


def test_a_job_id_is_not_the_next_ones():
    queue = Queue("q", default_job_options={"job_id": "usual", "delay": 5})
    assert queue.add("job", opts={"job_id": "own", "delay": 7}).job_id == "own"
    usual = queue.add("job")
    assert (usual.job_id, usual.delay) == ("usual", 5)


# Statements

AT_ONCE = ["INSERT"] if connection.vendor != "mysql" else ["SELECT", "INSERT"]  # which asks for the time first


@pytest.mark.django_db(transaction=True)
def test_one_job_is_one_statement():
    with statements() as sent:
        Queue("q").add("job", {"n": 1}, {"attempts": 2})
        Queue("q").add("job", {"n": 1}, {"job_id": "one"})
    assert sent == AT_ONCE * 2
    with transaction.atomic(), statements() as sent:
        Queue("q").add("job")
        Queue("q").add("job", opts={"job_id": "two"})
    assert sent == AT_ONCE * 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.only_on("postgresql", reason="the others insert several rows in several statements")
@pytest.mark.parametrize(("children", "expected"), [(20, ["INSERT"]), (5_000, ["SELECT", "COPY"])])
def test_a_flow_is_one_statement(children, expected):
    flow = FlowJob("root", "q", children=[FlowJob("child", "q") for _ in range(children)])
    with statements() as sent:
        FlowProducer().add(flow)
        Queue("q").add_bulk([("job", {})] * children)
    assert sent == expected * 2
    with transaction.atomic(), statements() as sent:
        FlowProducer().add(flow)
    assert sent == expected


@pytest.mark.django_db(transaction=True)
def test_a_job_id_that_is_taken_costs_a_second_look():
    first = Queue("q").add("job", opts={"job_id": "one"})
    assert Queue("q").add("other", opts={"job_id": "one"}) == first
    with transaction.atomic():
        assert Queue("q").add("other", opts={"job_id": "one"}) == first
        Queue("q").add("more")
    assert states() == {"job": "waiting", "more": "waiting"}


# What goes wrong


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_fails_stores_nothing(monkeypatch):
    there = Queue("q").add("there")
    monkeypatch.setattr(queues, "new_id", lambda: there.pk)
    with pytest.raises(IntegrityError):
        Queue("q").add("same id")
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            Queue("q").add("same id")
        assert connection.needs_rollback
        transaction.set_rollback(True)
    assert states() == {"there": "waiting"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [1, IN_ONE_COPY])
def test_a_conflict_is_tried_again(monkeypatch, number):
    engine = type(get_engine(USING))
    monkeypatch.setattr(engine, "is_conflict", lambda self, error: "conflict" in str(error))
    conflicts, sent = [OperationalError("conflict")] * 3, []

    def fail(execute, sql, *args):
        if conflicts and ("INSERT INTO" in sql or sql.startswith("COPY")):
            raise conflicts.pop()
        sent.append(sql)
        return execute(sql, *args)

    with connection.execute_wrapper(fail):
        added = Queue("tried-again").add_bulk([("job", {}, {"delay": 60})] * number)
    assert not conflicts
    assert connection.vendor != "postgresql" or any("pg_notify" in sql for sql in sent)
    assert {(one.pk, one.run_at) for one in added} == set(Job.objects.values_list("pk", "run_at"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.only_on("postgresql", "mysql", reason="Django's savepoints commit there without autocommit")
@pytest.mark.parametrize("number", [1, IN_ONE_COPY])
def test_a_transaction_that_is_managed_by_hand_is_joined(number):
    connection.set_autocommit(False)
    try:
        Queue("q").add_bulk([("job", {})] * number)
        connection.rollback()
        assert not Job.objects.exists()
        Queue("q").add_bulk([("job", {})] * number)
        connection.commit()
    finally:
        connection.set_autocommit(True)
    assert Job.objects.count() == number


def test_an_inner_job_id_that_is_taken_is_an_error_for_one_job_flows_too():
    add(node("there", job_id="taken"))
    [found] = add(node("again", job_id="taken"))
    assert found.job.name == "there"
    with pytest.raises(DuplicateJob):
        add(node("root", node("child", job_id="taken")))
    assert job("there").pk == job("there").root_id
    assert new_id() > job("there").pk


# Memory


@emptied_after
def test_a_child_takes_less_than_a_kilobyte():
    many = 20_000
    FlowProducer().add(node("warm", node("up")))
    flow = FlowJob("root", "q", children=[FlowJob("child", "q", {"n": number}) for number in range(many)])
    tracemalloc.start()
    try:
        result = FlowProducer().add(flow)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(result.children) == many
    assert most < 1000 * many
