"""What the worker says, all its sentences in one place. User strings are made inert."""

import logging
import signal
from collections import Counter
from collections.abc import Collection, Iterable
from uuid import UUID

from django.db import Error

from conveyor_django.encoding import clean_text, kind, printable
from conveyor_django.outcomes import Completed, Delayed, Failed, GivenBack, Outcome
from conveyor_django.redaction import redact_text

from .attempt import Attempt

logger = logging.getLogger("conveyor_django")

_SHOWN = 10  # ids in one line
_VERBS = {Completed: "completed", Failed: "failed", Delayed: "delayed", GivenBack: "given back"}


def duration(seconds: float) -> str:
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    raise AssertionError("unreachable")


def ended(attempt: Attempt, outcome: Outcome, seconds: float) -> None:
    """A failure always; other ends a line a job at level DEBUG."""
    level = logging.WARNING if isinstance(outcome, Failed) else logging.DEBUG
    if not logger.isEnabledFor(level):
        return
    job = attempt.job
    line = (
        f"{_VERBS[type(outcome)]:<10} {printable(job.name)} {attempt.job_id} in {printable(job.queue_name)}, "
        f"{duration(seconds)}, attempt {attempt.attempts_made} of {attempt.max_attempts}"
    )
    if isinstance(outcome, Failed):
        line += f"{_next_attempt(attempt, outcome)}: {_inert(outcome.reason, 500)}"
    logger.log(level, "%s", line)


def _next_attempt(attempt: Attempt, outcome: Failed) -> str:
    if outcome.discarded or attempt.attempts_made >= attempt.max_attempts:
        return ""
    return f", next in {duration(outcome.retry_in)}" if outcome.retry_in else ", next at once"


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
    logger.warning("given back: %s leased to this worker without its knowing", _jobs(count))


def rescued(count: int) -> None:
    logger.warning("%s taken from lost workers (stalled)", _jobs(count))


def mended(fault: str, count: int, job_ids: Collection[UUID]) -> None:
    ids = ", ".join(map(str, list(job_ids)[:_SHOWN]))
    logger.warning("%s set right that should not have been wrong (%s): %s", _jobs(count), fault, ids)


def stop_requested(signal_name: str) -> None:
    logger.info("%s: stopping; a second one ends at once", signal_name)


def code_changed() -> None:
    logger.info("the code has changed: starting anew when the running jobs have ended")


def enough_jobs(attempts: int) -> None:
    logger.info("%d attempts in this process: another one takes its place", attempts)


def too_much_memory(used: float, limit: int) -> None:
    line = "%.0f MB of memory in this process, %d are its limit: starting anew when the running jobs have ended"
    logger.info(line, used, limit)


def orphaned() -> None:
    logger.warning("the supervisor of this process is gone: stopping")


def process_started(pid: int) -> None:
    logger.info("worker process %d started", pid)


def process_died(pid: int, code: int, pause: float | None) -> None:
    """`pause` is the seconds until another one takes its place, None when none does."""
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    if pause is None:
        then = "no other is started"
    else:
        then = f"another one starts in {duration(pause)}" if pause else "another one starts"
    logger.error("worker process %d %s: %s", pid, how, then)


def stopping(running: int, timeout: float) -> None:
    logger.info("%s still running, with %s to end", _jobs(running), duration(timeout))


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def left_behind(job_ids: Collection[UUID]) -> None:
    ids = ", ".join(map(str, job_ids))
    logger.warning("%s did not end in time, given back: %s", _jobs(len(job_ids)), ids)


def database_away(error: BaseException, pause: float) -> None:
    reason = _inert(" ".join(clean_text(error).split()))
    logger.warning("database not available (%s); next try in %s", reason, duration(pause))


def stopped_without_database(leased: int) -> None:
    logger.warning("stopped while the database was away; %d leased jobs go back when the lease runs out", leased)


def session_cut(thread: str, seconds: float) -> None:
    line = "no answer from the database to the %s for %s: its connection is given up"
    logger.warning(line, thread, duration(seconds))


def loop_hangs(seconds: float, where: str) -> None:
    logger.error("the worker's loop has not turned for %s; it is in %s", duration(seconds), where)


def database_back() -> None:
    logger.warning("database available again")


def refused(job_id: UUID, error: BaseException) -> None:
    logger.warning("the database refused the result of job %s: %s", job_id, _inert(error))


def background_failed(what: str, error: BaseException) -> None:
    unexpected = not isinstance(error, Error)  # then it's for a programmer
    line = "%s failed, will be tried again: %s: %s"
    logger.warning(line, what, kind(error), _inert(error), exc_info=error if unexpected else None)


def statistics_failed(error: BaseException) -> None:
    unexpected = not isinstance(error, Error)
    line = "what ended could not be counted for the overview: %s: %s"
    logger.warning(line, kind(error), _inert(error), exc_info=error if unexpected else None)


def _inert(text: object, limit: int = 200) -> str:
    """Without secrets and control characters, in one line."""
    return printable(redact_text(clean_text(text)), limit)
