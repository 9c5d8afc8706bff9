"""How long a job ran, as far as its row says."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from conveyor_django.models import Job
from conveyor_django.states import FINISHED, QUEUED, JobState


def ran(job: Job, now: datetime) -> timedelta | None:
    """Of the latest attempt, so far if it is running; None if it isn't and nothing came of it."""
    if job.started_at is None:
        return None
    if job.state == JobState.ACTIVE:
        return now - job.started_at
    return job.finished_at - job.started_at if job.finished_at else None


def ran_before(job: Job, attempts: Iterable[tuple[datetime | None, datetime]]) -> timedelta:
    """In the attempts before the latest one, of those that failed: when each began and ended."""
    latest = job.started_at
    spans = [end - start for start, end in attempts if start and latest and start < latest]
    return sum(spans, timedelta())


def in_flow(job: Job, now: datetime) -> timedelta:
    """From when it was added to its end, or until now."""
    return (job.finished_at if job.state in FINISHED and job.finished_at else now) - job.created_at


def waited(job: Job, now: datetime) -> timedelta:
    """From when it was added to the start of its latest attempt, so far if it is in a queue."""
    if job.state in QUEUED:
        return now - job.created_at
    return (job.started_at or job.finished_at or now) - job.created_at
