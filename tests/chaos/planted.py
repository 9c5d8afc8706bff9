"""Bugs on purpose: each is put into the worker processes, and has to turn the run red."""

import random
import threading
import time
from collections.abc import Callable, Collection, Iterable
from importlib import import_module
from typing import Any
from uuid import UUID

from conveyor_django.engines import Engine, get_engine, pipeline
from conveyor_django.engines.mysql import MySQLEngine
from conveyor_django.engines.postgresql import PostgresEngine
from conveyor_django.models import Job
from conveyor_django.states import UNSUCCESSFUL, JobState
from conveyor_django.transitions.work import Work
from conveyor_django.worker import ledger
from conveyor_django.worker.lease import Lease

# by name: `transitions` shows functions of the same names
climb = import_module("conveyor_django.transitions.climb")
finish = import_module("conveyor_django.transitions.finish")
rescue = import_module("conveyor_django.transitions.rescue")


def no_fence() -> None:
    def holds_lease(job: Job | None, worker: UUID, epoch: int) -> bool:
        return job is not None and job.state == JobState.ACTIVE

    start_anew = Lease._start_anew

    def slow_to_learn(self: Lease) -> None:
        time.sleep(1)
        start_anew(self)

    finish.holds_lease = rescue.holds_lease = holds_lease
    pipeline._HAS_LEASE = "j.id = r.id AND j.state = 'active' AND %s::uuid IS NOT NULL"
    Lease._start_anew = slow_to_learn


def two_transactions() -> None:
    here = threading.local()
    first_half = ledger.turn
    PostgresEngine.has_turns = False
    climbs = finish.children_ended

    def remember(work: Work, ended: Iterable[Job]) -> None:
        here.ended = [job.pk for job in ended]

    def finish_in_two(using: str, worker: UUID, reports: Any, *claiming: Any) -> Any:
        here.ended = []
        done = first_half(using, worker, reports, *claiming)
        if here.ended:
            time.sleep(0.01)
            engine = get_engine(using)
            engine.transact(lambda: _tell_parents(engine, here.ended, climbs))
        return done

    finish.children_ended = remember
    ledger.turn = finish_in_two


def _tell_parents(engine: Engine, ids: Collection[UUID], climbs: Callable[..., None]) -> None:
    jobs = list(Job.objects.using(engine.using).filter(pk__in=ids, parent__isnull=False))
    reach = climb.reach_of_failure(engine, [job.parent_id for job in jobs if job.state in UNSUCCESSFUL])
    rows = engine.lock_jobs({job.pk for job in jobs} | {job.parent_id for job in jobs} | reach.ids)
    work = Work(engine, rows, reach.whole)
    climbs(work, [rows[job.pk] for job in jobs if job.pk in rows])
    work.save()


def any_lock_order() -> None:
    lock_one_by_one = Engine.lock_jobs
    PostgresEngine.has_turns = False

    def lock_jobs(self: Engine, ids: Iterable[UUID], *, skip_locked: bool = False) -> dict[UUID, Job]:
        rows: dict[UUID, Job] = {}
        shuffled = list(ids)
        random.shuffle(shuffled)
        for job_id in shuffled:
            rows.update(lock_one_by_one(self, [job_id], skip_locked=skip_locked))
            time.sleep(0.01)
        return rows

    Engine.lock_jobs = lock_jobs


def unlocked() -> None:
    PostgresEngine.lock_clause = MySQLEngine.lock_clause = ""
    PostgresEngine.has_turns = False


def no_reconcile() -> None:
    Lease._give_back_unknown = lambda self, stored: None


def burnt_attempts() -> None:
    make_ready = rescue.make_ready

    def burn(work: Work, job: Job, **fields: Any) -> None:
        fields.pop("attempts_made", None)
        make_ready(work, job, **fields)

    rescue.make_ready = burn


def early_release() -> None:
    def release(work: Work, parent: Job) -> None:
        if parent.state == JobState.WAITING_CHILDREN:
            work.move(parent, JobState.WAITING)

    climb.release_if_done = release
    PostgresEngine.has_turns = False


PLANTS: dict[str, Callable[[], None]] = {
    "fence": no_fence,
    "two-transactions": two_transactions,
    "lock-order": any_lock_order,
    "unlocked": unlocked,
    "no-reconcile": no_reconcile,
    "burnt-attempts": burnt_attempts,
    "early-release": early_release,
}
