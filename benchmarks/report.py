"""Tables of a run, for a terminal."""

from typing import Any

from .figures import Cell, Table, short, tabulate
from .parts import PARTS
from .parts.base import Part
from .run import Runs


def in_text(runs: Runs) -> str:
    return "\n\n".join(_text(PARTS[name], found) for name, found in runs.items())


def _text(part: Part, runs: dict[str, list[dict[str, Any]]]) -> str:
    if not part.columns:
        return "\n".join([part.title, *(f"  {line}" for line in part.described(runs))])
    table = tabulate(part, runs)
    rows = [[""] + [column.heading for column in part.columns], *_rows(part, table)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    ratios = f", and times {part.against}" if part.against in runs else ""
    return "\n".join([f"{part.title} (medians, lowest to highest{ratios})", *(f"  {line}" for line in lines)])


def _rows(part: Part, table: Table) -> list[list[str]]:
    return [
        [label, *(_shown(columns[column.key]) if column.key in columns else "-" for column in part.columns)]
        for label, columns in table.items()
        if columns or part.against  # else it has figures that are no column
    ]


def _shown(cell: Cell) -> str:
    ratio = f"  {cell.ratio:.2f} x" if cell.ratio is not None else ""
    return f"{short(cell.median)}  ({short(cell.low)} to {short(cell.high)}){ratio}"
