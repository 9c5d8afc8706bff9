"""What the worker says, all its sentences in one place. User strings are made inert."""

import logging
from collections import Counter
from collections.abc import Collection, Iterable
from uuid import UUID

from conveyor_django.encoding import printable
from conveyor_django.outcomes import Completed, Delayed, Failed, GivenBack, Outcome

from .attempt import Attempt

logger = logging.getLogger("conveyor_django")

_VERBS = {Completed: "completed", Failed: "failed", Delayed: "delayed", GivenBack: "given back"}


def duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def ended(attempt: Attempt, outcome: Outcome, seconds: float) -> None:
    """A failure always; other ends a line a job at level DEBUG."""
    level = logging.WARNING if isinstance(outcome, Failed) else logging.DEBUG
    if not logger.isEnabledFor(level):
        return
    job = attempt.job
    line = (
        f"{_VERBS[type(outcome)]:<10} {printable(job.name)} {job.pk} in {printable(job.queue_name)}, "
        f"{duration(seconds)}, attempt {job.attempts_made} of {job.max_attempts}"
    )
    if isinstance(outcome, Failed):
        line += f": {printable(outcome.reason, 500)}"
    logger.log(level, "%s", line)


def summary(counts: Counter[str], running: int, seconds: float) -> None:
    parts = ", ".join(f"{number} {verb}" for verb, number in sorted(counts.items()))
    logger.info("%s in the last %s, %d running", parts, duration(seconds), running)


def verb(outcome: Outcome) -> str:
    return _VERBS[type(outcome)]


def lost(job_ids: Iterable[UUID]) -> None:
    for job_id in job_ids:
        logger.warning("LostLease: job %s is no longer this worker's; what it returned was dropped", job_id)


def lease_lost(old: UUID, new: UUID) -> None:
    logger.warning("this worker (%s) was declared dead, its jobs were rescued; it goes on as %s", old, new)


def gave_back(count: int) -> None:
    logger.warning("%d jobs were leased to this worker without its knowing; given back", count)


def rescued(count: int) -> None:
    logger.warning("%d stalled jobs taken from lost workers", count)


def stopping(running: int, timeout: float) -> None:
    logger.info("stopping: %d jobs running, they have %s", running, duration(timeout))


def left_behind(job_ids: Collection[UUID]) -> None:
    logger.warning("%d jobs did not end in time and were given back: %s", len(job_ids), ", ".join(map(str, job_ids)))


def database_away(error: BaseException, pause: float) -> None:
    logger.warning("database not available (%s); next try in %s", printable(error), duration(pause))


def database_back() -> None:
    logger.warning("database available again")


def refused(job_id: UUID, error: BaseException) -> None:
    logger.warning("the database refused the result of job %s: %s", job_id, printable(error))


def background_failed(what: str, error: BaseException) -> None:
    logger.warning("%s failed, will be tried again: %s: %s", what, type(error).__name__, printable(error))
