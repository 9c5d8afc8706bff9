"""What happens to worker processes, and what their jobs do to them."""

import signal
import time

from conveyor_django.models import Job, WorkerProcess
from tests.chaos.crew import Member
from tests.chaos.flows import SLOW
from tests.chaos.world import robustly

from .base import Fault


class Kill(Fault):
    name = "kill"
    every = (0.2, 0.2)

    def strike(self) -> None:
        self.dose += self.scene.crew.strike(self.random, signal.SIGKILL) is not None


class Stop(Fault):
    name = "stop"
    every = (0.4, 0.6)

    def prepare(self) -> None:
        self._stopped: list[tuple[float, Member]] = []

    def strike(self) -> None:
        self._wake(time.monotonic())
        if len(self._stopped) >= self.scene.options.workers // 2:
            return
        if member := self.scene.crew.strike(self.random, signal.SIGSTOP, robustly(_amid_long_jobs)):
            until = time.monotonic() + self.random.uniform(1.5, 3) * self.scene.options.lease[1]
            self._stopped.append((until, member))
            self.dose += 1

    def heal(self) -> None:
        self._wake(float("inf"))

    def _wake(self, now: float) -> None:
        for until, member in list(self._stopped):
            if until <= now:
                self._stopped.remove((until, member))
                self.scene.crew.wake(member)


def _amid_long_jobs() -> set[int]:
    """Pids of workers whose jobs outlast a lease: others will run these when they wake up and say what they have."""
    jobs = Job.objects.active().filter(data__naps__gte=SLOW[0])
    return set(
        WorkerProcess.objects.filter(pk__in=set(jobs.values_list("worker", flat=True))).values_list("pid", flat=True)
    )


class Sigterm(Fault):
    name = "sigterm"
    every = (0.2, 0.4)

    def strike(self) -> None:
        self.dose += self.scene.crew.strike(self.random, signal.SIGTERM) is not None


class Processors(Fault):
    name = "processors"

    def heal(self) -> None:
        self.dose = self.scene.producer.planner.nasty_jobs


class Crowd(Fault):
    name = "crowd"

    def heal(self) -> None:
        self.dose = self.scene.options.workers
