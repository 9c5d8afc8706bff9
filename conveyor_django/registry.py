"""Which function processes which jobs, and which function computes which backoff."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction
from django.utils.module_loading import autodiscover_modules

from .encoding import check_name, kind
from .exceptions import InvalidNode, NoProcessor
from .options import NO_OPTIONS, Backoff, JobOptions

Function = Callable[[Any], Any]
BackoffFunction = Callable[[int, BaseException, Any], float]
_F = TypeVar("_F", bound=Callable[..., Any])  # of the site: it keeps its own type
_B = TypeVar("_B", bound=BackoffFunction)
MODULE = "jobs"  # the module that autodiscovery looks for in each app


@dataclass(frozen=True)
class Processor:
    queue_name: str
    name: str | None  # None: every other name of the queue
    function: Function
    options: JobOptions
    atomic: bool = False  # what it writes and what comes of it commit together

    @cached_property
    def is_async(self) -> bool:
        return is_async(self.function)

    @property
    def path(self) -> str:
        return f"{self.function.__module__}.{getattr(self.function, '__qualname__', type(self.function).__name__)}"


processors: dict[tuple[str, str | None], Processor] = {}
conflicts: list[tuple[Processor, Processor]] = []  # for the system check
_backoffs: dict[str, BackoffFunction] = {}


def processor(queue_name: str, name: str | None = None, *, atomic: bool = False, **options: Any) -> Callable[[_F], _F]:
    """Register a function, sync or async, for one job name of a queue, or for all its other names.

    With `atomic` (sync functions only) what it writes to the jobs' database and the job's end are one transaction.
    `options` are `JobOptions` fields, the defaults of jobs added for it. The function is returned as it is.
    """
    check_name(queue_name, "queue_name")
    if name is not None:
        check_name(name, "name")
    if not isinstance(atomic, bool):
        raise InvalidNode(f"atomic must be True or False, not {kind(atomic)}")
    defaults = JobOptions.of(options, "processor options")

    def register(function: _F) -> _F:
        if atomic and is_async(function):
            raise InvalidNode("atomic is for sync functions: Django's transactions don't work in async code")
        new = Processor(queue_name, name, function, defaults, atomic)
        old = processors.setdefault((queue_name, name), new)
        if old is not new:
            if old.path != new.path:  # the same path is a module imported again
                conflicts.append((old, new))
            processors[queue_name, name] = new
        return function

    return register


def backoff(name: str) -> Callable[[_B], _B]:
    """Register `function(attempt, error, job) -> seconds` as the backoff type `name`."""
    check_name(name, "backoff name")

    def register(function: _B) -> _B:
        _backoffs[name] = function
        return function

    return register


def is_async(function: Function) -> bool:
    # the second for an instance with an async __call__
    return iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def autodiscover() -> None:
    autodiscover_modules(MODULE)


def registered_queues() -> list[str]:
    return sorted({queue_name for queue_name, _ in processors})


def find(queue_name: str, name: str) -> Processor | None:
    return processors.get((queue_name, name)) or processors.get((queue_name, None))


def get(queue_name: str, name: str) -> Processor:
    """Raises `NoProcessor`, naming the queue, the name and the modules that were searched."""
    if found := find(queue_name, name):
        return found
    modules = sorted({p.function.__module__ for p in processors.values()})
    raise NoProcessor(
        f"no processor for job {name!r} of queue {queue_name!r}; "
        f"searched the {MODULE!r} module of each installed app and found processors in "
        f"{', '.join(modules) or 'none of them'}"
    )


def default_options(queue_name: str, name: str) -> JobOptions:
    found = find(queue_name, name)
    return found.options if found else NO_OPTIONS


def check_backoff(value: Backoff | None) -> None:
    if value is not None and value.type not in ("fixed", "exponential", *_backoffs):
        raise InvalidNode(f"backoff.type {value.type!r} is neither fixed nor exponential nor registered")


def backoff_seconds(value: dict[str, Any] | None, attempt: int, error: BaseException, job: Any) -> float:
    """Seconds to wait after the `attempt`-th attempt (from 1) failed with `error`."""
    if not value:
        return 0.0
    if value["type"] == "fixed":
        delay = float(value["delay"])
    elif value["type"] == "exponential":
        delay = float(value["delay"]) * 2.0 ** min(attempt - 1, 64)
    else:
        delay = float(_backoffs[value["type"]](attempt, error, job))
    delay = min(max(0.0, delay), float(value["max_delay"]))  # in this order NaN is 0
    return delay * (1 - random.random() * float(value["jitter"]))
