"""How commands print: tables, colours where the terminal has them, texts that can't do anything to it."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.core.management.base import OutputWrapper
from django.core.management.color import Style
from django.utils.termcolors import make_style

from conveyor_django.states import JobState

Styler = Callable[[str], str]

_STATES: dict[str, Styler] = {
    JobState.ACTIVE: make_style(fg="cyan"),
    JobState.COMPLETED: make_style(fg="green"),
    JobState.FAILED: make_style(fg="red", opts=("bold",)),
    JobState.CANCELLED: make_style(fg="magenta"),
    JobState.DELAYED: make_style(fg="yellow"),
}
_ICONS = {
    JobState.WAITING: "○",
    JobState.WAITING_CHILDREN: "◌",
    JobState.DELAYED: "◷",
    JobState.ACTIVE: "►",
    JobState.COMPLETED: "✓",
    JobState.FAILED: "✗",
    JobState.CANCELLED: "⊘",
}
_LINES = "├└│─"


class Terminal:
    """Where a command prints to: what it can show there, and in colour or not."""

    def __init__(self, stream: OutputWrapper, style: Style, *, force_color: bool = False) -> None:
        self._stream = stream
        self._coloured = style.ERROR("x") != "x" and (force_color or stream.isatty())
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._fine = self._shows("".join([_LINES, *_ICONS.values()]))

    def say(self, line: str = "") -> None:
        self._stream.write(line.encode(self._encoding, "backslashreplace").decode(self._encoding))

    def flush(self) -> None:
        self._stream.flush()

    def say_json(self, value: Any) -> None:
        self._stream.write(json.dumps(value, indent=2))  # ASCII, so control characters are escaped too

    def with_icon(self, state: str) -> str:
        return f"{_ICONS[JobState(state)]} {state}" if self._fine else str(state)

    def in_color_of(self, state: str, text: str) -> str:
        return _STATES.get(state, str)(text) if self._coloured else text

    def quiet(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if self._coloured and text.strip() else text

    def strong(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._coloured and text.strip() else text

    def warning(self, text: str) -> str:
        return self.in_color_of(JobState.DELAYED, text)

    def bad(self, text: str) -> str:
        return self.in_color_of(JobState.FAILED, text)

    def branches(self) -> tuple[str, str, str]:
        """What stands before a child, before the last one, and before what is below a child that isn't the last."""
        return ("├─ ", "└─ ", "│  ") if self._fine else ("|- ", "`- ", "|  ")

    def table(self, heads: Sequence[str], rows: Iterable[Sequence["Cell"]]) -> None:
        """The first column to the left, the others to the right."""
        cells = [list(row) for row in rows]
        widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
        self._row([Cell(head, self.quiet) for head in heads], widths)
        for row in cells:
            self._row(row, widths)

    def _row(self, row: Sequence["Cell"], widths: Sequence[int]) -> None:
        first, *others = (
            cell.style(f"{cell:<{width}}" if index == 0 else f"{cell:>{width}}")
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        self.say("  ".join([first, *others]).rstrip())

    def _shows(self, text: str) -> bool:
        return text.encode(self._encoding, "ignore").decode(self._encoding) == text


class Cell(str):
    """A table's cell; `style` colours it once it has its width."""

    style: Styler

    def __new__(cls, text: object, style: Styler = str) -> "Cell":
        cell = super().__new__(cls, text)
        cell.style = style
        return cell


def count_of(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
