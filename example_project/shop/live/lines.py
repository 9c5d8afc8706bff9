"""Trees as lines of text: box characters, states in words and colours, short enough for the terminal."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import Enum, auto

from conveyor_django import JobState
from example_project.shop.live.glyphs import Glyphs
from example_project.shop.live.nodes import Node, Tree
from example_project.shop.live.words import bar, clean, duration

Span = tuple[str, str]  # style, text
Line = list[Span]

NAME, STATE, TIME = 27, 17, 7  # the columns' widths


class Fold(Enum):
    NOTHING = auto()
    BLANK = auto()  # the empty line below
    SIBLINGS = auto()  # of one name into one line
    ALL = auto()  # the tree into one line


def draw(trees: Sequence[Tree], glyphs: Glyphs, now: datetime, room: int | None = None) -> list[Line]:
    """All trees in at most `room` lines: what matters least is folded first."""
    folds = dict.fromkeys(trees, Fold.NOTHING)
    steps = _foldings(trees)
    while True:
        blocks = [_tree(tree, folds[tree], glyphs, now) for tree in trees]
        lines = [line for block in blocks for line in block]
        if room is None or len(lines) <= room:
            return lines
        tree, fold = next(steps, (None, None))
        if tree is None:
            return lines[:room]
        folds[tree] = fold


def _foldings(trees: Sequence[Tree]) -> Iterator[tuple[Tree, Fold]]:
    """One more thing to fold at each step: finished trees, siblings of one name, then whole trees."""
    yield from ((tree, Fold.BLANK) for tree in trees)
    yield from ((tree, Fold.ALL) for tree in trees if tree.is_finished)
    yield from ((tree, fold) for fold in (Fold.SIBLINGS, Fold.ALL) for tree in reversed(trees) if not tree.is_finished)


def _tree(tree: Tree, fold: Fold, glyphs: Glyphs, now: datetime) -> list[Line]:
    nodes = list(tree.nodes())
    title = ("title", clean(tree.title))
    done = ("quiet", f"  {sum(node.is_finished for node in nodes)} of {len(nodes)} finished")
    if fold == Fold.ALL:
        gap = " " * max(NAME - len(title[1]), 1)
        return [[title, ("", gap), _state(tree.root.state, glyphs), done]]
    lines = [[title, done], *_node(tree.root, "", "", glyphs, now, together=fold == Fold.SIBLINGS)]
    return [*lines, []] if fold == Fold.NOTHING else lines


def _node(node: Node, prefix: str, below: str, glyphs: Glyphs, now: datetime, *, together: bool) -> Iterator[Line]:
    yield _line(node, prefix, glyphs, now)
    groups = _groups(node, together=together)
    for group in groups:
        is_last = group is groups[-1]
        branch = below + (glyphs.last if is_last else glyphs.branch)
        if len(group) > 1:
            yield _group_line(group, branch, glyphs)
        else:
            deeper = below + ("   " if is_last else glyphs.stem)
            yield from _node(group[0], branch, deeper, glyphs, now, together=together)


def _groups(node: Node, *, together: bool) -> list[list[Node]]:
    """The children one by one, or the childless ones of one name together."""
    groups: dict[str, list[Node]] = {}
    for child in node.children:
        groups.setdefault(child.name if together and not child.children else child.id, []).append(child)
    return list(groups.values())


def _line(node: Node, prefix: str, glyphs: Glyphs, now: datetime) -> Line:
    label = f" {clean(node.label)}" if node.label else ""
    gap = " " * max(NAME - len(prefix + clean(node.name) + label), 1)
    ran = node.ran(now)
    line = [("quiet", prefix), ("", clean(node.name)), ("quiet", label + gap), _state(node.state, glyphs)]
    line.append(("quiet", f"{'' if ran is None else duration(ran):>{TIME}}  "))
    progress = bar(node.job.progress, glyphs.full, glyphs.empty) if node.job else ""
    if node.state == JobState.ACTIVE and progress:
        line.append((node.state, f"{progress}  "))
    return [*line, (node.state if node.state == JobState.FAILED else "quiet", clean(node.remark()))]


def _group_line(group: list[Node], prefix: str, glyphs: Glyphs) -> Line:
    name = f"{clean(group[0].name)} {glyphs.times} {len(group)}"
    line = [("quiet", prefix), ("", f"{name:{max(NAME - len(prefix), 0)}}")]
    for state, count in Counter(node.state for node in group).items():
        line.append((state, f"{glyphs.icons.get(state, ''):1} {count} {state}  "))
    return line


def _state(state: str, glyphs: Glyphs) -> Span:
    icon = f"{glyphs.icons[state]} " if glyphs.icons else ""
    return state, f"{icon + state:{STATE}}"
