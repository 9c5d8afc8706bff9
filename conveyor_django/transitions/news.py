"""What is told after the commit: signals to receivers, wake-ups to workers. Neither can change or fail a job."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.dispatch import Signal

from conveyor_django.engines import Engine
from conveyor_django.models import Job, NewJob
from conveyor_django.outcomes import Report


class News:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._signals: dict[tuple[int, str], tuple[Signal, list[str]]] = {}
        self._queues: set[str] = set()

    def tell(self, signal: Signal, jobs: Iterable[Job | NewJob | Report]) -> None:
        if not signal.receivers:
            return
        by_queue: dict[str, list[str]] = defaultdict(list)
        for job in jobs:
            by_queue[job.queue_name].append(str(job.pk))
        for queue_name, ids in by_queue.items():
            self._signals.setdefault((id(signal), queue_name), (signal, []))[1].extend(ids)

    def wake(self, queue_name: str) -> None:
        """A job of this queue became waiting, or will."""
        self._queues.add(queue_name)

    def send_after_commit(self) -> None:
        if self._signals or self._queues:
            transaction.on_commit(self._send, using=self._engine.using, robust=True)

    def _send(self) -> None:
        self._engine.notify(sorted(self._queues))
        for (_, queue_name), (signal, ids) in self._signals.items():
            keywords: dict[str, Any] = {"job_ids": ids, "queue_name": queue_name, "using": self._engine.using}
            signal.send_robust(sender=Job, **keywords)
