"""What stands before any SQL: the same values pass on every database, and the others are refused with a reason."""

from collections import OrderedDict
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from uuid import UUID

import pytest
from django.utils.translation import gettext_lazy

from conveyor_django import FlowJob, FlowProducer, Queue
from conveyor_django.encoding import MAX_DEPTH, clean_text, normalize, printable
from conveyor_django.exceptions import InvalidJob, InvalidNode
from conveyor_django.models import Job

from .helpers import add, fail, job, node

pytestmark = pytest.mark.django_db


def nested(depth, leaf=None, wrap=lambda inner: [inner]):
    value = leaf
    for _ in range(depth):
        value = wrap(value)
    return value


def itself():
    value = []
    value.append({"again": value})
    return value


class Plain(Enum):
    A = 1


class Mean:
    def __repr__(self):
        raise RuntimeError("no")


BAD = [
    ("a\x00b", "NUL"),
    ("\ud800", "surrogate"),
    ("ok \udfff", "surrogate"),
    (float("nan"), "nan"),
    (float("inf"), "inf"),
    (float("-inf"), "-inf"),
    (2**63, "int"),
    (-(2**63) - 1, "int"),
    (10**5000, "int"),
    (b"bytes", "bytes"),
    (bytearray(b"x"), "bytearray"),
    ({1, 2}, "set"),
    (frozenset(), "frozenset"),
    (Decimal("1.5"), "Decimal"),
    (1j, "complex"),
    (datetime(2030, 1, 1, tzinfo=UTC), "datetime"),
    (date(2030, 1, 1), "date"),
    (UUID(int=1), "UUID"),
    (Plain.A, "Plain"),
    (object(), "object"),
    (object, "type"),
    (print, "builtin_function_or_method"),
    ((n for n in ()), "generator"),
    (range(3), "range"),
    (gettext_lazy("lazy"), "__proxy__"),
    (Mean(), "Mean"),
    ({1: 2}, "int"),
    ({None: 2}, "NoneType"),
    ({("a", "b"): 2}, "tuple"),
    ({10**5000: 1}, "int"),
    ({"a\x00b": 1}, "NUL"),
    ({"\ud800": 1}, "surrogate"),
    (nested(MAX_DEPTH + 1), "levels"),
    (nested(MAX_DEPTH + 1, wrap=lambda inner: {"k": inner}), "levels"),
    (nested(990), "levels"),
    (nested(20_000), "levels"),
    (itself(), "levels"),
]
bad_values = pytest.mark.parametrize(
    ("value", "kind"), BAD, ids=[f"{index}-{kind}" for index, (_, kind) in enumerate(BAD)]
)


@bad_values
def test_bad_values_are_refused_with_a_reason(value, kind):
    for given, where in ((value, "data"), ({"key": [0, value]}, r"data\['key'\]\[1\]")):
        with pytest.raises(InvalidNode, match=where if kind != "levels" else "data") as caught:
            normalize(given, "data", 10_000)
        assert kind in str(caught.value)
        assert isinstance(caught.value, ValueError)
        assert str(caught.value).isprintable()
        assert str(caught.value).encode()


@bad_values
def test_bad_values_leave_nothing_behind(value, kind):
    with pytest.raises(InvalidJob, match=kind):
        Queue("q").add("job", value)
    with pytest.raises(InvalidJob, match=r"jobs\[1\]: data"):
        Queue("q").add_bulk([("fine", {}), ("bad", value)])
    with pytest.raises(InvalidNode, match=r"flow.children\[1\]: data"):
        add(node("root", node("fine"), FlowJob("bad", "q", data=value)))
    assert not Job.objects.exists()


@bad_values
def test_data_cannot_become_bad_later(value, kind):
    target = Queue("q").add("job", "before")
    with pytest.raises(InvalidJob, match=kind):
        target.update_data(value)
    assert Job.objects.get().data == "before"


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"k": inner}], ids=["lists", "objects"])
def test_the_deepest_value_is_stored_everywhere(wrap):
    value = nested(MAX_DEPTH, "leaf", wrap)
    Queue("q").add("job", value)
    assert Job.objects.get().data == value


def test_the_size_is_counted_in_bytes(settings):
    settings.CONVEYOR = {"MAX_DATA_BYTES": 100}
    queue = Queue("q")
    queue.add("job", "x" * 98)
    queue.add("job", "ü" * 49)
    for data, size in (("x" * 99, 101), ("ü" * 50, 102), ("🚚" * 25, 102), (["x"] * 26, 105)):
        with pytest.raises(InvalidNode, match=f"data is {size} bytes of JSON, the limit is 100"):
            queue.add("job", data)
    assert queue.count() == 2


def test_a_mebibyte_is_the_limit_unless_told():
    data = "x" * (1024 * 1024 - 2)
    Queue("q").add("job", data)
    assert Job.objects.get().data == data
    with pytest.raises(InvalidNode, match="1048577 bytes"):
        Queue("q").add("job", data + "x")


def test_the_order_of_keys_and_other_mappings():
    assert list(normalize(OrderedDict(b=1, a=2), "data", 100)) == ["b", "a"]


# Names

BAD_NAMES = [
    (None, "NoneType"),
    (7, "int"),
    (b"x", "bytes"),
    (["a"], "list"),
    ("", "empty"),
    ("x" * 256, "256"),
    ("a\x00", "control"),
    ("a\nb", "control"),
    ("\x7f", "control"),
    ("\x85", "control"),
    ("\x1b[31m", "control"),
    ("\ud800", "surrogate"),
]
names = pytest.mark.parametrize(("name", "why"), BAD_NAMES, ids=lambda value: ascii(value)[:20])


@names
@pytest.mark.parametrize("field", ["name", "queue_name"])
def test_bad_names(field, name, why):
    good = {"name": "job", "queue_name": "q"}
    with pytest.raises(InvalidNode, match=f"flow: {field}") as caught:
        FlowProducer().add({**good, field: name})
    assert why in str(caught.value)
    with pytest.raises(InvalidNode, match=rf"flow.children\[0\]: {field}"):
        FlowProducer().add({**good, "children": [FlowJob(**{**good, field: name})]})
    with pytest.raises(InvalidNode, match=field.replace("_", " ")):
        Queue(name) if field == "queue_name" else Queue("q").add(name)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "name", ["x", " ", "x" * 255, "🚚" * 255, "a/b:c|d", "Ünïcode\u202e", "'; DROP TABLE job;--", "%s"]
)
def test_any_other_name_is_stored_as_it_is(name):
    added = Queue(name).add(name, opts={"job_id": name})
    stored = Job.objects.get()
    assert (stored.name, stored.queue_name, stored.job_id) == (name, name, name)
    assert Queue(name).get_job(name) == added


# Errors are never refused


@pytest.mark.parametrize(
    ("reason", "stored"),
    [
        ("a\x00b", "a\ufffdb"),
        ("\ud800", "\\ud800"),
        ("emoji 🚚 \u202e", "emoji 🚚 \u202e"),
        ("", ""),
    ],
)
def test_reasons_are_cleaned(reason, stored):
    add(node("root", node("job")))
    fail("job", reason)
    assert job("job").failed_reason == stored
    assert stored in job("root").failed_reason
    assert job("job").errors.get().reason == stored


def test_long_texts_are_cut_in_the_middle():
    text = clean_text("a" * 500 + "b" * 500, 101)
    assert len(text) <= 101
    assert text.startswith("a" * 40)
    assert text.endswith("b" * 40)
    assert clean_text("short", 5) == "short"


def test_a_text_that_cannot_be_made():
    class Broken(Exception):
        def __str__(self):
            raise SystemExit

    assert "Broken" in clean_text(Broken())


def test_one_line_for_terminals():
    assert printable("a\nb\x1b[31m\u202e\x00") == "a\\nb\\x1b[31m\\u202e\ufffd"
