"""Trees as lines of text: box characters, states in words and colours, short enough for the terminal."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from conveyor_django import JobState
from example_project.shop.live.nodes import Node, Tree
from example_project.shop.live.words import bar, clean, duration

Span = tuple[str, str]  # style, text
Line = list[Span]

NAME, STATE, TIME = 34, 18, 8  # the columns' widths


@dataclass(frozen=True)
class Glyphs:
    branch: str
    last: str
    stem: str
    full: str
    empty: str
    icons: dict[str, str]


FINE = Glyphs(
    *("├─ ", "└─ ", "│  ", "█", "░"),
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
PLAIN = Glyphs("|- ", "`- ", "|  ", "#", ".", {})


def draw(trees: Sequence[Tree], glyphs: Glyphs, now: datetime, room: int | None = None) -> list[Line]:
    """All trees in at most `room` lines: finished ones are folded first, then siblings of one name."""
    lines: list[Line] = []
    for folding in ("nothing", "finished", "siblings", "all"):
        lines = [line for tree in trees for line in _tree(tree, glyphs, now, folding)]
        if room is None or len(lines) <= room:
            return lines
    return lines[:room]


def _tree(tree: Tree, glyphs: Glyphs, now: datetime, folding: str) -> Iterator[Line]:
    nodes = list(tree.nodes())
    done = sum(node.is_finished for node in nodes)
    yield [("title", clean(tree.title)), ("quiet", f"  {done} of {len(nodes)} finished")]
    yield from _node(
        tree.root, "", "", glyphs, now, "all" if folding != "nothing" and tree.is_finished else folding
    )
    if folding == "nothing":
        yield []


def _node(node: Node, prefix: str, below: str, glyphs: Glyphs, now: datetime, folding: str) -> Iterator[Line]:
    yield _line(node, prefix, glyphs, now)
    groups = [] if folding == "all" else _groups(node, together=folding == "siblings")
    for group in groups:
        is_last = group is groups[-1]
        branch = below + (glyphs.last if is_last else glyphs.branch)
        if len(group) > 1:
            yield _group_line(group, branch, glyphs)
        else:
            yield from _node(
                group[0], branch, below + ("   " if is_last else glyphs.stem), glyphs, now, folding
            )


def _groups(node: Node, *, together: bool) -> list[list[Node]]:
    """The children one by one, or the childless ones of one name together."""
    groups: dict[str, list[Node]] = {}
    for child in node.children:
        groups.setdefault(child.name if together and not child.children else child.id, []).append(child)
    return list(groups.values())


def _line(node: Node, prefix: str, glyphs: Glyphs, now: datetime) -> Line:
    label = f" {clean(node.label)}" if node.label else ""
    gap = " " * (NAME - len(prefix + clean(node.name) + label))
    ran = node.ran(now)
    line = [("quiet", prefix), ("", clean(node.name)), ("quiet", label + gap), _state(node.state, glyphs)]
    line.append(("quiet", f"{'' if ran is None else duration(ran):>{TIME}}  "))
    progress = bar(node.job.progress, glyphs.full, glyphs.empty) if node.job else ""
    if node.state == JobState.ACTIVE and progress:
        line.append((node.state, f"{progress}  "))
    return [*line, (node.state if node.state == JobState.FAILED else "quiet", clean(node.remark()))]


def _group_line(group: list[Node], prefix: str, glyphs: Glyphs) -> Line:
    name = f"{clean(group[0].name)} × {len(group)}"
    line = [("quiet", prefix), ("", f"{name:{NAME - len(prefix)}}")]
    for state, count in Counter(node.state for node in group).items():
        line.append((state, f"{glyphs.icons.get(state, ''):1} {count} {state}  "))
    return line


def _state(state: str, glyphs: Glyphs) -> Span:
    icon = f"{glyphs.icons[state]} " if glyphs.icons else ""
    return state, f"{icon + state:{STATE}}"
