"""What a parent reads of its children: values in declared order and exact, failures by their reasons."""

from enum import IntEnum, StrEnum
from types import MappingProxyType

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conveyor_django.encoding import normalize
from conveyor_django.outcomes import Completed

from .helpers import add, finish, ids, job, node, settle, start

pytestmark = pytest.mark.django_db

VALUES = [
    None,
    0,
    1,
    -1,
    2**63 - 1,
    -(2**63),
    False,
    True,
    0.0,
    1.5,
    -1e-300,
    123456.789,
    1e15,
    1e16,
    -1.2345678901234567e18,
    1e23,
    1.7976931348623157e308,
    5e-324,
    "",
    "text",
    " blank ",
    'quotes " and \\ and \n',
    "ünïcødé 日本語 🚚 \u202eright-to-left",
    "\u2028",
    "null",
    "0",
    [],
    {},
    [None, 0, False, "", [], {}],
    {"": None, "a": {"b": {"c": [1, [2, [3]]]}}, "ü": "é"},
    [[[[]]]],
    {"z": 1, "a": 2},
    {'1e+30 " \\': [1e30, -2.5e20, "1e+30", '"1e+30', "\\"]},
]


def exactly(value):
    """So that 0, 0.0 and False differ, inside of others too; objects have no order."""
    if isinstance(value, dict):
        return {key: exactly(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exactly(item) for item in value]
    return type(value).__name__, value


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_a_value_is_exact(value):
    add(node("parent", node("child"), data=value))
    finish("child", value)
    parent = start("parent")
    assert exactly(list(parent.get_children_values().values())) == exactly([value])
    assert exactly(job("child").return_value) == exactly(value)


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_data_and_progress_are_exact(value):
    [result] = add(node("job", data=[value]))
    assert exactly(result.job.data) == exactly([value])
    assert exactly(job("job").data) == exactly([value])
    job("job").update_data(value)
    assert exactly(job("job").data) == exactly(value)


@pytest.mark.parametrize(
    "values",
    [
        [0, False, 0.0],
        [True, 1, 1.0],
        [[0], [False]],
        [{"a": 1}, {"a": True}, {"a": 1.0}],
        [None, None],
        ["same", "same"],
        ["", None, [], {}],
    ],
    ids=str,
)
def test_values_that_are_equal_and_not_the_same_in_one_batch(values):
    names = [f"n{index}" for index in range(len(values))]
    add(node("parent", *map(node, names)))
    settle({name: Completed(value) for name, value in zip(names, values, strict=True)})
    assert exactly(list(start("parent").get_children_values().values())) == exactly(values)


def test_what_is_almost_json_becomes_json():
    class Color(StrEnum):
        RED = "red"

    class Number(IntEnum):
        ONE = 1

    class Text(str):
        def __str__(self):
            return "something else"

    given = {Color.RED: (Color.RED, Number.ONE, Text("text")), "m": MappingProxyType({"a": (1, (2,))})}
    expected = {"red": ["red", 1, "text"], "m": {"a": [1, [2]]}}
    assert exactly(normalize(given, "data", 1000)) == exactly(expected)
    [result] = add(node("job", data=given))
    assert exactly(result.job.data) == exactly(job("job").data) == exactly(expected)


def test_the_data_that_was_handed_in_may_change_later():
    data = {"list": [1]}
    [result] = add(node("job", data=data))
    data["list"].append(2)
    assert result.job.data == job("job").data == {"list": [1]}


def test_values_come_in_declared_order_whoever_finishes_first():
    names = [f"n{index}" for index in range(12)]
    add(node("parent", *map(node, names)))
    for name in reversed(names):
        finish(name, name)
    values = start("parent").get_children_values()
    assert list(values.values()) == names
    assert list(values) == ids(*names)


def test_only_direct_children_count():
    add(node("root", node("parent", node("child"))))
    finish("child", "deep")
    finish("parent", "near")
    assert list(start("root").get_children_values().values()) == ["near"]
    assert job("child").get_children_values() == {}


def test_values_are_read_in_pages(monkeypatch):
    monkeypatch.setattr("conveyor_django.models.handles._PAGE", 4)
    names = [f"n{index:02}" for index in range(11)]
    add(node("parent", *map(node, names)))
    settle({name: Completed(index) for index, name in enumerate(names)})
    parent = job("parent")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert list(parent.iter_children_values()) == list(zip(ids(*names), range(11), strict=True))
    assert len(queries) == 3 + 1  # and the one of ids()
    values = parent.iter_children_values()
    with CaptureQueriesContext(connection) as queries:
        next(values)
    assert len(queries) == 1
