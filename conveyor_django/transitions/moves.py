"""The moves that several transitions share: becoming ready to run, and ending."""

from datetime import datetime, timedelta
from typing import Any

from conveyor_django import signals
from conveyor_django.encoding import MAX_REASON, clean_text
from conveyor_django.models import Job
from conveyor_django.states import JobState

from .work import Work


def make_ready(work: Work, job: Job, run_at: datetime | None = None, **fields: Any) -> None:
    """To waiting, or to delayed until `run_at`; to waiting-children while a child is unfinished."""
    if job.pending_children:
        state = JobState.WAITING_CHILDREN  # `run_at` holds at the release
    elif run_at and run_at > work.now:
        state = JobState.DELAYED
    else:
        state = JobState.WAITING
    if state != JobState.WAITING_CHILDREN:
        work.news.wake(job.queue_name)  # a delayed one, too: workers set a clock by it
    work.move(job, state, run_at=run_at, **fields)


def release_if_done(work: Work, parent: Job) -> None:
    """A parent whose last unfinished child has finished may run, after its own delay."""
    if parent.state == JobState.WAITING_CHILDREN and not parent.pending_children:
        after_delay = work.now + timedelta(seconds=parent.delay)
        make_ready(work, parent, run_at=max(parent.run_at or after_delay, after_delay))


def complete(work: Work, job: Job, value: Any) -> None:
    due = {"removal_due": True} if job.remove_on_complete or job.removes_children else {}
    work.move(job, JobState.COMPLETED, worker=None, return_value=value, finished_at=work.now, **due)
    work.news.tell(signals.job_completed, [job])


def fail(work: Work, job: Job, reason: str, *, stacktrace: str = "", through: Job | None = None) -> None:
    """For good: no attempt is left, or a child failed it (`through`)."""
    due = {"removal_due": True} if job.remove_on_fail else {}
    work.move(
        job,
        JobState.FAILED,
        worker=None,
        failed_reason=clean_text(reason, MAX_REASON),
        stacktrace=stacktrace,
        failed_by=through.pk if through else None,
        finished_at=work.now,
        **due,
    )
    work.news.tell(signals.job_failed, [job])


def cancel(work: Work, job: Job) -> None:
    due = {"removal_due": True} if job.remove_on_fail else {}
    work.move(
        job,
        JobState.CANCELLED,
        worker=None,
        failed_reason="cancelled",
        finished_at=work.now,
        pending_children=0,
        **due,
    )
    work.news.tell(signals.job_cancelled, [job])
