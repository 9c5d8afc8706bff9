"""This project, on the database that was chosen. Processors are in `benchmarks/site/jobs.py`."""

import os
import sys

from .base import Peer, chosen_store
from .django_site import migrate, set_up

set_up("conveyor_django,benchmarks.site")

from conveyor_django import FlowJob, FlowProducer, Queue  # noqa: E402 - Django has to be set up
from conveyor_django.models import Job  # noqa: E402

FINISHED = ("completed", "failed", "cancelled")


class Conveyor(Peer):
    bulk = flows = True

    def prepare(self) -> None:
        migrate()

    def workers(self) -> list[list[str]]:
        processes = 1 if chosen_store() == "sqlite" else 2  # one writer at a time
        flags = os.environ.get("BENCH_WORKER_FLAGS", f"bench --processes {processes} --concurrency 8")
        return [[sys.executable, "-m", "django", "runworker", *flags.split()]]

    def add(self, number: int) -> None:
        Queue("bench").add("job", {"number": number})

    def add_many(self, count: int) -> None:
        self.add_all("bench", "job", count)

    def add_all(self, queue: str, name: str, count: int) -> None:
        Queue(queue).add_bulk((name, {"number": number}) for number in range(count))

    def add_flow(self, number: int, children: int) -> None:
        leaves = [FlowJob("job", "bench", {"number": n}) for n in range(children)]
        FlowProducer().add(FlowJob("parent", "bench", {"number": number}, children=leaves))

    def unfinished(self) -> int:
        return Job.objects.exclude(state__in=FINISHED).count()


PEER = Conveyor
