"""A worker's turn: what ended is recorded and what waits is claimed, together where the database allows."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from django.db import transaction

from conveyor_django import signals
from conveyor_django.engines import Ended, Engine, Release, Taking, Turn, get_engine
from conveyor_django.models import Job
from conveyor_django.outcomes import Completed, Report
from conveyor_django.states import JobState

from .claim import Claiming, claim_in, lease_of
from .finish import finish_in
from .news import News

Taken = Callable[[list[Job]], None]
_RELEASE = Release("state", JobState.WAITING_CHILDREN.value, JobState.WAITING.value, JobState.DELAYED.value)


class Done(NamedTuple):
    lost: list[UUID]  # no longer this worker's: nothing of them was written
    taken: list[Job]


def turn(
    using: str, worker: UUID, reports: Sequence[Report], claiming: Claiming | None, taken: Taken | None = None
) -> Done:
    """Apply a batch of reports, then claim.

    `taken` is called with the claimed jobs right after the commit, and not at all when its reply was lost.
    """
    engine = get_engine(using)
    if not engine.has_turns:
        return _all(engine, worker, reports, claiming, taken)
    ids = {report.job_id for report in reports}
    plain: list[Report] = []
    others: list[Report] = []
    for report in reports:
        # a parent that is reported itself would be written twice by one statement, which writes a row once
        (plain if report.parent_id not in ids and _is_plain(report) else others).append(report)
    plain.sort(key=_removes_and_id)
    lost = set(_all(engine, worker, others, None, None).lost if others else ())
    done = Done([], [])
    if plain or (claiming and claiming.rooms and engine.has_waiting(claiming.rooms)):
        done = _at_once(engine, worker, plain, claiming, taken)
    if claiming and not claiming.rooms and engine.has_waiting(claiming.queue_names):
        done = Done(done.lost, _all(engine, worker, [], claiming, taken).taken)
    lost.update(done.lost)
    return Done([report.job_id for report in reports if report.job_id in lost], done.taken)


def finish(using: str, worker: UUID, reports: Sequence[Report]) -> list[UUID]:
    """Apply a batch of reports in one transaction; returns the jobs that are no longer this worker's."""
    return turn(using, worker, reports, None).lost


def claim(
    using: str,
    worker: UUID,
    queue_names: Sequence[str] | None,
    limit: int,
    *,
    served: Mapping[str, int] = MappingProxyType({}),
    leased: bool = True,
    taken: Taken | None = None,
) -> list[Job]:
    """Up to `limit` jobs in the order in which to start them, shared fairly among the queues."""
    rooms = {queue_names[0]: limit} if leased and queue_names and len(queue_names) == 1 else {}
    return turn(using, worker, [], Claiming(queue_names, limit, rooms, served, leased=leased), taken).taken


def _all(
    engine: Engine, worker: UUID, reports: Sequence[Report], claiming: Claiming | None, taken: Taken | None
) -> Done:
    """In one transaction, whatever is reported."""

    def step() -> Done:
        lost = finish_in(engine, worker, reports) if reports else []
        jobs = claim_in(engine, worker, claiming) if claiming else []
        if jobs and taken is not None:
            transaction.on_commit(partial(taken, jobs), using=engine.using)
        news = News(engine)
        news.tell(signals.job_started, jobs)
        news.send_after_commit()
        return Done(lost, jobs)

    return engine.transact(step)


def _at_once(
    engine: Engine, worker: UUID, reports: Sequence[Report], claiming: Claiming | None, taken: Taken | None
) -> Done:
    """In one round trip."""
    ended = [_completed(worker, list(same)) for _, same in groupby(reports, key=lambda report: report.removes)]
    taking = lease_of(worker, claiming) if claiming and claiming.rooms else None
    step = partial(_settle, engine, ended, taking) if ended else partial(_claim, engine, taking)
    refused, released, jobs = engine.at_once(step)
    if jobs and taken is not None:
        taken(jobs)
    news = News(engine)
    news.tell(signals.job_started, jobs)
    news.tell(signals.job_completed, (report for report in reports if report.job_id not in refused))
    for queue_name in released:
        news.wake(queue_name)
    news.send_after_commit()
    return Done(list(refused), jobs)


def _settle(engine: Engine, ended: Sequence[Ended], taking: Taking | None) -> Turn:
    return engine.take_turn(ended, taking)


def _claim(engine: Engine, taking: Taking | None) -> Turn:
    return engine.take_turn([], taking)


def _is_plain(report: Report) -> bool:
    """Whether it changes the job's own row and its parent's count, and nothing else."""
    outcome = report.outcome
    return (
        isinstance(outcome, Completed) and outcome.text is not None and report.progress is None and not report.log_lines
    )


def _removes_and_id(report: Report) -> tuple[bool, UUID]:
    return report.removes, report.job_id


def _completed(worker: UUID, reports: Sequence[Report]) -> Ended:
    due = {"removal_due": True} if reports[0].removes else {}
    return Ended(
        worker,
        [report.job_id for report in reports],
        [report.epoch for report in reports],
        values={"state": JobState.COMPLETED.value, "worker": None, **due},
        each={"return_value": [report.outcome.text for report in reports]},  # type: ignore[union-attr,misc]
        clock=["finished_at"],
        parents=list({report.parent_id for report in reports if report.parent_id}),
        release=_RELEASE,
    )
