"""Hypothesis strategies: what a queue may be handed by mistake or malice."""

import itertools
from collections import OrderedDict, UserDict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from conveyor_django import Backoff, JobOptions
from conveyor_django.encoding import MAX_DEPTH


class Boom(Exception):
    """Of what was handed in, when it is touched."""


def boom(*args: Any, **kwargs: Any) -> Any:
    raise Boom("touched")


class OddStr(str):
    """Looks like another one than it is, and raises otherwise."""

    __str__ = __repr__ = encode = replace = isascii = isprintable = __contains__ = __eq__ = __getitem__ = boom
    __hash__ = str.__hash__

    def __len__(self) -> int:
        return 1


class OddInt(int):
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __int__ = __index__ = __repr__ = __str__ = __float__ = __neg__ = boom
    __hash__ = int.__hash__


class OddFloat(float):
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __float__ = __repr__ = __str__ = is_integer = boom
    __hash__ = float.__hash__


class OddDict(dict[Any, Any]):
    items = keys = __iter__ = __getitem__ = boom


class OddList(list[Any]):
    __iter__ = __len__ = __getitem__ = boom


class Endless(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        return itertools.count()


class OddMapping(Mapping[Any, Any]):
    def __init__(self, keys: Any = ("name",), value: Callable[[Any], Any] = boom) -> None:
        self._keys, self._value = keys, value

    def __iter__(self) -> Iterator[Any]:
        return iter(self._keys)

    def __len__(self) -> int:
        return -1

    def __getitem__(self, key: Any) -> Any:
        return self._value(key)


class Liar:
    """Says that it is a str."""

    __class__ = property(lambda self: str)  # type: ignore[assignment]
    __repr__ = __str__ = __iter__ = boom


class OddZone(tzinfo):
    utcoffset = tzname = dst = fromutc = boom


class Choice(StrEnum):
    A = "fixed"


def itself() -> list[Any]:
    value: list[Any] = []
    value.extend([value, {"again": value}])
    return value


def nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value


def generator() -> Iterator[Any]:
    yield {"name": "a", "queue_name": "q"}


MADE: list[Callable[[], Any]] = [  # anew for each example: some are used up, or hold themselves
    *(lambda v=v: OddStr(v) for v in ("x", "", "a\x00", "\ud800", "x" * 300, "fixed", "ignore")),
    *(lambda v=v: OddInt(v) for v in (1, -1, 2**40, 10**400)),
    *(lambda v=v: OddFloat(v) for v in (0.5, -1.0, float("nan"), float("inf"))),
    *(OddDict, lambda: OddDict(name=1), OddList, lambda: OddList([1]), Endless, Liar, itself, generator, object),
    *(OddMapping, lambda: OddMapping(itertools.count()), lambda: OddMapping([[]]), lambda: OddMapping(boom)),
    *(lambda: OddMapping(map(str, itertools.count()), lambda key: 1), lambda: OddMapping(("name",), lambda key: 1)),
    *(lambda: UserDict(a=1), lambda: MappingProxyType({"a": 1}), lambda: OrderedDict(b=1, a=2)),
    *(lambda v=v: nested(v) for v in (MAX_DEPTH, MAX_DEPTH + 1, 900, 20_000)),
    *(lambda: 10**5000, lambda: -(10**5000), lambda: datetime(2030, 1, 1, tzinfo=OddZone())),
]
PLAIN = [
    *(None, True, False, 0, -1, 1, 2**31 - 1, 2**31, -(2**31), 2**63, -(2**63), 10**30),
    *(0.0, -0.0, 0.5, 1e23, 1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
    *(
        "",
        "x",
        "q",
        "fixed",
        "exponential",
        "waiting",
        "failed",
        "fail",
        "a\x00b",
        "\ud800",
        "a\nb",
        "\x1b[31m",
        "\x85",
    ),
    *(
        "\u202eabc",
        "\u0645\u0631\u062d\u0628\u0627",
        "\U0001f69a" * 255,
        "x" * 255,
        "x" * 256,
        "x" * 70_000,
        " ",
        "%s{}",
    ),
    *(".", "..", "a/b", "<b>", "0" * 32, "\ufeff", "\u2028", "1e5", "9" * 5000),
    *(
        b"x",
        b"",
        bytearray(b"x"),
        {1, 2},
        frozenset(),
        Decimal("1.5"),
        Decimal("NaN"),
        1j,
        UUID(int=1),
        Choice.A,
        Choice,
    ),
    *(datetime(2030, 1, 1), datetime(2030, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),  # noqa: DTZ001
    *(datetime.min.replace(tzinfo=UTC), date(2030, 1, 1), timedelta(1), timedelta(-1), timedelta.max, timedelta.min),
    *(print, int, list, dict, NotImplemented, ..., range(3), memoryview(b"x"), slice(None), type),
    *((), [], {}, {1: 2}, {None: 1}, {(): 1}, {"\ud800": 1}, {"a\x00": 1}, {"": ""}, [[]], ("a", 1), {"k" * 300: [0]}),
    *(JobOptions(priority=1), Backoff(), {"attempts": 2}, {"type": "fixed"}),
]
texts = st.text(st.sampled_from("a\U0001f69a\u202e\u0416 <&'\"\\\x00\n\x1b\x7f\ud800"), max_size=6) | st.text(
    max_size=9
)


def one_of(choices: list[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, len(choices) - 1).map(lambda number: choices[number])  # reports print the number


scalars = one_of(PLAIN) | st.integers() | st.floats() | texts | st.binary(max_size=3)
odd = scalars | one_of(MADE).map(lambda make: make())
json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
values = json_like | odd | st.lists(odd, max_size=2) | st.dictionaries(texts, odd, max_size=2)

# Mostly good, so that what is odd is reached: each field is odd once in a while
names = st.sampled_from(["a", "b", "\U0001f69a", "\u202e<b>", "x" * 255, "a/b", " "])
GOOD_OPTIONS: dict[str, Any] = {
    "attempts": st.integers(1, 5),
    "backoff": st.sampled_from([None, {"type": "fixed"}, {"delay": 0}, Backoff("fixed", 3)]),
    "delay": st.sampled_from([0, 5, 1.5, timedelta(1), datetime(2100, 1, 1, tzinfo=UTC)]),
    "priority": st.integers(-(2**31) + 1, 2**31 - 1),
    "lifo": st.booleans(),
    "timeout": st.sampled_from([None, 1, timedelta(1)]),
    "job_id": names | st.none(),
    "remove_on_complete": st.booleans(),
    "remove_on_fail": st.booleans(),
    "fail_parent_on_child_failure": st.sampled_from(["fail", "ignore", "remove"]),
    "max_stalls": st.integers(0, 5),
}


def rarely(good: st.SearchStrategy[Any], bad: st.SearchStrategy[Any] = odd) -> st.SearchStrategy[Any]:
    return st.integers(0, 15).flatmap(lambda number: bad if number == 7 else good)


mappings_of_options = st.fixed_dictionaries({}, optional={name: rarely(good) for name, good in GOOD_OPTIONS.items()})
options = rarely(st.none() | mappings_of_options, odd | st.dictionaries(texts, odd, max_size=2))


def _node(children: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"name": rarely(names), "queue_name": rarely(names)},
        optional={"data": json_like | values, "opts": options, "children": rarely(children)},
    )


flows = st.recursive(_node(st.just([])), lambda inner: _node(st.lists(inner, max_size=3)), max_leaves=5)


# Exceptions


class Silent(Exception):
    __str__ = __repr__ = boom


class Wordless(Exception):
    def __str__(self) -> Any:
        return 5

    __repr__ = __str__


class Subtle(Exception):
    def __str__(self) -> str:
        return OddStr("subtle")


class Nameless(type):
    __name__ = property(boom)  # type: ignore[assignment]


class OfOddClass(Exception, metaclass=Nameless):
    pass


def circle() -> Exception:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__, second.__context__ = second, first, second
    return first


def chain(length: int) -> Exception:
    top = error = ValueError("top")
    for number in range(length):
        error.__context__ = error = ValueError(number)
    return top


def deep_traceback() -> None:
    deep_traceback()


def odd_syntax_error() -> SyntaxError:
    error = SyntaxError("odd")
    error.filename, error.lineno, error.text, error.offset = 5, "x", 7, 10**30  # type: ignore[assignment]
    return error


def noted() -> Exception:
    error = ValueError("noted")
    error.__notes__ = [Silent(), "\ud800", 5]  # type: ignore[list-item]
    return error


def grouped(depth: int) -> Exception:
    error: Exception = ValueError("\x00 innermost")
    for _ in range(depth):
        error = ExceptionGroup("group \ud800", [error, KeyError("other")])
    return error


ERRORS: list[Callable[[], BaseException]] = [
    *(
        Silent,
        Wordless,
        Subtle,
        OfOddClass,
        circle,
        odd_syntax_error,
        noted,
        MemoryError,
        RecursionError,
        StopIteration,
    ),
    *(lambda: chain(3), lambda: chain(5000), lambda: grouped(2), lambda: grouped(500)),
    *(KeyboardInterrupt, GeneratorExit, lambda: SystemExit(OddStr("x")), lambda: KeyError(Silent())),
    *(lambda v=v: ValueError(v) for v in ("\x00", "\ud800", "\U0001f69a" * 70_000, "x" * 5_000_000, b"x", nested(900))),
    lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "\ud800"),
    lambda: type("Odd\nName\x1b[31m" * 100, (Exception,), {})("\n" * 100_000),
]
errors = one_of(ERRORS).map(lambda make: make()) | texts.map(ValueError)
