"""New jobs as the values of rows: what they share is prepared once for a template, their own columns for each."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from django.db.models.constants import OnConflict

from conveyor_django.models import Job, NewJob, Template
from conveyor_django.models.new import OWN, SHARED

from . import sql

T = TypeVar("T")
_fields: dict[str, Any] = {field.attname: field for field in Job._meta.concrete_fields}
SHARED_FIELDS = [_fields[name] for name in SHARED]
FIELDS = [*(_fields[name] for name in OWN), *SHARED_FIELDS]  # in the order of a row's values
COLUMNS = ", ".join(field.column for field in FIELDS)
_ROWS = 5000  # that are in memory at once


class Inserts:
    """An engine's part in adding jobs, as it is where databases do nothing better."""

    parents_first = False  # the database checks foreign keys at each statement

    if TYPE_CHECKING:
        connection: Any
        now: Callable[[], datetime]

    def adds_at_once(self, jobs: Sequence[NewJob]) -> bool:
        """Whether `insert_jobs` of these, here and now, is all that their transaction needs."""
        if not self.takes_one_statement(jobs):
            return False
        return self.connection.in_atomic_block or bool(self.connection.get_autocommit())

    def takes_one_statement(self, jobs: Sequence[NewJob]) -> bool:
        return len(jobs) == 1

    def time_to_add(self, number: int) -> datetime | None:
        """The time at which so many jobs are added; None where the statement that inserts them looks at the clock."""
        return self.now()

    def insert_jobs(self, jobs: Sequence[NewJob], *, ignore_conflicts: bool = False, wake: Collection[str] = ()) -> int:
        """Insert trees given children first; with `ignore_conflicts` a row whose job_id is taken isn't stored.

        Returns how many are stored. Workers of the queues in `wake` are told at once, if that costs nothing more.
        """
        conflict = OnConflict.IGNORE if ignore_conflicts else None
        verb = self.connection.ops.insert_statement(on_conflict=conflict)
        rows = rows_of(reversed(jobs) if self.parents_first else jobs, self.connection)
        stored = 0
        # not bulk_create: it cuts a bulk into pieces of so many parameters, and takes its time to prepare them
        with self.connection.cursor() as cursor:
            while some := list(islice(rows, _ROWS)):
                cursor.executemany(f"{verb} {sql.JOB} ({COLUMNS}) VALUES ({sql.marks(FIELDS)})", some)
                stored += cursor.rowcount
        return stored


def rows_of(jobs: Iterable[NewJob], connection: Any) -> Iterator[Sequence[Any]]:
    """What the driver is given for the `FIELDS` of each job."""
    key = _as_it_is if connection.features.has_native_uuid_field else _hex
    moments: dict[Any, Any] = {None: None}  # nearly always the same one

    def moment(value: Any) -> Any:
        if value not in moments:
            moments[value] = connection.ops.adapt_datetimefield_value(value)
        return moments[value]

    def shared_values(template: Template) -> list[Any]:
        return [field.get_db_prep_save(template.columns[field.attname], connection) for field in SHARED_FIELDS]

    for job in jobs:
        yield (
            key(job.id),
            job.job_id,
            None if job.data is None else job.text,
            str(job.state),
            None if job.parent_id is None else key(job.parent_id),
            key(job.root_id),
            job.depth,
            job.pending_children,
            job.position,
            job.delay,
            job.removes_children,
            moment(job.run_at),
            moment(job.created_at),
            *written(job.template, connection.vendor, shared_values),
        )


def written(template: Template, way: str, write: Callable[[Template], T]) -> T:
    """What `write` makes of a template for this way of writing rows, made once."""
    made: T | None = template.written.get(way)
    if made is None:
        made = template.written[way] = write(template)
    return made


def _as_it_is(value: UUID) -> Any:
    return value


def _hex(value: UUID) -> Any:
    return value.hex
