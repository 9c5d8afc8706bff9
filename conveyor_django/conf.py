"""The `CONVEYOR` setting, read once into one frozen object; `override_settings` works."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from .options import JobOptions


@dataclass(frozen=True)
class Settings:
    HEARTBEAT_INTERVAL: float = 5  # seconds
    HEARTBEAT_TIMEOUT: float = 30  # seconds without a heartbeat after which a worker's jobs are rescued
    MAX_DATA_BYTES: int = 1024 * 1024  # of one job's data, result or progress, as JSON
    MAX_FLOW_JOBS: int = 250_000  # of one flow
    DEFAULT_JOB_OPTIONS: Mapping[str, Any] = field(default_factory=dict)
    REDACT: Sequence[str] = field(default_factory=list)  # more keys whose values aren't shown

    @cached_property
    def default_options(self) -> JobOptions:
        return JobOptions.of(self.DEFAULT_JOB_OPTIONS, "CONVEYOR['DEFAULT_JOB_OPTIONS']")

    @cached_property
    def secret_keys(self) -> list[re.Pattern[str]]:
        """Where the setting can't be read every key is one: the system check says so, and nothing has been shown."""
        try:
            return compiled(self.REDACT)
        except (TypeError, re.error):
            return [re.compile("")]


def compiled(expressions: Sequence[str]) -> list[re.Pattern[str]]:
    """Raises `TypeError` and `re.error`."""
    if not isinstance(expressions, (list, tuple)) or not all(isinstance(text, str) for text in expressions):
        raise TypeError("not a list of str")
    return [re.compile(text, re.IGNORECASE) for text in expressions]


KNOWN = frozenset(f.name for f in fields(Settings))


def user_settings() -> Mapping[str, Any]:
    value = getattr(settings, "CONVEYOR", {})
    if not isinstance(value, Mapping):
        raise ImproperlyConfigured(f"CONVEYOR must be a dict, not {type(value).__name__}")
    return value


@cache
def get_settings() -> Settings:
    """Unknown keys are left to the system check, so that they stop a deploy and not a page."""
    return Settings(**{key: value for key, value in user_settings().items() if key in KNOWN})


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "CONVEYOR":
        get_settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="conveyor_django.conf")
