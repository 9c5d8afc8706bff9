"""Adding jobs while no worker runs."""

from benchmarks.arena import Arena

from .base import Column, Figures, Part

JOBS = 5_000


class Adding(Part):
    title = "Adding jobs, one by one and in bulk"
    columns = (Column("one", "one by one/s"), Column("many", "in bulk/s"))

    def measure(self, arena: Arena) -> Figures:
        count = arena.size(JOBS)
        arena.peer.time_adding(20)  # connections, prepared statements
        figures = {"one": count / arena.peer.time_adding(count)}
        if arena.peer.bulk:
            figures["many"] = count / arena.peer.time_adding_many(count)
        return figures
