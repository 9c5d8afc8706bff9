"""The processors, which do nothing."""

import asyncio
from typing import Any

from benchmarks.marks import mark
from conveyor_django import processor

NAP = 0.01  # seconds


@processor("bench", "job")
def job(job: Any) -> dict[str, int]:
    number = job.data["number"]
    mark(number)
    return {"number": number}


@processor("bench", "parent")
def parent(job: Any) -> None:
    mark(job.data["number"], len(job.get_children_values()))


@processor("naps", "nap")
async def nap(job: Any) -> None:
    await asyncio.sleep(NAP)
    mark(job.data["number"])
