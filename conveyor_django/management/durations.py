"""Durations as people write them: `45`, `90s`, `30m`, `12h`, `7d`, `2w`, `1d12h`, or what Django parses."""

import re

from django.core.management.base import CommandError
from django.utils.dateparse import parse_duration

from conveyor_django.encoding import printable
from conveyor_django.exceptions import InvalidNode
from conveyor_django.options import seconds

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])\s*", re.IGNORECASE)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.IGNORECASE)


def seconds_of(text: object, option: str) -> float:
    """Raises `CommandError`, naming the option."""
    try:
        return seconds(_parse(str(text).strip()), option)  # some versions of argparse make a list of `--`
    except (InvalidNode, ValueError, OverflowError):
        raise CommandError(
            f"{option} is a duration of 0 or more, as in 45 (seconds), 30m, 12h, 7d or 2w; not {printable(text)!r}."
        ) from None


def _parse(text: str) -> float:
    if _WHOLE.fullmatch(text):
        return sum(float(number) * _UNITS[unit.lower()] for number, unit in _PART.findall(text))
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not text or (parsed := parse_duration(text)) is None:
        raise ValueError(text)
    return parsed.total_seconds()
