"""A job at a time for idle workers: from the end of the call that added it to its handler's call."""

from benchmarks import postgres
from benchmarks.arena import Arena

from .base import Choice, Column, Entrant, Figures, Part

JOBS, PAUSE = 200, 0.05


class Latency(Part):
    title = "Latency with idle workers"
    columns = tuple(Column(f"p{n}", f"p{n} ms", higher_is_better=False) for n in (50, 95, 99))

    def entrants(self, choice: Choice) -> list[Entrant]:
        entrants = super().entrants(choice)
        if choice.store == "postgres" and "conveyor" in choice.peers:
            entrants.append(Entrant("conveyor, polling only", "conveyor", "postgres", {"mute": True}))
        return entrants

    def before(self, arena: Arena) -> None:
        if arena.options.get("mute"):
            postgres.mute()

    def measure(self, arena: Arena) -> Figures:
        arena.start_and_settle()
        count = arena.size(JOBS, least=20)
        sent = arena.peer.send(count, PAUSE)
        waits = sorted((mark.time - sent[mark.number]) / 1e6 for mark in arena.wait_for_marks(count))
        return {f"p{n}": max(0.0, waits[min(count - 1, count * n // 100)]) for n in (50, 95, 99)}
