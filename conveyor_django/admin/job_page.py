"""What a job's page shows, as the context of its template."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models.functions import Left
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from conveyor_django.models import Job
from conveyor_django.redaction import redact_text
from conveyor_django.states import JobState

from .attempts import attempts_of, worker_names
from .display import chip, duration, mark, moment, own_words
from .facts import facts
from .holds import holds_up
from .neighbours import Place, place_of
from .payload import Payload, payload
from .spans import in_flow, ran
from .tracebacks import Part, parts_of
from .waits import waits_for

Link = Callable[..., str]  # the URL of one of the admin's views
MAX_LINES = 200  # of the log
MAX_LINE = 2_000  # characters of one
_LINE = re.compile(r"[0-9]{1,18}")


class Progress(NamedTuple):
    payload: Payload
    share: int | None  # in per cent, while it runs and where it is a number


def job_page(job: Job, link: Link, *, with_payload: bool, log_before: int | None = None) -> dict[str, Any]:
    """`log_before`: show the lines of the log before that one's id, not the latest ones."""
    now = timezone.now()
    place = place_of(job)
    attempts = attempts_of(job, now)
    worker = worker_names(job._state.db, [job.worker]).get(job.worker, "") if job.worker else ""
    is_completed = job.state == JobState.COMPLETED
    return {
        "job": job,
        "chip": chip(job.state),
        "mark": mark(job.state),
        "headline": headline(job, now),
        "as_of": timezone.localtime(now),
        "summary": str(JobState(job.state).label),
        "waits": waits_for(job, now),
        **_hold(job, place, link),
        "data": payload("data", job.data) if with_payload else None,
        "result": payload("result", job.return_value) if with_payload and is_completed else None,
        "progress": _progress(job),
        "reason": own_words(job, job.failed_reason),
        **_failed_by(job, link),
        "attempts": attempts,
        # of the job itself, unless its latest attempt shows the same
        "traceback": _traceback(job) if job.stacktrace != attempts.stacktrace else [],
        "worker": worker,
        "facts": facts(job, now, worker),
        **_log(job, log_before),
        **_place(job, place, link),
    }


def line_in(request: HttpRequest) -> int | None:
    """Where in the log the URL asks to look."""
    asked = request.GET.get("log", "")
    return int(asked) if _LINE.fullmatch(asked) else None


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
        case JobState.WAITING:
            return _("added %s ago") % duration(in_flow(job, now))
    if span is None:
        return ""
    return (_("ran %s in its last attempt") if job.attempts_made > 1 else _("ran %s")) % duration(span)


def _progress(job: Job) -> Progress | None:
    if job.progress is None:
        return None
    done = job.progress
    is_number = isinstance(done, (int, float)) and not isinstance(done, bool)
    is_share = job.state == JobState.ACTIVE and is_number and 0 <= done <= 100
    return Progress(payload("progress", done), int(done) if is_share else None)


def _traceback(job: Job) -> list[Part]:
    return parts_of(redact_text(job.stacktrace)) if job.stacktrace else []


def _log(job: Job, before: int | None) -> dict[str, Any]:
    lines = job.logs.annotate(line=Left("text", MAX_LINE)).order_by("-pk")
    if before is not None:
        lines = lines.filter(pk__lt=before)
    found = list(lines.values_list("pk", "created_at", "line")[: MAX_LINES + 1])
    shown = found[:MAX_LINES][::-1]
    return {
        "log": [(when, redact_text(line)) for _pk, when, line in shown],
        "log_is_earlier": before is not None,
        "log_earlier": shown[0][0] if len(found) > MAX_LINES else None,
    }


def _hold(job: Job, place: Place, link: Link) -> dict[str, Any]:
    hold = holds_up(job, place.path[-1] if place.path else None)
    if hold is None or hold.parent is None:
        return {"hold": hold}
    return {"hold": hold, "hold_mark": mark(hold.parent.state), "hold_url": link("change", hold.parent.pk)}


def _failed_by(job: Job, link: Link) -> dict[str, Any]:
    """Nothing where the child has gone."""
    children = Job.objects.using(job._state.db).filter(pk=job.failed_by) if job.failed_by else Job.objects.none()
    found = children.values_list("job_id", "name").first()
    return {"failed_by": found[0] or found[1], "failed_by_url": link("change", job.failed_by)} if found else {}


def _place(job: Job, place: Place, link: Link) -> dict[str, Any]:
    return {
        "place": place,
        "has_flow": bool(place.path) or job.children.exists(),
        "path": [(mark(step.state), step, link("change", step.pk)) for step in place.path],
        "previous_url": link("change", place.previous.pk) if place.previous else "",
        "next_url": link("change", place.next.pk) if place.next else "",
    }
