"""Medians, spreads and ratios of a run's figures."""

from dataclasses import dataclass
from statistics import median
from typing import Any

from .parts.base import Part


@dataclass(frozen=True)
class Cell:
    median: float
    low: float
    high: float
    ratio: float | None  # to the entrant that the part compares with


Table = dict[str, dict[str, Cell]]  # label -> column -> figures


def tabulate(part: Part, runs: dict[str, list[dict[str, Any]]]) -> Table:
    """A column is missing where an entrant has no such thing, or where it failed."""
    values = {
        label: {column.key: found for column in part.columns if (found := _values(rounds, column.key))}
        for label, rounds in runs.items()
    }
    base = {key: median(found) for key, found in values.get(part.against, {}).items()}
    return {
        label: {
            key: Cell(
                median(found),
                min(found),
                max(found),
                median(found) / base[key] if base.get(key) and label != part.against else None,
            )
            for key, found in columns.items()
        }
        for label, columns in values.items()
    }


def _values(rounds: list[dict[str, Any]], key: str) -> list[float]:
    return [figures[key] for figures in rounds if figures.get(key) is not None]


def short(value: float) -> str:
    """Two or three digits are enough for what varies by a tenth."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2g}"
