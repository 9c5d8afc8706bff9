"""Finishing: what workers report of the jobs they lease, fenced, with all that follows up to the root."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from conveyor_django.encoding import MAX_REASON, clean_text
from conveyor_django.engines import Engine
from conveyor_django.models import Job, JobError, JobLog
from conveyor_django.outcomes import Completed, Delayed, Failed, GivenBack, Outcome, Report
from conveyor_django.states import FINISHED, JobState

from .climb import children_ended, reach_of_failure
from .moves import complete, fail, make_ready
from .work import Work


def finish_in(engine: Engine, worker: UUID, reports: Sequence[Report]) -> list[UUID]:
    """Apply a batch of reports, in the caller's transaction.

    Returns the jobs that are no longer this worker's (rescued, cancelled, removed): nothing of them was written.
    """
    reach = reach_of_failure(engine, (r.parent_id for r in reports if r.is_final_failure))
    parents = {r.parent_id for r in reports if r.parent_id and r.outcome}
    rows = engine.lock_jobs({r.job_id for r in reports} | parents | reach.ids)
    work = Work(engine, rows, reach.whole)
    applied = {r.job_id for r in reports if _apply(work, worker, r)}
    children_ended(work, [job for pk, job in work.rows.items() if pk in applied and job.state in FINISHED])
    work.save()
    return [r.job_id for r in reports if r.job_id not in applied]


def holds_lease(job: Job | None, worker: UUID | None, epoch: int) -> bool:
    """The fence: whether this is still the very attempt that the worker leased."""
    return job is not None and job.state == JobState.ACTIVE and job.worker == worker and job.epoch == epoch


def _apply(work: Work, worker: UUID, report: Report) -> bool:
    job = work.rows.get(report.job_id)
    if job is None or not holds_lease(job, worker, report.epoch):
        return False
    if report.progress is not None:
        work.set(job, progress=report.progress[0])
    for line in report.log_lines:
        work.record(JobLog(job_id=job.pk, text=line, created_at=work.now))
    if report.outcome is not None:
        _end_attempt(work, job, report.outcome)
    return True


def _end_attempt(work: Work, job: Job, outcome: Outcome) -> None:
    match outcome:
        case Completed():
            complete(work, job, outcome.value)
        case Failed():
            _fail_attempt(work, job, outcome)
        case Delayed(seconds):
            run_at = work.now + timedelta(seconds=seconds)
            make_ready(work, job, run_at, worker=None, attempts_made=job.attempts_made - 1)
        case GivenBack():
            make_ready(work, job, worker=None, attempts_made=job.attempts_made - 1)


def _fail_attempt(work: Work, job: Job, outcome: Failed) -> None:
    reason, stacktrace = clean_text(outcome.reason, MAX_REASON), clean_text(outcome.stacktrace)
    work.record(
        JobError(
            job_id=job.pk,  # a router is not asked about it
            attempt=job.attempts_made,
            reason=reason,
            stacktrace=stacktrace,
            worker=job.worker,
            started_at=job.started_at,
            created_at=work.now,
        )
    )
    if outcome.discarded or job.attempts_made >= job.max_attempts:
        fail(work, job, reason, stacktrace=stacktrace)
    else:
        run_at = work.now + timedelta(seconds=outcome.retry_in) if outcome.retry_in else None
        make_ready(work, job, run_at, worker=None)
