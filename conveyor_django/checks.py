"""System checks: what in settings, processors and databases keeps jobs from running as promised."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router

from . import registry
from .conf import KNOWN, compiled, get_settings, user_settings
from .encoding import shown
from .engines import get_engine
from .exceptions import ConveyorError
from .models import Job
from .options import Backoff, JobOptions

TAG = "conveyor"
_MISSED_BEATS = 3  # fewer, and one slow statement or a busy host costs a living worker its jobs


@register(TAG)
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """The `CONVEYOR` setting by itself: no connection is opened."""
    try:
        given = user_settings()
    except ImproperlyConfigured as error:
        return [_error("E001", f"{error}.", "Write CONVEYOR = {...} in settings, or leave it out.")]
    problems = [*_time_zone(), *_unknown_keys(given), *_bad_values(given)]
    return problems or list(_bad_heartbeat())


@register(TAG)
def check_processors(**kwargs: Any) -> list[CheckMessage]:
    return [
        _error(
            "E005",
            f"Two processors are registered for {_jobs_of(new)}: {old.path} and {new.path}.",
            "Remove one of them, or give one another name or queue in its @processor(...).",
        )
        for old, new in registry.conflicts
    ]


@register(Tags.database)  # not TAG too: by that, Django 6.1 would connect unasked
def check_databases(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Versions and sessions of the databases that hold jobs; connects, so only where Django asks for it."""
    aliases = [alias for alias in databases or () if router.allow_migrate_model(alias, Job)]
    return [message for alias in aliases for message in _database_problems(alias)]


def _time_zone() -> Iterator[CheckMessage]:
    if not settings.USE_TZ:
        text = "USE_TZ is False: times of jobs are moments, which databases then don't store."
        yield _error("E006", text, "Write USE_TZ = True in settings.")
    for alias in connections:
        connection = connections[alias]
        own = connection.settings_dict.get("TIME_ZONE")
        if own and not connection.features.supports_timezones and router.allow_migrate_model(alias, Job):
            text = f"DATABASES[{alias!r}]['TIME_ZONE'] is {own!r}: workers take times in it for UTC."
            yield _error("E007", text, "Leave it out where jobs are stored.")


def _unknown_keys(given: Mapping[str, Any]) -> Iterator[CheckMessage]:
    for key in given:
        if key not in KNOWN:
            close = get_close_matches(str(key).upper(), KNOWN, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known are {', '.join(sorted(KNOWN))}."
            yield _error("E002", f"CONVEYOR has an unknown key {key!r}.", hint)


def _bad_values(given: Mapping[str, Any]) -> Iterator[CheckMessage]:
    for key, (is_good, wanted) in _VALUES.items():
        if key in given and not is_good(given[key]):
            yield _error("E003", f"CONVEYOR[{key!r}] is {shown(given[key])}.", f"Write {wanted}.")
    yield from _bad_options(given.get("DEFAULT_JOB_OPTIONS", {}))


def _bad_options(given: Any) -> Iterator[CheckMessage]:
    where = "CONVEYOR['DEFAULT_JOB_OPTIONS']"
    hint = "Write a dict of JobOptions fields, {'attempts': 3} for example."
    try:
        options = JobOptions.of(given, where)
        if options.backoff is not None:
            registry.check_backoff(Backoff.of(options.backoff))
    except (ConveyorError, TypeError) as error:
        text = str(error)
        yield _error("E003", f"{text if where in text else f'{where}: {text}'}.", hint)
    else:
        if options.job_id is not None:
            yield _error("E003", f"{where} has a job_id, which would be every job's.", hint)


def _bad_heartbeat() -> Iterator[CheckMessage]:
    settings = get_settings()
    interval, timeout = settings.HEARTBEAT_INTERVAL, settings.HEARTBEAT_TIMEOUT
    if interval * _MISSED_BEATS > timeout:
        yield _error(
            "E004",
            f"CONVEYOR['HEARTBEAT_INTERVAL'] ({interval:g} s) is not well below "
            f"CONVEYOR['HEARTBEAT_TIMEOUT'] ({timeout:g} s): living workers would lose their jobs.",
            f"Write an interval of at most {timeout / _MISSED_BEATS:g}, or a timeout of at least "
            f"{interval * _MISSED_BEATS:g}.",
        )


def _jobs_of(processor: registry.Processor) -> str:
    queue = f"queue {processor.queue_name!r}"
    return f"job {processor.name!r} of {queue}" if processor.name else f"all other jobs of {queue}"


def _database_problems(alias: str) -> Iterator[CheckMessage]:
    try:
        found = get_engine(alias).problems()
    except ImproperlyConfigured as error:
        yield _error("E010", f"{error}.", "Use one of these, or route the Job model to an alias that does.")
        return
    for problem in found:
        make = Error if problem.id.startswith("E") else Warning
        message = f"Database {alias!r}: {problem.message}"
        yield make(message, hint=problem.hint, id=f"conveyor_django.{problem.id}")


def _error(number: str, message: str, hint: str) -> CheckMessage:
    return Error(message, hint=hint, id=f"conveyor_django.{number}")


def _is_number(value: object) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value > 0  # type: ignore[arg-type,operator]


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and _is_number(value)


def _is_expressions(value: object) -> bool:
    try:
        compiled(value)  # type: ignore[arg-type]
    except (TypeError, re.error):
        return False
    return True


_SECONDS = (_is_number, "a number of seconds above 0")
_COUNT = (_is_whole, "a whole number above 0")
_VALUES: dict[str, tuple[Callable[[object], bool], str]] = {
    "HEARTBEAT_INTERVAL": _SECONDS,
    "HEARTBEAT_TIMEOUT": _SECONDS,
    "MAX_DATA_BYTES": _COUNT,
    "MAX_FLOW_JOBS": _COUNT,
    "REDACT": (_is_expressions, "a list of regular expressions"),
}
