"""A line of how much was finished, as attributes of SVG; red ticks at its foot where jobs failed."""

from typing import NamedTuple

from .overview_rates import Rate

WIDTH, HEIGHT = 96, 20


class Sparkline(NamedTuple):
    line: str  # points of a polyline
    area: str  # of a polygon below it
    ticks: list[str]  # where along it


def sparkline(rate: Rate | None) -> Sparkline | None:
    """Scaled to the most of this queue, from 0; nothing for one that finished nothing."""
    if rate is None or not any(rate.points):
        return None
    most, step = max(rate.points), WIDTH / (len(rate.points) - 1)
    room = HEIGHT - 3
    points = [f"{number * step:.1f},{1 + room * (1 - count / most):.1f}" for number, count in enumerate(rate.points)]
    line = " ".join(points)
    ticks = [f"{number * step:.1f}" for number, failed in enumerate(rate.failures) if failed]
    return Sparkline(line, f"0,{HEIGHT} {line} {WIDTH},{HEIGHT}", ticks)
