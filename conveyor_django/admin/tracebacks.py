"""A traceback for reading: the site's own frames shown, those of libraries folded."""

from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import conveyor_django

_FRAME = '  File "'
_LIBRARIES = ("/site-packages/", "/dist-packages/", "/lib/python3", "<frozen ")
_OWN_PACKAGE = Path(conveyor_django.__file__).parent.as_posix() + "/"


class Part(NamedTuple):
    kind: str  # "own", "library" or "error": what was raised
    text: str
    frames: int


def parts_of(traceback: str) -> list[Part]:
    """Its text in order; all of it is the site's own where no frame would be left to see."""
    blocks = _blocks(traceback.rstrip("\n").split("\n"))
    if all(kind != "own" for kind, lines in blocks if lines[0].startswith(_FRAME)):
        blocks = [("own" if kind == "library" else kind, lines) for kind, lines in blocks]
    parts = []
    for kind, group in groupby(blocks, key=lambda block: block[0]):
        same = [lines for _, lines in group]
        frames = sum(lines[0].startswith(_FRAME) for lines in same)
        parts.append(Part(kind, "\n".join(line for lines in same for line in lines), frames))
    return parts


def _blocks(lines: list[str]) -> list[tuple[str, list[str]]]:
    """Frames with their lines of source, and what stands between and after them."""
    blocks: list[tuple[str, list[str]]] = []
    last_frame = max((number for number, line in enumerate(lines) if line.startswith(_FRAME)), default=-1)
    for number, line in enumerate(lines):
        if line.startswith(_FRAME):
            blocks.append(("library" if _is_library(line) else "own", [line]))
        elif line.startswith("    ") and blocks and blocks[-1][1][0].startswith(_FRAME):
            blocks[-1][1].append(line)
        else:
            blocks.append(("error" if number > last_frame and blocks else "own", [line]))
    return blocks


def _is_library(line: str) -> bool:
    path = line.replace("\\", "/")
    return _OWN_PACKAGE in path or any(mark in path for mark in _LIBRARIES)
