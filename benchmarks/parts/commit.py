"""What waiting for the disk costs. The product never sets this: it is the site's to choose."""

from benchmarks import postgres
from benchmarks.arena import Arena

from .adding import Adding
from .base import Choice, Column, Entrant, Figures, Part
from .drain import fill, rate

ADDED, DRAINED = 1_000, 10_000


class Commit(Part):
    title = "synchronous_commit, on and off"
    columns = (Adding.columns[0], Column("drained", "drain/s"))
    against = "conveyor, on"

    def entrants(self, choice: Choice) -> list[Entrant]:
        return [
            Entrant(f"{peer}, {value}", peer, "postgres", {"synchronous_commit": value})
            for peer in ("floor", "conveyor")
            for value in ("on", "off")
        ]

    def before(self, arena: Arena) -> None:
        postgres.set_for_all("synchronous_commit", arena.options["synchronous_commit"])

    def measure(self, arena: Arena) -> Figures:
        few, many = arena.size(ADDED), arena.size(DRAINED)
        figures = {"one": few / arena.peer.time_adding(few)}
        fill(arena, many - few)
        arena.start_workers()
        return {**figures, "drained": rate(arena, many)}
