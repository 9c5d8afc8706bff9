"""What is said twice, at a wrong time, or by many at once."""

from contextlib import suppress
from dataclasses import replace
from functools import partial

from conveyor_django import Queue
from conveyor_django.exceptions import ConveyorError
from conveyor_django.models import Job
from conveyor_django.transitions.queues import prune
from tests.chaos import evidence
from tests.chaos.flows import QUEUES, STEERED_QUEUES
from tests.chaos.world import robustly

from .base import Fault

_DAY = 24 * 60 * 60


class Twice(Fault):
    name = "twice"

    def prepare(self) -> None:
        self.scene.changes.append(lambda ways: replace(ways, twice=True))

    def heal(self) -> None:
        self.dose = sum(fact["what"] == "sent twice" for fact in evidence.recorded())


class Clock(Fault):
    name = "clock"

    def prepare(self) -> None:
        zone = {
            "postgres": {"options": "-c TimeZone=Asia/Karachi"},
            "mysql": {"init_command": "SET time_zone='+05:00'"},
        }
        options = {"OPTIONS": zone[self.scene.options.database]}
        self.scene.changes.append(
            lambda ways: replace(ways, clock=self.random.choice((-_DAY, _DAY)), database={**ways.database, **options})
        )

    def heal(self) -> None:
        self.dose = sum(fact["what"] == "clock" for fact in evidence.recorded())


class Admin(Fault):
    name = "admin"
    every = (0.1, 0.1)

    def strike(self) -> None:
        try:
            robustly(self.random.choice((self._to_job, self._to_job, self._to_job, self._to_queue)))
        except (ConveyorError, Job.DoesNotExist):
            return  # refused, as it should be
        self.dose += 1

    def _to_job(self) -> None:
        ids = self.scene.producer.steered[-300:]
        jobs = list(Job.objects.filter(pk__in=self.random.sample(ids, min(20, len(ids)))).order_by("pk"))
        if not jobs:
            raise Job.DoesNotExist
        job = self.random.choice(jobs)
        if job.is_finished:
            verbs = [job.retry, job.retry, job.remove]
        else:
            verbs = [
                job.cancel,
                partial(job.change_priority, -2),
                job.promote if job.state == "delayed" else job.cancel,
            ]
        self.random.choice(verbs)()

    def _to_queue(self) -> None:
        if self.random.random() < 0.5:
            queue = Queue(self.random.choice(QUEUES))
            self.random.choice((queue.pause, queue.resume, queue.resume))()
            return
        queue = Queue(self.random.choice(STEERED_QUEUES))
        states = ("completed", "failed", "cancelled", "waiting")
        clean = partial(queue.clean, self.random.choice(states))
        verbs = (queue.retry_jobs, queue.promote_jobs, queue.drain, clean, partial(prune, "default", 0))
        self.random.choice(verbs)()

    def heal(self) -> None:
        for name in QUEUES:
            with suppress(ConveyorError):
                robustly(Queue(name).resume)
