"""Under the machine: a database that forgets, a clock, workers, and the comparison after each step."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from django.db import connection, transaction
from hypothesis.stateful import RuleBasedStateMachine, invariant

from conveyor_django import transitions
from conveyor_django.engines import Engine, Turn, get_engine, pipeline, sql
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.models import Job
from conveyor_django.outcomes import Completed, Delayed, Failed, GivenBack, Outcome
from tests.chaos.model import Job as ModelJob
from tests.chaos.model import Model, Refused
from tests.factories import WorkerProcessFactory
from tests.helpers import FIRST, USING, report, report_of

from .comparison import at, check_rows, differences, read_rows
from .inputs import WORKERS

FOR_EVER = 10**8


@contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@contextmanager
def clock(now: Callable[[], datetime]) -> Iterator[None]:
    """The database's time is `now()`, also where a statement looks at it; workers take turns as outside of tests."""
    engine = type(get_engine(USING))
    take_turn = engine.take_turn

    def take_turn_now(self: Engine, *args: Any) -> Turn:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('conveyor.now', %s, true)", [now().isoformat()])
        return take_turn(self, *args)

    with (
        mock.patch.object(engine, "now", lambda _: now()),
        mock.patch.object(engine, "time_to_add", lambda *_: now()),
        mock.patch.object(engine, "has_turns", True),
        mock.patch.object(engine, "take_turn", take_turn_now),
        mock.patch.object(sql, "CLOCK", "current_setting('conveyor.now')::timestamptz"),
    ):
        forget_statements()
        yield
    forget_statements()


def forget_statements() -> None:
    for remembered in (pipeline._ending, pipeline._taking):
        remembered.cache_clear()


class Rig(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.ids: dict[str, UUID] = {}  # of all jobs that there ever were
        self.claims: dict[str, list[Job]] = defaultdict(list)  # each job as it was handed out, the latest last
        self._epochs: dict[UUID, int] = {}
        self._stack = ExitStack()
        self._stack.enter_context(rolled_back())
        self._stack.enter_context(clock(lambda: at(self.model.now)))
        self.workers = [self.new_worker() for _ in WORKERS]

    def teardown(self) -> None:
        self._stack.close()

    @invariant()
    def compare(self) -> None:
        rows = read_rows()
        assert not (found := differences(rows, self.model, self.ids)), f"(product, model): {found}"
        check_rows(rows, self._epochs)
        self._epochs = {pk: row["epoch"] for pk, row in rows.items()}
        self.model.advance(1)

    def same(self, real: Callable[[], Any], modelled: Callable[[], Any]) -> None:
        """Both do it, with the same answer, or both refuse."""
        try:
            expected = modelled()
        except Refused:
            with pytest.raises(InvalidJobState):
                real()
        else:
            assert real() == expected

    def job(self, name: str) -> Job:
        return Job.objects.get(pk=self.ids[name])

    def old_claims(self, name: str) -> list[Job]:
        """All but the one of the attempt that is under way."""
        job = self.model.jobs.get(name)
        return self.claims[name][:-1] if job and job.state == "active" else self.claims[name]

    def report_late(self, names: Iterable[str], outcome: Outcome) -> None:
        """Of attempts that have ended, in whatever way: nothing happens."""
        old = [claim for name in names for claim in self.old_claims(name)]
        for worker in {claim.worker: None for claim in old}:
            late = [claim for claim in old if claim.worker == worker]
            assert report(worker, *(report_of(claim, outcome) for claim in late)) == [claim.pk for claim in late]
            assert transitions.give_back(USING, worker, [(claim.pk, claim.epoch) for claim in late]) == 0

    def worker_of(self, name: str) -> UUID | None:
        return self.claims[name][-1].worker

    def ended(self) -> list[ModelJob]:
        return self.model.in_state("completed", "failed", "cancelled")

    def can_be_leased(self, name: str) -> bool:
        job = self.model.jobs[name]
        return job.state == "active" or job.node.queue not in self.model.paused

    # Workers

    def new_worker(self) -> UUID:
        return WorkerProcessFactory(expires_at=at(FOR_EVER)).pk

    def claim_next(self, queue: str, limit: int, worker: int = 0) -> list[str]:
        expected = self.model.order(queue)[:limit]
        claimed = transitions.claim(USING, self.workers[worker], [queue], limit)
        assert [job.name for job in claimed] == expected
        for job in claimed:
            self.model.claim(job.name)
            self.claims[job.name].append(job)
            if self.model.children(job.name):
                self._reads_its_children(job)
        self.report_late(expected, Completed("late"))
        return expected

    def _reads_its_children(self, job: Job) -> None:
        values = {str(self.ids[name]): value for name, value in self.model.values(job.name).items()}
        assert list(job.get_children_values().items()) == list(values.items())
        causes = {str(self.ids[name]): cause for name, cause in self.model.failures(job.name).items()}
        reasons = job.get_children_failures()
        assert list(reasons) == list(causes)
        assert all(cause in reasons[child] for child, cause in causes.items())

    def leased(self, name: str) -> Job:
        """A job that is active, or becomes so although others may come before it."""
        job = self.model.jobs[name]
        if job.state == "waiting":
            row, priority = Job.objects.filter(pk=self.ids[name]), job.priority
            job.priority = FIRST
            row.update(priority=FIRST)
            assert self.claim_next(job.node.queue, 1) == [name]
            job.priority = priority
            row.update(priority=priority)
        return self.claims[name][-1]

    def settle(self, outcomes: Mapping[str, Outcome]) -> None:
        """Their worker reports these in one batch, and sends it once more: the reply to the first was lost."""
        claims = [self.leased(name) for name in outcomes]
        [worker] = {claim.worker for claim in claims}
        reports = [report_of(claim, outcomes[claim.name]) for claim in claims]
        assert report(worker, *reports) == []
        for name in self.in_order_of_a_batch(outcomes):
            self._end_in_model(name, outcomes[name])
        assert report(worker, *reports) == [claim.pk for claim in claims]

    def in_order_of_a_batch(self, names: Any) -> list[str]:
        """Parents' attempts end before their children are counted off; else the older one is first."""
        jobs = self.model.jobs
        return sorted(names, key=lambda name: (len(self.model.path(name)), jobs[name].serial))

    def _end_in_model(self, name: str, outcome: Outcome) -> None:
        match outcome:
            case Completed(value):
                self.model.complete(name, value)
            case Failed(reason):
                self.model.fail(name, reason, discard=outcome.discarded, retry_in=outcome.retry_in)
            case Delayed(seconds):
                self.model.delay(name, seconds)
            case GivenBack():
                self.model.give_back(name)
