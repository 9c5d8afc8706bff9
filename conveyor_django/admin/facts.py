"""The side column of a job's page: facts only."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.translation import gettext as _

from conveyor_django.models import Job
from conveyor_django.states import ChildFailurePolicy

from .display import duration, moment
from .spans import in_flow, ran

Fact = tuple[str, str | Promise]


def facts(job: Job, now: datetime, worker: str) -> list[tuple[str, list[Fact]]]:
    """Headings with what stands below each."""
    return [
        (_("Times"), list(_times(job, now))),
        (_("Options"), list(_options(job))),
        (_("Lease"), list(_lease(job, worker))),
        (_("Identity"), list(_identity(job))),
    ]


def _times(job: Job, now: datetime) -> Iterator[Fact]:
    yield _("Created"), moment(job.created_at)
    if job.run_at and not job.is_finished:
        yield _("Not before"), moment(job.run_at)
    yield _("Latest start"), moment(job.started_at)
    yield _("Finished"), moment(job.finished_at)
    span = ran(job, now)
    yield _("Ran, last attempt") if job.attempts_made > 1 else _("Ran"), "–" if span is None else duration(span)
    yield _("In all"), duration(in_flow(job, now))


def _options(job: Job) -> Iterator[Fact]:
    yield _("Attempts"), str(job.max_attempts)
    yield _("Backoff"), _backoff(job.backoff)
    yield _("Delay"), _seconds(job.delay)
    yield _("Timeout"), _seconds(job.timeout)
    yield _("Priority"), str(job.priority)
    yield _("If a child fails"), ChildFailurePolicy(job.fail_parent_on_child_failure).label
    yield _("Kept"), _kept(job)


def _lease(job: Job, worker: str) -> Iterator[Fact]:
    yield _("Worker"), worker or "–"
    yield _("Claims"), str(job.epoch)
    yield _("Stalls"), _("%(stalls)d of %(max)d") % {"stalls": job.stalls, "max": job.max_stalls}


def _identity(job: Job) -> Iterator[Fact]:
    yield _("Id"), format_html("<code>{}</code>", job.pk)
    yield "job_id", format_html("<code>{}</code>", job.job_id) if job.job_id else "–"
    yield _("Queue"), job.queue_name


def _backoff(backoff: Any) -> str:
    if not isinstance(backoff, dict):
        return "–"
    return _("%(type)s from %(delay)s s") % {"type": backoff.get("type"), "delay": backoff.get("delay")}


def _seconds(value: float | None) -> str:
    return duration(timedelta(seconds=value)) if value else "–"


def _kept(job: Job) -> str:
    if job.remove_on_complete and job.remove_on_fail:
        return _("until finished")
    if job.remove_on_complete:
        return _("until completed")
    return _("until failed") if job.remove_on_fail else _("until pruned")
