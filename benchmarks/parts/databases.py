"""The same on each database, and the peers that can use SQLite beside it."""

from benchmarks.arena import Arena

from .adding import Adding
from .base import Choice, Column, Entrant, Figures, Part
from .drain import rate
from .flows import CHILDREN, run_flows

JOBS, FLOWS = 5_000, 100
ON_SQLITE = ("huey", "django-tasks-db")


class Databases(Part):
    title = "Databases beside each other"
    columns = (*Adding.columns, Column("drained", "drain/s"), Column("flows", f"flows 1+{CHILDREN}/s"))
    against = "conveyor on PostgreSQL"

    def entrants(self, choice: Choice) -> list[Entrant]:
        names = {"postgres": "PostgreSQL", "mysql": "MariaDB", "sqlite": "SQLite"}
        own = [Entrant(f"conveyor on {name}", "conveyor", store) for store, name in names.items()]
        return own + [Entrant(f"{peer} on SQLite", peer, "sqlite") for peer in ON_SQLITE if peer in choice.peers]

    def measure(self, arena: Arena) -> Figures:
        count = min(arena.size(JOBS), arena.peer.most)
        figures = {"one": count / arena.peer.time_adding(count)}
        left = 0
        if arena.peer.bulk:
            figures["many"] = count / arena.peer.time_adding_many(count)
            left = count
        arena.start_workers()
        figures["drained"] = rate(arena, count + left)
        if arena.peer.flows:
            flows = arena.size(FLOWS)
            figures["flows"] = flows / run_flows(arena, flows, CHILDREN)[0]
        return figures
