"""How many jobs are in each state under the list's filters: a look of fixed length, kept for some seconds."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from django.core.cache import cache
from django.db.models import Count, Q, QuerySet

from conveyor_django.models import Job
from conveyor_django.states import UNFINISHED, JobState

from .display import grouped

LOOK = 10_000  # newest jobs that are counted, and jobs in each state that has an index
KEPT = 5  # seconds
_INDEXED = sorted({*UNFINISHED, JobState.FAILED})


class Number(NamedTuple):
    value: int
    more: bool  # there may be

    def __str__(self) -> str:
        if self.more:
            return f"{grouped(self.value)}+" if self.value else ""
        return grouped(self.value)


def count_states(using: str, within: Q, where: Q, key: object, *, is_flow: bool) -> dict[str, Number]:
    """Of the jobs `within` (what an index finds) those `where`, by state; under "" all of them."""
    name = f"conveyor_django.counts.{sha256(repr((using, key)).encode()).hexdigest()}"
    found: dict[str, Number] | None = cache.get(name)
    if found is None:
        found = _count(Job.objects.using(using).filter(within), where, is_flow=is_flow)
        cache.set(name, found, KEPT)
    return found


def _count(jobs: QuerySet[Any], where: Q, *, is_flow: bool) -> dict[str, Number]:
    looked_at = (jobs if is_flow else jobs.order_by("-pk"))[:LOOK]
    columns = {f"in_{number}": Count("pk", filter=Q(state=state) & where) for number, state in enumerate(JobState)}
    row = looked_at.aggregate(looked_at=Count("pk"), **columns)
    more = row["looked_at"] >= LOOK
    counts = {state.value: Number(row[f"in_{number}"], more) for number, state in enumerate(JobState)}
    for state in _INDEXED:  # always, so that a page takes as many statements for any number of jobs
        indexed = _count_by_index(jobs, state, where)
        counts[state] = max(counts[state], indexed) if indexed.more else indexed
    return counts | {"": _total(counts)}


def _count_by_index(jobs: QuerySet[Any], state: str, where: Q) -> Number:
    """These states have indexes that hold nothing else."""
    row = jobs.filter(state=state).order_by()[:LOOK].aggregate(rows=Count("pk"), found=Count("pk", filter=where))
    return Number(row["found"], row["rows"] >= LOOK)


def _total(counts: Mapping[str, Number]) -> Number:
    value = sum(number.value for number in counts.values())
    more = any(number.more for number in counts.values())
    return Number(min(value, LOOK), more or value > LOOK)
