"""Jobs that do nothing, added before the workers start: from the first handler's call until all are on record."""

import time

from benchmarks.arena import Arena

from .base import Column, Figures, Part

JOBS = 10_000


class Drain(Part):
    title = "Drain of jobs that do nothing"
    columns = (Column("drained", "jobs/s"),)

    def measure(self, arena: Arena) -> Figures:
        count = min(arena.size(JOBS, least=50), arena.peer.most)
        fill(arena, count)
        arena.start_workers()
        return {"drained": rate(arena, count)}


def fill(arena: Arena, count: int) -> None:
    if arena.peer.bulk:
        arena.peer.add_many(count)
    else:
        arena.peer.time_adding(count)


def rate(arena: Arena, count: int) -> float:
    """Jobs a second, once `count` were handled and are finished in the store too."""
    arena.wait(lambda: arena.marks.count() >= count, 120, lambda: f"{arena.marks.count()} of {count} handled")
    on_record = _on_record(arena)
    marks = arena.marks.read()  # afterwards: it takes a while
    return count / (((on_record or marks[-1].time) - marks[0].time) / 1e9)


def _on_record(arena: Arena) -> int:
    """When the store was asked that had nothing left to do; 0 if that was so with the last handler's call."""
    asked = 0

    def nothing_left() -> bool:
        nonlocal asked
        asked = time.monotonic_ns()
        return not arena.peer.unfinished()

    if nothing_left():
        return 0
    arena.wait(nothing_left, 60, lambda: f"{arena.peer.unfinished()} not on record")
    return asked
