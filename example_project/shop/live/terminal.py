"""A terminal, or whatever stands in its place: colours, and lines that are drawn over."""

import os
import shutil
from collections.abc import Iterable, Sequence

from django.core.management.base import OutputWrapper

from example_project.shop.live.glyphs import glyphs_for
from example_project.shop.live.lines import Line

COLOURS = {
    "title": "1",
    "quiet": "2",
    "waiting": "36",
    "waiting-children": "35",
    "delayed": "33",
    "active": "94",
    "completed": "32",
    "failed": "31",
    "cancelled": "2",
    "removed": "33",
}


class Terminal:
    def __init__(self, out: OutputWrapper, *, no_color: bool = False, force_color: bool = False) -> None:
        self.out = out
        self.is_live = bool(out.isatty()) and os.environ.get("TERM", "dumb") != "dumb"
        # https://no-color.org: any value but the empty one
        self.has_colours = force_color or (self.is_live and not no_color and not os.environ.get("NO_COLOR"))
        self.encoding = getattr(out, "encoding", None) or "utf-8"
        self.glyphs = glyphs_for(self.encoding)
        self._drawn = 0  # lines that the next frame goes over

    @property
    def size(self) -> os.terminal_size:
        return shutil.get_terminal_size()

    def write(self, *lines: Line) -> None:
        """Lines that stay."""
        self._send("".join(f"{self._paint(line)}\n" for line in lines))

    def redraw(self, lines: Sequence[Line]) -> None:
        """Show these in place of the last frame; no line may be wider than the terminal, as it would wrap."""
        fitting = (self._paint(cut(line, self.size.columns - 1)) for line in lines)
        self._send(self._home() + "".join(f"{line}\x1b[K\n" for line in fitting) + "\x1b[J")
        self._drawn = len(lines)

    def erase(self) -> None:
        """Take the last frame away."""
        # line by line: some terminals keep what a clearing of the whole screen takes away
        self._send(self._home() + "\x1b[K\n" * self._drawn + "\x1b[K" + self._home())
        self._drawn = 0

    def cursor(self, *, visible: bool) -> None:
        self._send("\x1b[?25h" if visible else "\x1b[?25l")

    def _home(self) -> str:
        return f"\r\x1b[{self._drawn}A" if self._drawn else "\r"

    def _paint(self, line: Iterable[tuple[str, str]]) -> str:
        return "".join(self._colour(style, text) for style, text in line).rstrip()

    def _colour(self, style: str, text: str) -> str:
        return f"\x1b[{COLOURS[style]}m{text}\x1b[0m" if self.has_colours and style in COLOURS and text else text

    def _send(self, text: str) -> None:
        self.out.write(text.encode(self.encoding, "replace").decode(self.encoding), ending="")
        self.out.flush()


def cut(line: Line, width: int) -> Line:
    """The first `width` characters of the line."""
    short = []
    for style, text in line:
        short.append((style, text[: max(width, 0)]))
        width -= len(text)
    return short
