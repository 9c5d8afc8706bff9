"""Parents that run after their children and read their values, while workers run."""

from statistics import median

from benchmarks.arena import Arena, TooSlow
from benchmarks.marks import Mark

from .base import Column, Figures, Part

FLOWS, CHILDREN = 100, 20
WIDE = 5_000


class _Flows(Part):
    def measure(self, arena: Arena) -> Figures:
        if not arena.peer.flows:
            return {}
        arena.start_and_settle()
        run_flows(arena, 1, 2)
        return self._measure(arena)

    def _measure(self, arena: Arena) -> Figures:
        raise NotImplementedError


class Flows(_Flows):
    title = f"Flows of 1 parent and {CHILDREN} children"
    columns = (Column("flows", "flows/s"), Column("add_ms", "one add, ms", higher_is_better=False))

    def _measure(self, arena: Arena) -> Figures:
        count = arena.size(FLOWS)
        took, adds = run_flows(arena, count, CHILDREN)
        return {"flows": count / took, "add_ms": median(adds) * 1e3}


class Wide(_Flows):
    title = f"One flow of {WIDE:,} children"
    columns = (Column("add", "added, s", higher_is_better=False), Column("done", "done, s", higher_is_better=False))

    def _measure(self, arena: Arena) -> Figures:
        children = WIDE if arena.scale >= 0.1 else arena.size(WIDE)  # as the title says, unless it's a trial
        took, adds = run_flows(arena, 1, children)
        return {"add": adds[0], "done": took}


def run_flows(arena: Arena, count: int, children: int) -> tuple[float, list[float]]:
    """Seconds from the first add to the last parent's call, and those that each add took."""
    arena.marks.forget()
    began, adds = arena.peer.time_flows(count, children)
    marks = arena.wait_for_marks(count * (children + 1))
    return (_parents(marks, count, children)[-1].time - began) / 1e9, adds


def _parents(marks: list[Mark], count: int, children: int) -> list[Mark]:
    parents = [mark for mark in marks if mark.values >= 0]
    if len(parents) != count or any(parent.values != children for parent in parents):
        raise TooSlow(f"{len(parents)} of {count} parents ran; values read: {sorted({p.values for p in parents})}")
    return parents
