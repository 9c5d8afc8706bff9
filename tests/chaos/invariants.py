"""What has to hold once everything has settled, whatever struck before."""

import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from uuid import UUID

from django.core.management import call_command
from django.db import connection

from . import evidence
from .flows import Node
from .history import FINISHED, History, Life
from .sampling import wrong_counts
from .verdicts import wrong_verdicts
from .violation import Violation

_PLANNED = re.compile(r"(Planned|PlannedBase|SystemExit|MemoryError): epoch |JobTimeout: ")
_MENDED = "set right that should not have been wrong"  # as maintenance says it
_SURFACED = re.compile(r"Traceback|ERROR|(?i:deadlock|serializ|lock wait timeout)")


def violations(history: History, planned: Mapping[str, Node], logs: Iterable[Path]) -> Iterator[Violation]:
    quiet = [life for life in history.lives.values() if not life.name.startswith("steered")]
    yield from history.violations
    yield from wrong_counts()
    yield from _unfinished(history)
    yield from _rows_that_the_log_does_not_know(history)
    for life in quiet:
        yield from _wrong_life(life)
    yield from _effects(history.lives)
    yield from wrong_verdicts(quiet, planned)
    yield from _surfaced(logs)
    yield from _deadlocks()
    yield from _checkflows()


def _unfinished(history: History) -> Iterator[Violation]:
    for life in history.lives.values():
        if not life.deleted and life.last.state not in FINISHED:
            yield Violation("unfinished", f"{life.name} {life.id}: {life.last.state}, worker {life.last.worker}")


def _rows_that_the_log_does_not_know(history: History) -> Iterator[Violation]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, state FROM conveyor_django_job")
        stored = {UUID(str(job)): state for job, state in cursor.fetchall()}
    logged = {life.id: life.last.state for life in history.lives.values() if not life.deleted}
    for job in stored.keys() | logged.keys():
        if stored.get(job) != logged.get(job):
            yield Violation("witness", f"job {job} is {stored.get(job)} in the table and {logged.get(job)} in the log")


def _wrong_life(life: Life) -> Iterator[Violation]:
    """Of a job that nobody but workers touched."""
    label = f"{life.name} {life.id}"
    if life.end == "cancelled" or life.retried:
        yield Violation("verdict", f"{label}: cancelled or retried by nobody")
    if life.releases > 1:
        yield Violation("released twice", f"{label}: {life.releases} times")
    for reason in life.failures:
        if not _PLANNED.match(reason):
            yield Violation("unplanned failure", f"{label}: {reason}")
    counted = len(life.failures) + (life.end == "completed")
    if life.end in FINISHED and life.last.attempts_made != counted:
        yield Violation("attempts", f"{label}: {life.last.attempts_made} counted, {counted} made")


def _effects(lives: Mapping[UUID, Life]) -> Iterator[Violation]:
    ran: dict[str, set[int]] = defaultdict(set)
    for fact in evidence.recorded():
        if fact["what"] == "ran":
            ran[fact["job"]].add(fact["epoch"])
        if fact["what"] == "sent twice" and fact["applied_again"]:
            yield Violation("applied twice", f"{fact['applied_again']}")
    for life in lives.values():
        if life.result_epoch is not None and life.result_epoch not in ran[str(life.id)]:
            yield Violation(
                "no effect", f"{life.name} {life.id}: completed by epoch {life.result_epoch}, which never ran"
            )


def _surfaced(logs: Iterable[Path]) -> Iterator[Violation]:
    for path in logs:
        for line in path.read_text(errors="replace").splitlines():
            if _MENDED in line:
                yield Violation("mended", f"{path.name} says: {line[:300]}")
            elif _SURFACED.search(line):
                yield Violation("surfaced", f"{path.name} says: {line[:300]}")


def _deadlocks() -> Iterator[Violation]:
    """The lock order leaves none, not even such as are tried again."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            if number := cursor.fetchone()[0]:
                yield Violation("deadlock", f"the database counted {number}")
        elif connection.vendor == "mysql":
            cursor.execute("SHOW ENGINE INNODB STATUS")
            status = cursor.fetchone()[2]
            found = re.search(r"LATEST DETECTED DEADLOCK(.*?)\n-+\nTRANSACTIONS\n", status, re.DOTALL)
            if found and f"`{connection.settings_dict['NAME']}`" in found[1]:
                yield Violation("deadlock", " ".join(found[1].split())[:2000])


def _checkflows() -> Iterator[Violation]:
    said = io.StringIO()
    try:
        call_command("checkflows", stdout=said)
    except SystemExit:
        yield Violation("checkflows", " ".join(said.getvalue().split()))
