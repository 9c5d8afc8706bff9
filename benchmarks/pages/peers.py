"""All peers beside each other."""

from collections.abc import Callable
from textwrap import fill
from typing import NamedTuple

from benchmarks.figures import Cell, Table, short, tabulate
from benchmarks.parts import PARTS
from benchmarks.peers import PEERS

from . import markdown
from .markdown import Parts
from .setting import in_a_line


class Shown(NamedTuple):
    part: str
    key: str  # of the part's column
    heading: str
    more_is_better: bool = True


COLUMNS = (
    Shown("enqueue", "one", "add, one by one /s"),
    Shown("enqueue", "many", "in bulk /s"),
    Shown("drain", "drained", "drain /s"),
    Shown("flows", "flows", "flows 1+20 /s"),
    Shown("wide", "add", "flow of 5,000: added s", more_is_better=False),
    Shown("wide", "done", "done s", more_is_better=False),
    Shown("latency", "p50", "latency p50 ms", more_is_better=False),
    Shown("latency", "p95", "p95 ms", more_is_better=False),
    Shown("latency", "p99", "p99 ms", more_is_better=False),
    Shown("idle", "cpu", "idle CPU s/min", more_is_better=False),
    Shown("idle", "transactions", "idle transactions/s", more_is_better=False),
)
Show = Callable[[Cell, Shown], str]


def peers(parts: Parts) -> str:
    return _all_peers(parts, lambda cell, _: short(cell.median))


def spreads(parts: Parts) -> str:
    return _all_peers(parts, lambda cell, _: f"{short(cell.low)} to {short(cell.high)}")


def against(parts: Parts) -> str:
    """How many times as good the project is, by each column: above 1 it is better."""
    tables = _tables(parts)

    def times(cell: Cell, column: Shown) -> str:
        own = tables[column.part].get("conveyor", {}).get(column.key)
        if own is None or not cell.median or not own.median:
            return "-"
        ratio = own.median / cell.median
        return short(ratio if column.more_is_better else 1 / ratio)

    return _all_peers(parts, times, without=("conveyor",))


def readme(parts: Parts) -> str:
    """The chart, few columns, and what they were measured with."""
    few = {name: part for name, part in parts.items() if name in ("drain", "flows", "latency")}
    if len(few) < 3:
        return ""
    chart = "![Bars: drain, flows, adding and latency beside other queues](docs/images/performance.svg)"
    table = _all_peers(few, lambda cell, _: short(cell.median), without=("p99",))
    return f"{chart}\n\n{table}\n\n{fill(in_a_line(few['drain']), 120)}"


def _all_peers(parts: Parts, show: Show, without: tuple[str, ...] = ()) -> str:
    """`without`: peers and columns that are left out."""
    tables = _tables(parts)
    columns = [column for column in COLUMNS if column.part in tables and column.key not in without]
    rows = []
    for label in _by_drain(tables):
        if label in PEERS and label not in without:  # not what a part has besides
            cells = [tables[column.part].get(label, {}).get(column.key) for column in columns]
            shown = [show(cell, column) if cell else "-" for cell, column in zip(cells, columns, strict=True)]
            rows.append([_title(label, parts), *shown])
    return markdown.table(["", *(column.heading for column in columns)], rows) if columns else ""


def _tables(parts: Parts) -> dict[str, Table]:
    names = {column.part for column in COLUMNS}
    return {name: tabulate(PARTS[name], part["runs"]) for name, part in parts.items() if name in names}


def _by_drain(tables: dict[str, Table]) -> list[str]:
    """The floor, and then the fastest first."""
    drained = tables.get("drain", {})
    labels = dict.fromkeys(label for table in tables.values() for label in table)

    def place(label: str) -> tuple[bool, float]:
        cell = drained.get(label, {}).get("drained")
        return label != "floor", -(cell.median if cell else 0.0)

    return sorted(labels, key=place)


def _title(peer: str, parts: Parts) -> str:
    """With version and store, in bold if it is this project's."""
    entry = PEERS[peer]
    if peer == "floor":
        return entry.title
    versions: dict[str, str] = next(iter(parts.values()))["measured"]["versions"]
    stores = {"postgres": "PostgreSQL", "mysql": "MariaDB", "sqlite": "SQLite", "redis": "Redis"}
    if peer == "conveyor":
        return f"**{entry.title}** ({stores[entry.stores[0]]})"
    return f"{entry.title} {versions.get(entry.package, '')} ({stores[entry.stores[0]]})"
