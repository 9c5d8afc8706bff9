"""Adds flow after flow, a small backlog at a time, and remembers what was planned."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from conveyor_django import FlowProducer
from conveyor_django.models import Job

from .flows import Node, Planner
from .world import robustly

_PAUSE = 0.05


class Producer:
    """`backlog` is how many unfinished jobs there may be; `steered` the share of flows that admins interfere with."""

    def __init__(self, planner: Planner, *, backlog: int, steered: float) -> None:
        self.planned: dict[str, Node] = {}  # by the root's name
        self.steered: list[str] = []  # ids of jobs
        self.jobs = 0
        self._over = threading.Event()
        self.planner = planner
        self._backlog = backlog
        self._every = round(1 / steered) if steered else 0

    @contextmanager
    def adding(self, jobs: int | None) -> Iterator[None]:
        """In a thread, until `end()`: about so many jobs."""
        thread = threading.Thread(target=self._run, args=[jobs], name="chaos-producer")
        thread.start()
        try:
            yield
        finally:
            self.end()
            thread.join()

    def end(self) -> None:
        self._over.set()

    def _run(self, jobs: int | None) -> None:
        while not self._over.wait(_PAUSE):
            while self._may_add(jobs):
                self._add()
        connection.close()

    def _may_add(self, jobs: int | None) -> bool:
        if self._over.is_set() or (jobs is not None and self.jobs >= jobs):
            return False
        return robustly(Job.objects.unfinished().count) < self._backlog

    def _add(self) -> None:
        steered = bool(self._every) and len(self.planned) % self._every == self._every - 1
        root = self.planner.flow(steered=steered)
        self.planned[root.name] = root
        result = robustly(lambda: FlowProducer().add(root.as_flow()))
        self.jobs += sum(1 for _ in root.walk())
        if steered:
            todo = [result]
            while todo:
                node = todo.pop()
                self.steered.append(node.job.id)
                todo.extend(node.children)
