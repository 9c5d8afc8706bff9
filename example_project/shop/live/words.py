"""Durations, progress and foreign text as the terminal shows them."""

from typing import Any

BAR = 10  # cells


def duration(seconds: float) -> str:
    """0.4 s, 41 s, 1 min 44 s"""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def clean(text: object) -> str:
    """One line in which control characters are spelled out, so that a job's text can't steer the terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))


def bar(progress: Any, full: str, empty: str) -> str:
    """A bar and the per cent, rounded down; empty for progress that isn't a number from 0 to 100."""
    if isinstance(progress, bool) or not isinstance(progress, (int, float)) or not 0 <= progress <= 100:
        return ""
    cells = int(progress * BAR / 100)
    return f"{full * cells}{empty * (BAR - cells)} {int(progress):3} %"
