"""Shows trees of jobs while a worker processes them."""

import time
from collections.abc import Callable, Sequence

from django.utils import timezone

from example_project.shop.live.lines import Line, draw
from example_project.shop.live.nodes import Node, Tree, read
from example_project.shop.live.process import WorkerProcess
from example_project.shop.live.terminal import Terminal, cut
from example_project.shop.live.words import clean, duration

FRAME = 0.1  # seconds


def watch(trees: Sequence[Tree], terminal: Terminal, worker: WorkerProcess) -> None:
    """Until all jobs are finished or the worker has ended."""
    read(trees)
    show = _frames(trees, terminal) if terminal.is_live else _changes(trees, terminal)
    if terminal.is_live:
        terminal.cursor(visible=False)
    try:
        goes_on = True
        while goes_on:
            goes_on = worker.is_running  # asked before reading, so that the last frame shows the end
            read(trees)
            show()
            goes_on = goes_on and not all(tree.is_finished for tree in trees)
            time.sleep(FRAME if goes_on else 0)
    finally:
        if terminal.is_live:
            terminal.erase()
            terminal.cursor(visible=True)


def print_trees(trees: Sequence[Tree], terminal: Terminal) -> None:
    lines = draw(trees, terminal.glyphs, timezone.now())
    terminal.write(*(cut(line, terminal.size.columns) if terminal.is_live else line for line in lines))


def _frames(trees: Sequence[Tree], terminal: Terminal) -> Callable[[], None]:
    """For a terminal: the trees are drawn over and over."""
    return lambda: terminal.redraw(draw(trees, terminal.glyphs, timezone.now(), terminal.size.lines - 1))


def _changes(trees: Sequence[Tree], terminal: Terminal) -> Callable[[], None]:
    """For a file or a pipe: a line for each change of a state."""
    began, last = time.monotonic(), {node: node.state for tree in trees for node in tree.nodes()}

    def show() -> None:
        after = duration(time.monotonic() - began)
        for tree in trees:
            for node in tree.nodes():
                if node.state != last[node]:
                    terminal.write(_change(after, tree, node, last[node]))
                    last[node] = node.state

    return show


def _change(after: str, tree: Tree, node: Node, before: str) -> Line:
    name = f"{node.name} {node.label}".strip()
    remark = f" ({clean(node.remark())})" if node.remark() else ""
    return [
        ("quiet", f"{after:>7}  {clean(tree.title)}: "),
        ("", f"{clean(name)} "),
        ("quiet", f"{before} > "),
        (node.state, node.state),
        ("quiet", remark),
    ]
