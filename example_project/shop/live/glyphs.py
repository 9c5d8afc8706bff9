"""The characters that trees are drawn with: fine ones, and plain ones where the terminal lacks those."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Glyphs:
    branch: str
    last: str
    stem: str
    full: str
    empty: str
    times: str
    icons: dict[str, str]


FINE = Glyphs(
    *("├─ ", "└─ ", "│  ", "█", "░", "×"),
    {
        "waiting": "○",
        "waiting-children": "◌",
        "delayed": "◷",
        "active": "►",
        "completed": "✓",
        "failed": "✗",
        "cancelled": "⊘",
        "removed": "−",
    },
)
PLAIN = Glyphs("|- ", "`- ", "|  ", "#", ".", "x", {})


def glyphs_for(encoding: str) -> Glyphs:
    used = "".join([FINE.branch, FINE.last, FINE.full, FINE.empty, FINE.times, *FINE.icons.values()])
    return FINE if used.encode(encoding, "ignore").decode(encoding) == used else PLAIN
