"""What the rows of a page need besides the outline: a few statements for all jobs that are shown."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from conveyor_django.models import Job, JobError
from conveyor_django.states import JobState

from ..changelist import with_reason
from ..waits import Queues
from .sources import has_children
from .timeline import Attempt

_MAX_ERRORS = 2_000  # attempts that are drawn on one page


@dataclass(frozen=True)
class Details:
    jobs: dict[UUID, Any]  # with `short_reason` and `has_children`
    attempts: dict[UUID, list[Attempt]]  # that failed
    progress: dict[UUID, int]  # in per cent
    names: dict[UUID, str]  # of the children that others failed through
    queues: Queues
    twins: frozenset[tuple[UUID | None, str]]  # parent and name of siblings that need telling apart


def read_details(using: str, ids: Collection[UUID], now: datetime) -> Details:
    rows: Any = with_reason(Job.objects.using(using).filter(pk__in=ids)).annotate(has_children=has_children(using))
    jobs = {job.pk: job for job in rows}
    active = [pk for pk, job in jobs.items() if job.state == JobState.ACTIVE]
    names = Counter((job.parent_id, job.name) for job in jobs.values())
    return Details(
        jobs,
        _attempts(using, ids),
        _progress(using, active),
        _names(using, {job.failed_by for job in jobs.values() if job.failed_by}, jobs),
        Queues(using, {job.queue_name for job in jobs.values()}, now),
        frozenset(twin for twin, count in names.items() if count > 1),
    )


def _names(using: str, wanted: Collection[UUID], shown: Mapping[UUID, Any]) -> dict[UUID, str]:
    others = [pk for pk in wanted if pk not in shown]
    found = {pk: shown[pk] for pk in wanted if pk in shown}
    if others:
        found |= Job.objects.using(using).only("name", "job_id").in_bulk(others)
    return {pk: job.job_id or job.name for pk, job in found.items()}


def _attempts(using: str, ids: Collection[UUID]) -> dict[UUID, list[Attempt]]:
    found = JobError.objects.using(using).filter(job__in=ids).order_by("-pk")
    attempts: dict[UUID, list[Attempt]] = defaultdict(list)
    for pk, started, ended in reversed(found.values_list("job_id", "started_at", "created_at")[:_MAX_ERRORS]):
        attempts[pk].append((started, ended))
    return attempts


def _progress(using: str, active: Collection[UUID]) -> dict[UUID, int]:
    if not active:
        return {}
    rows = Job.objects.using(using).filter(pk__in=active, progress__isnull=False).values_list("pk", "progress")
    return {pk: share for pk, said in rows if (share := share_of(said)) is not None}


def share_of(progress: Any) -> int | None:
    """In per cent, where it is a number between 0 and 100."""
    is_number = isinstance(progress, (int, float)) and not isinstance(progress, bool)
    return int(progress) if is_number and 0 <= progress <= 100 else None
