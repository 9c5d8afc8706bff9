"""The attempts of a job, newest first: the one that runs or went well from its row, failed ones from theirs."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from conveyor_django.models import Job, JobError, WorkerProcess
from conveyor_django.redaction import redact_text
from conveyor_django.states import JobState

from .display import duration, icon
from .spans import ran
from .tracebacks import Part, parts_of

MAX_ATTEMPTS = 10


@dataclass
class AttemptRow:
    state: str
    number: int
    said: str
    ended: datetime | None = None
    ran: str = ""
    worker: str = ""
    traceback: list[Part] = field(default_factory=list)

    @property
    def icon(self) -> SafeString:
        return icon(self.state)


class Attempts(NamedTuple):
    rows: list[AttemptRow]
    has_more: bool  # earlier ones
    stacktrace: str  # of the latest that failed


def attempts_of(job: Job, now: datetime) -> Attempts:
    errors = list(job.errors.order_by("-pk")[: MAX_ATTEMPTS + 1])
    names = worker_names(job._state.db, [job.worker, *(error.worker for error in errors)])
    rows = [_failed(error, names) for error in errors[:MAX_ATTEMPTS]]
    if job.state in (JobState.ACTIVE, JobState.COMPLETED) and job.attempts_made:
        said = _("It runs.") if job.state == JobState.ACTIVE else _("It completed.")
        span = ran(job, now)
        last = AttemptRow(job.state, job.attempts_made, said, job.finished_at, duration(span) if span else "")
        last.worker = names.get(job.worker, "") if job.worker else ""
        rows.insert(0, last)
    return Attempts(rows, len(errors) > MAX_ATTEMPTS, errors[0].stacktrace if errors else "")


def worker_names(using: str, ids: Iterable[UUID | None]) -> dict[UUID, str]:
    """Of those whose rows are still there; the others are named by their id."""
    wanted = {pk for pk in ids if pk}
    found = WorkerProcess.objects.using(using).in_bulk(wanted) if wanted else {}
    return {pk: str(found.get(pk, pk)) for pk in wanted}


def _failed(error: JobError, names: dict[UUID, str]) -> AttemptRow:
    return AttemptRow(
        state=JobState.FAILED,
        number=error.attempt,
        said=redact_text(error.reason),
        ended=error.created_at,
        ran=duration(error.created_at - error.started_at) if error.started_at else "",
        worker=names[error.worker] if error.worker else "",
        traceback=parts_of(redact_text(error.stacktrace)) if error.stacktrace else [],
    )
