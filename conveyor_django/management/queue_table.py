"""What is to be said of each queue: counts, the longest wait, and who works on it."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, Min
from django.db.models.functions import Coalesce

from conveyor_django import registry
from conveyor_django.engines import get_engine
from conveyor_django.models import Job, QueueState, WorkerProcess
from conveyor_django.states import JobState


@dataclass
class QueueLine:
    name: str
    counts: Counter[str] = field(default_factory=Counter)
    oldest_waiting: float | None = None  # seconds
    paused_for: float | None = None  # seconds
    workers: int = 0  # whose lease runs

    def as_json(self) -> dict[str, Any]:
        return {
            "queue": self.name,
            **{state: self.counts[state] for state in JobState.values},
            "oldest_waiting_seconds": self.oldest_waiting,
            "paused": self.paused_for is not None,
            "workers": self.workers,
        }


def read_queues(using: str, names: Collection[str] = ()) -> list[QueueLine]:
    """These queues, or all that have jobs, a worker, a processor or a pause."""
    now = get_engine(using).now()
    lines = {name: QueueLine(name) for name in names or registry.registered_queues()}

    def line(name: str) -> QueueLine | None:
        return lines.get(name) if names else lines.setdefault(name, QueueLine(name))

    _read_jobs(using, line, now)
    for name, paused_at in QueueState.objects.using(using).values_list("queue_name", "paused_at"):
        if paused_at and (found := line(name)):
            found.paused_for = _since(paused_at, now)
    _read_workers(using, line, lines, now)
    return sorted(lines.values(), key=lambda queue: queue.name)


def _read_jobs(using: str, line: Any, now: datetime) -> None:
    # a job that was delayed, or released as a parent, waits since then
    entered = Min(Coalesce("run_at", "created_at"))
    groups = Job.objects.using(using).order_by().values_list("queue_name", "state")
    for name, state, number, oldest in groups.annotate(number=Count("pk"), oldest=entered):
        if found := line(name):
            found.counts[state] = number
            if state == JobState.WAITING:
                found.oldest_waiting = _since(oldest, now)


def _read_workers(using: str, line: Any, lines: dict[str, QueueLine], now: datetime) -> None:
    living = WorkerProcess.objects.using(using).filter(dead_at=None, expires_at__gt=now)
    served = list(living.values_list("queues", flat=True))
    for names in served:
        for name in names or ():
            line(name)
    for queue in lines.values():
        queue.workers = sum(names is None or queue.name in names for names in served)


def _since(moment: datetime, now: datetime) -> float:
    return round(max(0.0, (now - moment).total_seconds()), 1)
