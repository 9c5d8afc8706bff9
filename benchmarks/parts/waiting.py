"""Processors that wait: async ones that sleep, in one process, and asyncio alone doing the same."""

import asyncio
import itertools
import os
from typing import Any

from benchmarks.arena import Arena
from benchmarks.marks import mark

from .base import Choice, Column, Entrant, Figures, Part

JOBS = 20_000
CONCURRENCY = 200
NAP = 0.01  # seconds, as in site/jobs.py


class Waiting(Part):
    title = f"Async jobs that sleep {NAP * 1e3:g} ms, {CONCURRENCY} at a time in one process"
    columns = (Column("napped", "jobs/s"),)
    against = "asyncio alone"

    def entrants(self, choice: Choice) -> list[Entrant]:
        return [
            Entrant("asyncio alone", "floor", "postgres", {"alone": True}),
            Entrant("conveyor", "conveyor", choice.store),
        ]

    def measure(self, arena: Arena) -> Figures:
        count = arena.size(JOBS, least=100)
        if arena.options.get("alone"):
            asyncio.run(_alone(count))
        else:
            peer: Any = arena.peer
            peer.add_all("naps", "nap", count)
            os.environ["BENCH_WORKER_FLAGS"] = f"naps --concurrency {CONCURRENCY}"
            arena.start_workers()
        marks = arena.wait_for_marks(count)
        return {"napped": count / ((marks[-1].time - marks[0].time) / 1e9 + NAP)}


async def _alone(count: int) -> None:
    numbers = iter(range(count))

    async def nap_on() -> None:
        for number in numbers:
            await asyncio.sleep(NAP)
            mark(number)

    await asyncio.gather(*itertools.starmap(nap_on, itertools.repeat((), CONCURRENCY)))
