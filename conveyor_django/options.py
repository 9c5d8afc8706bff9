"""`JobOptions` and `Backoff`: what can be said of how a job runs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

from django.utils import timezone

from .encoding import check_name, kind, shown, text_of, unreadable
from .exceptions import ConveyorError, InvalidNode
from .states import ChildFailurePolicy

MAX_SECONDS = 100 * 365 * 86400
_FIRST_YEAR, _LAST_YEAR = 1970, 9000  # what every database stores and every time zone shows
_MAX_SMALL = 2**31 - 1
_UNSET: Any = type("Unset", (), {"__repr__": lambda self: "UNSET"})()


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How long to wait before the next attempt; seconds or `timedelta`.

    `type` is "fixed", "exponential" (delay * 2 ** (attempt - 1)), or the name
    of a function registered with `conveyor_django.registry.backoff`. `jitter`
    is the share of the delay, 0 to 1, that chance may take away.
    """

    type: str = "exponential"
    delay: float | timedelta = 1
    max_delay: float | timedelta = 86400
    jitter: float = 0.0

    def __init__(
        self,
        type: str = "exponential",
        delay: float | timedelta = 1,
        max_delay: float | timedelta = 86400,
        jitter: float = 0.0,
    ) -> None:
        put = object.__setattr__
        put(self, "type", check_name(type, "backoff.type"))
        put(self, "delay", seconds(delay, "backoff.delay"))
        put(self, "max_delay", seconds(max_delay, "backoff.max_delay"))
        share = _number(jitter)
        if share is None or not 0 <= share <= 1:
            raise InvalidNode(f"backoff.jitter must be a number from 0 to 1, not {shown(jitter)}")
        put(self, "jitter", float(share))

    @classmethod
    def of(cls, value: "Backoff | Mapping[str, Any]") -> "Backoff":
        if isinstance(value, cls):
            return value
        return cls(**known_items(value, "backoff", {"type", "delay", "max_delay", "jitter"}))

    def as_json(self) -> dict[str, Any]:
        return {"type": self.type, "delay": self.delay, "max_delay": self.max_delay, "jitter": self.jitter}


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """Options of one job; times are seconds or `timedelta`.

    A field that isn't passed is unset: the next layer's value holds (call,
    queue, processor, `DEFAULT_JOB_OPTIONS`, then the values shown here).
    `delay` also takes an aware `datetime`. Raises `InvalidNode`.
    """

    attempts: int = _UNSET
    backoff: Backoff | Mapping[str, Any] | None = _UNSET
    delay: float | timedelta | datetime = _UNSET
    priority: int = _UNSET  # lower first
    lifo: bool = _UNSET
    timeout: float | timedelta | None = _UNSET
    job_id: str | None = _UNSET
    remove_on_complete: bool = _UNSET
    remove_on_fail: bool = _UNSET
    fail_parent_on_child_failure: str = _UNSET
    max_stalls: int = _UNSET
    given: Mapping[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        given = {}
        for name, default in DEFAULTS.items():
            value = getattr(self, name)
            if value is _UNSET:
                object.__setattr__(self, name, default)
            else:
                given[name] = _checked(value, name)
                object.__setattr__(self, name, given[name])
        object.__setattr__(self, "given", given)

    @classmethod
    def of(cls, value: "JobOptions | Mapping[str, Any] | None", field: str = "opts") -> "JobOptions":
        if value is None:
            return NO_OPTIONS
        if isinstance(value, JobOptions):
            return value
        return cls(**known_items(value, field, DEFAULTS.keys()))

    def over(self, *lower: "JobOptions") -> "JobOptions":
        """These options, with what is unset here taken from `lower`, the first that has it."""
        layers = [layer for layer in (self, *lower) if layer.given]
        if len(layers) < 2:
            return layers[0] if layers else self
        given: dict[str, Any] = {}
        for layer in reversed(layers):
            given.update(layer.given)
        return _of_checked(given)

    def without(self, *names: str) -> "JobOptions":
        """These options, with those unset."""
        if self.given.keys().isdisjoint(names):
            return self
        return _of_checked({name: value for name, value in self.given.items() if name not in names})


def _of_checked(given: dict[str, Any]) -> JobOptions:
    made = object.__new__(JobOptions)  # not checked a second time for each job of a flow
    made.__dict__.update(DEFAULTS, **given, given=given)
    return made


DEFAULTS: dict[str, Any] = {
    "attempts": 1,
    "backoff": None,
    "delay": 0,
    "priority": 0,
    "lifo": False,
    "timeout": None,
    "job_id": None,
    "remove_on_complete": False,
    "remove_on_fail": False,
    "fail_parent_on_child_failure": ChildFailurePolicy.FAIL,
    "max_stalls": 1,
}


def seconds(value: object, name: str) -> float:
    """Seconds >= 0 out of a number or a `timedelta`; raises `InvalidNode`."""
    number = _number(timedelta.total_seconds(value) if isinstance(value, timedelta) else value)
    if number is None:
        raise InvalidNode(f"{name} must be seconds or a timedelta, not {shown(value)}")
    if not 0 <= number <= MAX_SECONDS:  # NaN isn't either
        raise InvalidNode(f"{name} must be from 0 to {MAX_SECONDS} seconds, not {shown(value)}")
    return number


def whole(value: object, name: str, low: int = 0) -> int:
    """An int from `low` up, as every database stores it; raises `InvalidNode`."""
    number = _number(value)
    if not isinstance(number, int) or not low <= number <= _MAX_SMALL:
        raise InvalidNode(f"{name} must be an int from {low} to {_MAX_SMALL}, not {shown(value)}")
    return number


def _number(value: object) -> int | float | None:
    """The plain number of one that may be a subclass's; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return int.__int__(value)
    return float.__float__(value) if isinstance(value, float) else None


def known_items(value: object, field: str, known: Collection[str]) -> dict[str, Any]:
    """The items of a mapping that has these keys only; raises `InvalidNode`."""
    if not isinstance(value, Mapping):
        raise InvalidNode(f"{field} must be a mapping, not {kind(value)}")
    try:
        items = {key: value[key] for key in islice(value, len(known) + 1)}  # one more than known is an unknown one
        unknown = [key for key in items if key not in known]
    except Exception as error:
        raise unreadable(value, field, error) from error
    if unknown:
        raise InvalidNode(f"{field} has an unknown key, {shown(unknown[0])}; known are {', '.join(sorted(known))}")
    return items


def _checked(value: object, name: str) -> Any:
    try:
        return _CHECKS[name](value, name)
    except ConveyorError:
        raise
    except Exception as error:  # a time zone's own methods, say
        raise unreadable(value, name, error) from error


def flag(value: object, name: str) -> bool:
    """Raises `InvalidNode`: what is only true or false by chance was meant for something else."""
    if not isinstance(value, bool):
        raise InvalidNode(f"{name} must be True or False, not {shown(value)}")
    return value


def _delay(value: object, name: str) -> float | datetime:
    if isinstance(value, datetime):
        if timezone.is_naive(value):
            raise InvalidNode(f"{name} must be an aware datetime, not a naive one")
        if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
            raise InvalidNode(f"{name} must be from {_FIRST_YEAR} to {_LAST_YEAR}, not in {value.year}")
        return value.astimezone(UTC)
    return seconds(value, name)


def _timeout(value: object, name: str) -> float | None:
    if value is None:
        return None
    if (limit := seconds(value, name)) == 0:
        raise InvalidNode(f"{name} must be above 0 seconds, or None")
    return limit


def _policy(value: object, name: str) -> ChildFailurePolicy:
    text = text_of(value)
    if text not in ChildFailurePolicy.values:
        raise InvalidNode(f"{name} must be one of {', '.join(ChildFailurePolicy.values)}, not {shown(value)}")
    return ChildFailurePolicy(text)


_CHECKS: dict[str, Any] = {
    "attempts": partial(whole, low=1),
    "backoff": lambda value, name: None if value is None else Backoff.of(value),
    "delay": _delay,
    "priority": partial(whole, low=-_MAX_SMALL),
    "lifo": flag,
    "timeout": _timeout,
    "job_id": lambda value, name: None if value is None else check_name(value, name),
    "remove_on_complete": flag,
    "remove_on_fail": flag,
    "fail_parent_on_child_failure": _policy,
    "max_stalls": whole,
}
assert set(_CHECKS) == set(DEFAULTS) == {f.name for f in fields(JobOptions)} - {"given"}

NO_OPTIONS = JobOptions()
