"""Tables of single parts."""

from collections.abc import Callable
from statistics import median

from benchmarks.figures import Cell, short, tabulate
from benchmarks.parts import PARTS

from . import markdown
from .markdown import Parts


def table_of(name: str) -> Callable[[Parts], str]:
    """A part's own table, with ratios to the entrant that it compares with."""

    def made(parts: Parts) -> str:
        if name not in parts:
            return ""
        part, runs = PARTS[name], parts[name]["runs"]
        rows = [
            [label, *(_with_ratio(cells.get(column.key)) for column in part.columns)]
            for label, cells in tabulate(part, runs).items()
            if cells
        ]
        corner = f"(times {part.against})" if part.against in runs else ""
        return markdown.table([corner, *(column.heading for column in part.columns)], rows)

    return made


def latency(parts: Parts) -> str:
    """This project's; the peers are in the table of all."""
    if "latency" not in parts:
        return ""
    part = PARTS["latency"]
    found = tabulate(part, parts["latency"]["runs"])
    rows = [
        [label, *(short(cells[column.key].median) for column in part.columns)]
        for label, cells in found.items()
        if label.startswith("conveyor") and len(cells) == len(part.columns)
    ]
    return markdown.table(["", *(column.heading for column in part.columns)], rows)


def _with_ratio(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    return short(cell.median) + (f" ({cell.ratio:.2f})" if cell.ratio is not None else "")


def commit(parts: Parts) -> str:
    """With how long a commit waits here."""
    made = table_of("commit")(parts)
    waits = parts["cost"]["runs"]["one commit"] if "cost" in parts else []
    if not made or not waits:
        return made
    wait = median(figures["flush_ms"] for figures in waits)
    return f"{made}\n\nWhen this was measured, a commit waited {short(wait)} ms for the disk."


def profile(parts: Parts) -> str:
    if "profile" not in parts:
        return ""
    figures = parts["profile"]["runs"]["conveyor"][-1]
    areas = [[area, f"{share:.0%}"] for area, share in figures.get("areas", {}).items()]
    statements = [
        [f"`{_brief(s['query'])}`", f"{s['share']:.0%}", f"{s['rows']:.0f}", f"{s['ms']:.2f}"]
        for s in figures.get("statements", [])
        if s["share"] >= 0.02
    ]
    tables = [
        markdown.table(["A worker's interpreter", "share of its time"], areas),
        markdown.table(["The server's statements", "share of its time", "rows", "ms"], statements),
    ]
    return "\n\n".join(tables)


def _brief(query: str) -> str:
    text = query.replace("conveyor_django_", "").replace('"', "").replace("|", "/").replace("`", "").strip()
    return text if len(text) < 90 else f"{text[:86]} ..."
