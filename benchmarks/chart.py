"""The bars of a run, as an SVG that can be read on a light page and on a dark one."""

from collections.abc import Callable, Iterator
from html import escape
from math import log
from typing import NamedTuple

from .figures import short, tabulate
from .parts import PARTS
from .peers import PEERS
from .run import Runs

_WIDTH, _COLUMNS = 860, 2
_PAD, _GAP = 20, 24
_TITLE, _BAR, _STEP = 34, 14, 21
_LABEL, _VALUE = 118, 62  # room for names, and for figures

_STYLE = """
  .page { fill: #ffffff; stroke: #d0d7de }
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 13px }
  .quiet { fill: #59636e }
  .bar { fill: #8c959f }
  .own { fill: #0a7d55 }
  .floor { fill: #d0d7de }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #3d444d }
    text { fill: #e6edf3 }
    .quiet { fill: #9198a1 }
    .bar { fill: #656c76 }
    .own { fill: #2fbf8a }
    .floor { fill: #3d444d }
  }
"""


class Panel(NamedTuple):
    title: str
    part: str
    column: str
    logarithmic: bool = False  # where the largest would leave nothing of the others


PANELS = (
    Panel("Drain, jobs/s", "drain", "drained"),
    Panel("Flows of 1 + 20, flows/s", "flows", "flows"),
    Panel("Adding in bulk, jobs/s", "enqueue", "many"),
    Panel("Adding one by one, jobs/s", "enqueue", "one"),
    Panel("One flow of 5,000, seconds until done (less is better)", "wide", "done"),
    Panel("Latency, median in ms (less is better; logarithmic)", "latency", "p50", logarithmic=True),
)


def draw(runs: Runs) -> str:
    panels = [(panel, bars) for panel in PANELS if (bars := _bars(panel, runs))]
    height = _PAD
    drawn: list[str] = []
    for first in range(0, len(panels), _COLUMNS):
        row = panels[first : first + _COLUMNS]
        for place, (panel, bars) in enumerate(row):
            drawn += _panel(panel, bars, _PAD + place * (_panel_width() + _GAP), height)
        height += _TITLE + _STEP * max(len(bars) for _, bars in row) + _GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img">'
    page = f'<rect class="page" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="6"/>'
    title = "<title>conveyor-django beside other job queues</title>"
    return "\n".join([head, title, f"<style>{_STYLE}</style>", page, *drawn, "</svg>"]) + "\n"


def _bars(panel: Panel, runs: Runs) -> list[tuple[str, float]]:
    """The best first. What a part has besides the peers is left out."""
    part = PARTS[panel.part]
    table = tabulate(part, runs.get(panel.part, {}))
    found = [
        (label, cells[panel.column].median)
        for label, cells in table.items()
        if label in PEERS and panel.column in cells
    ]
    better = next(column.higher_is_better for column in part.columns if column.key == panel.column)
    return sorted(found, key=lambda bar: bar[1], reverse=better)


def _panel_width() -> int:
    return (_WIDTH - 2 * _PAD - (_COLUMNS - 1) * _GAP) // _COLUMNS


def _panel(panel: Panel, bars: list[tuple[str, float]], left: int, top: int) -> Iterator[str]:
    yield f'<text class="title" x="{left}" y="{top + 14}">{escape(panel.title)}</text>'
    room = _panel_width() - _LABEL - _VALUE
    scale = _scale(panel, [value for _, value in bars])
    for place, (label, value) in enumerate(bars):
        y = top + _TITLE + place * _STEP
        width = max(1.0, room * scale(value))
        kind = {"conveyor": "own", "floor": "floor"}.get(label, "bar")
        quiet = "" if kind == "own" else ' class="quiet"'
        yield f'<text{quiet} x="{left + _LABEL - 8}" y="{y + 11}" text-anchor="end">{escape(_name(label))}</text>'
        yield f'<rect class="{kind}" x="{left + _LABEL}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>'
        yield f'<text{quiet} x="{left + _LABEL + width + 6:.1f}" y="{y + 11}">{short(value)}</text>'


def _scale(panel: Panel, values: list[float]) -> Callable[[float], float]:
    """From a value to its share of the room."""
    most = max(values) or 1.0
    if not panel.logarithmic:
        return lambda value: value / most
    least = max(min(values), most / 1e5) / 2
    return lambda value: log(max(value, least) / least) / log(most / least)


def _name(peer: str) -> str:
    return "floor" if peer == "floor" else PEERS[peer].title
