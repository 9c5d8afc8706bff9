"""What a job's page shows, as the context of its template."""

from datetime import datetime
from typing import Any

from django.db.models.functions import Left
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from conveyor_django.models import Job, JobError, QueueState
from conveyor_django.redaction import redact_text
from conveyor_django.states import FINISHED, UNFINISHED, JobState

from .display import chip, duration, mark, moment, own_words
from .facts import facts
from .flow import Flow, flow_of
from .payload import payload
from .spans import ran
from .tree import Link, tree_rows

MAX_LINES = 200  # of the log
MAX_LINE = 2_000  # characters of one
MAX_ATTEMPTS = 10
_STEPS = 6  # of a long path, below its root


def job_page(job: Job, link: Link, *, with_payload: bool) -> dict[str, Any]:
    now = timezone.now()
    flow = flow_of(job)
    return {
        "job": job,
        "chip": chip(job.state),
        "headline": headline(job, now),
        "queue_is_paused": _waits_in_paused_queue(job),
        "can_retry": job.state in FINISHED,
        "can_cancel": _can_cancel(job),
        "data": payload(job.data) if with_payload else None,
        "result": payload(job.return_value) if with_payload and job.state == JobState.COMPLETED else None,
        "progress": payload(job.progress) if job.progress is not None else None,
        "reason": own_words(job, job.failed_reason),
        "failed_by_url": link("change", job.failed_by) if job.failed_by else "",
        "facts": facts(job, now),
        **_history(job),
        **_flow(flow, job, link, now),
    }


def headline(job: Job, now: datetime) -> str:
    """What the state's word leaves open."""
    span = ran(job, now)
    match job.state:
        case JobState.ACTIVE:
            attempt = {
                "number": job.attempts_made,
                "of": job.max_attempts,
                "time": duration(now - (job.started_at or now)),
            }
            return _("for %(time)s, attempt %(number)d of %(of)d") % attempt
        case JobState.WAITING_CHILDREN:
            left = job.pending_children
            return ngettext("for %d unfinished child", "for %d unfinished children", left) % left
        case JobState.DELAYED:
            return _("until %s") % moment(job.run_at)
    return _("ran %s") % duration(span) if span is not None else ""


def _waits_in_paused_queue(job: Job) -> bool:
    paused = QueueState.objects.using(job._state.db).filter(queue_name=job.queue_name, paused_at__isnull=False)
    return job.state in (JobState.WAITING, JobState.DELAYED) and paused.exists()


def _can_cancel(job: Job) -> bool:
    """A finished job may have unfinished descendants; a root is worth a query to know."""
    if job.state in UNFINISHED or job.pending_children:
        return True
    return job.parent_id is None and Job.objects.using(job._state.db).filter(root=job.pk).unfinished().exists()


def _history(job: Job) -> dict[str, Any]:
    attempts = list(job.errors.order_by("-pk")[: MAX_ATTEMPTS + 1])
    lines = job.logs.annotate(line=Left("text", MAX_LINE)).order_by("-pk").values_list("created_at", "line")
    log = list(lines[: MAX_LINES + 1])
    # the newest attempt shows the same traceback
    stacktrace = "" if attempts and attempts[0].stacktrace == job.stacktrace else job.stacktrace
    return {
        "attempts": [_attempt(error) for error in attempts[:MAX_ATTEMPTS]],
        "has_more_attempts": len(attempts) > MAX_ATTEMPTS,
        "stacktrace": redact_text(stacktrace),
        "log": [(when, redact_text(line)) for when, line in log[:MAX_LINES][::-1]],
        "has_more_log": len(log) > MAX_LINES,
    }


def _attempt(error: JobError) -> dict[str, Any]:
    return {
        "number": error.attempt,
        "reason": redact_text(error.reason),
        "stacktrace": redact_text(error.stacktrace),
        "ended": error.created_at,
        "ran": duration(error.created_at - error.started_at) if error.started_at else "",
    }


def _flow(flow: Flow, job: Job, link: Link, now: datetime) -> dict[str, Any]:
    if flow.size < 2:
        return {}
    path = flow.path_to(job)
    steps = path if len(path) <= _STEPS + 1 else [path[0], *path[-_STEPS:]]
    return {
        "flow": flow,
        "rows": tree_rows(flow, job, link, now),
        "counts": [(chip(state), count) for state, count in flow.counts()],
        "path": [(mark(step.state), step, link("change", step.pk)) for step in steps],
        "levels_left_out": job.depth - len(steps),
        "all_url": f"{link('changelist')}?root__exact={job.root_id}",
    }
