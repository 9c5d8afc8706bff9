"""The engine that all databases share: transactions with retries, and the statements they have in common."""

import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any, TypeVar
from uuid import UUID

from django.db import DatabaseError, InterfaceError, OperationalError, connections, models, transaction

from conveyor_django.exceptions import TryAgain
from conveyor_django.models import Job

from . import failpoints, sql
from .inserts import Inserts
from .listener import Listener
from .problems import Problem
from .turns import Ended, Taking, Turn

T = TypeVar("T")
_TRIES = 20
_PLAIN = {type(None), bool, int, float, str}  # what every driver takes as it is
CHUNK = 500  # ids in one statement: SQLite takes 999 parameters


class Engine(Inserts):
    lock_hint = ""  # makes the lock go through the primary key
    waiting_hint = ""  # makes the claim go through the index that is in its order
    children_hint = ""  # makes the way down go through the parents' index
    ordered_join = "JOIN"  # from what was found to what is above or below it, whatever the table's statistics say
    lock_clause = ""
    skip_locked_clause = ""
    delete_order = ""

    def __init__(self, using: str) -> None:
        self.using = using

    @property
    def connection(self) -> Any:
        return connections[self.using]

    # Transactions

    def transact(self, step: Callable[[], T]) -> T:
        """Run `step` in a transaction, again when it lost a conflict or needs rows that it didn't lock.

        Inside a caller's transaction it is a savepoint, and a conflict goes to the caller, whose transaction is lost.
        """
        nested = self.connection.in_atomic_block
        if failpoints.armed and not nested:
            step = failpoints.watched(step, self.connection)
        return self._tried(step, self.begin, once=nested)

    def at_once(self, step: Callable[[], T]) -> T:
        """Run `step`, which is one round trip and a transaction by itself, again when it lost a conflict."""
        if failpoints.armed:  # then there are places within
            return self.transact(step)
        return self._tried(step, nullcontext, once=False)

    def _tried(self, step: Callable[[], T], begin: Callable[[], AbstractContextManager[None]], *, once: bool) -> T:
        for attempt in range(1, _TRIES + 1):
            try:
                with begin():
                    return step()
            except TryAgain:
                if attempt == _TRIES:
                    raise
            except DatabaseError as error:
                if once or attempt == _TRIES or not self.is_conflict(error):
                    raise
            time.sleep(random.uniform(0, 0.002 * attempt))
        raise AssertionError("unreachable")

    def begin(self) -> AbstractContextManager[None]:
        return transaction.atomic(self.using)

    def is_conflict(self, error: DatabaseError | InterfaceError) -> bool:
        """Whether a deadlock, a serialization failure or a busy database refused the transaction."""
        raise NotImplementedError

    def limit_idle_transactions(self, seconds: float | None) -> None:
        """Let the database end this session when a transaction idles for so long; None is what it does by itself."""

    def limit_statements(self, seconds: float | None) -> None:
        """Let the database end a statement of this session that takes so long; None is as the session began."""

    def connect_options(self, seconds: float) -> dict[str, Any]:
        """OPTIONS with which a new session gives up a server that is silent for about so long."""
        return {}

    def is_outage(self, error: DatabaseError | InterfaceError) -> bool:
        """Whether an error may pass by itself, so that waiting helps."""
        return isinstance(error, (OperationalError, InterfaceError))

    def now(self) -> datetime:
        """The database's clock, which rules: hosts may differ."""
        raise NotImplementedError

    # Rows

    def lock_jobs(self, ids: Iterable[UUID], *, skip_locked: bool = False) -> dict[UUID, Job]:
        """Lock these jobs in ascending id and read them, without their large columns."""
        rows: dict[UUID, Job] = {}
        clause = self.skip_locked_clause if skip_locked else self.lock_clause
        for chunk in self.chunks(ids):
            statement = (
                f"SELECT {sql.columns(lean=True)} FROM {sql.JOB} {self.lock_hint} "
                f"WHERE id IN ({sql.marks(chunk)}) ORDER BY id {clause}"
            )
            rows.update((job.pk, job) for job in self._raw_jobs(statement, self._ids(chunk)))
        return rows

    def waiting_jobs(self, queue_names: Sequence[str], limit: int) -> list[Job]:
        """Up to `limit` waiting jobs, locked, those that others hold left out; the queues are dealt theirs in turn."""
        dealt: dict[str, list[Job]] = {name: [] for name in queue_names}
        left, rest = list(dealt), limit
        while left and rest:  # what one leaves of its share goes to the others
            left.sort(key=lambda name: len(dealt[name]))
            share, more = divmod(rest, len(left))
            for turn, name in enumerate(list(left)):
                room = share + (turn < more)
                jobs = self._waiting_in(name, room, dealt[name]) if room else []
                dealt[name] += jobs
                rest -= len(jobs)
                if len(jobs) < room:
                    left.remove(name)
        return [job for turn in zip_longest(*dealt.values()) for job in turn if job]

    def _waiting_in(self, queue_name: str, limit: int, beyond: Sequence[Job]) -> list[Job]:
        # rows that this transaction has locked are not skipped by it: ask for as many more
        jobs = self._raw_jobs(
            f"SELECT {sql.columns()} FROM {sql.JOB} {self.waiting_hint} WHERE state = 'waiting' AND queue_name = %s "
            f"ORDER BY priority, position, id LIMIT %s {self.skip_locked_clause}",
            [queue_name, limit + len(beyond)],
        )
        known = {job.pk for job in beyond}
        return [job for job in jobs if job.pk not in known][:limit]

    def has_waiting(self, queue_names: Collection[str] | None) -> bool:
        """Whether a claim may find something (None: in any queue), where looking first costs less than a claim."""
        return True

    @property
    def has_turns(self) -> bool:
        """Whether `take_turn` can be called, here and now."""
        return False

    def take_turn(self, ended: Sequence[Ended], taking: Taking | None) -> Turn:
        """Write what ended and lease what waits, in one round trip that is a transaction by itself."""
        raise NotImplementedError

    def write_jobs(self, jobs: Iterable[Job], fields: Sequence[str]) -> None:
        """Store these fields of locked jobs, each with its own values, in one round where the driver can."""
        metas: list[Any] = [Job._meta.get_field(name) for name in fields]
        assignments = ", ".join(f"{self._quote(field.column)} = %s" for field in metas)
        rows = self._rows(jobs, [*metas, Job._meta.pk])
        with self.connection.cursor() as cursor:
            cursor.executemany(f"UPDATE {sql.JOB} SET {assignments} WHERE id = %s", rows)

    def update_jobs(self, ids: Iterable[UUID], values: Mapping[str, Any], add: Mapping[str, int] | None = None) -> None:
        """Give these locked jobs the same `values`, and `add` to their counters; always by primary key."""
        metas: list[Any] = [Job._meta.get_field(name) for name in values]
        sets = [f"{self._quote(field.column)} = %s" for field in metas]
        sets += [f"{name} = {name} + {number}" for name, number in (add or {}).items()]
        params = [f.get_db_prep_save(value, self.connection) for f, value in zip(metas, values.values(), strict=True)]
        with self.connection.cursor() as cursor:
            for chunk in self.chunks(ids):
                statement = f"UPDATE {sql.JOB} {self.lock_hint} SET {', '.join(sets)} WHERE id IN ({sql.marks(chunk)})"
                cursor.execute(statement, [*params, *self._ids(chunk)])

    def delete_jobs(self, ids: Iterable[UUID]) -> int:
        """Delete jobs with their logs and errors, in ascending id: children before parents."""
        count = 0
        with self.connection.cursor() as cursor:
            for chunk in self.chunks(ids):
                for table in sql.HISTORY:
                    cursor.execute(f"DELETE FROM {table} WHERE job_id IN ({sql.marks(chunk)})", self._ids(chunk))
                cursor.execute(
                    f"DELETE FROM {sql.JOB} WHERE id IN ({sql.marks(chunk)}) {self.delete_order}",
                    self._ids(chunk),
                )
                count += cursor.rowcount
        return count

    # Trees

    def subtree_ids(self, ids: Iterable[UUID], states: Iterable[str] | None = None) -> set[UUID]:
        """These jobs and their descendants; with `states`, only down through descendants in one of those."""
        only = f"AND c.state IN ({', '.join(repr(str(s)) for s in states)})" if states else ""
        return {row[0] for row in self._recurse(sql.SUBTREE, ids, downwards=True, hint=self.children_hint, only=only)}

    def failing_ancestors(self, ids: Iterable[UUID]) -> list[sql.Ancestor]:
        """These jobs and what lies above, as far as a failure climbs."""
        return self._ancestors(ids, sql.FAILS_WITH_CHILD)

    def reopening_ancestors(self, ids: Iterable[UUID]) -> list[sql.Ancestor]:
        """These jobs and what lies above, as far as a retry climbs."""
        return self._ancestors(ids, sql.FAILED_THROUGH_CHILD)

    def _ancestors(self, ids: Iterable[UUID], condition: str) -> list[sql.Ancestor]:
        found = self._recurse(sql.ANCESTORS, ids, hint=self.lock_hint, condition=condition)
        return [sql.Ancestor(*row) for row in found]

    def _recurse(
        self, statement: str, ids: Iterable[UUID], *, downwards: bool = False, **parts: str
    ) -> Iterable[tuple[Any, ...]]:
        found: dict[Any, tuple[Any, ...]] = {}
        chunks = list(self.chunks(ids))
        if downwards:
            chunks.reverse()  # parents have the higher ids
        with self.connection.cursor() as cursor:
            for chunk in chunks:
                if start := [pk for pk in chunk if pk not in found]:  # else a long chain would be walked many times
                    filled = statement.format(marks=sql.marks(start), join=self.ordered_join, **parts)
                    cursor.execute(filled, self._ids(start))
                    rows = ((sql.as_uuid(row[0]), sql.as_uuid(row[1]), *row[2:]) for row in cursor.fetchall())
                    found.update((row[0], row) for row in rows)
        return found.values()

    def waiting_queue_names(self) -> list[str]:
        """Queues that have a waiting job, found by skipping through the index, not by reading it."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql.WAITING_QUEUES)
            return [name for (name,) in cursor]

    def next_due(self) -> float | None:
        """Seconds until the next delayed job is due, not above 0 for one that is; None without one."""
        run_at = Job.objects.using(self.using).delayed().order_by("run_at").values_list("run_at", flat=True).first()
        return None if run_at is None else (run_at - self.now()).total_seconds()

    def has_chores(self, gone_for: timedelta) -> bool:
        """Whether maintenance may have something to do, where one statement can tell; `gone_for` is how long dead
        workers are kept."""
        return True

    # Wake-ups

    def notify(self, queue_names: Iterable[str]) -> None:
        """Tell sleeping workers, after a commit; where the database can't, they poll."""

    def listen(self) -> Listener | None:
        """A session that hears `notify`, None where the database has no such thing."""
        return None

    def data_version(self) -> int | None:
        """A number that changes when another session has committed; None where to ask costs as much as a look."""
        return None

    # Migrations

    def after_migrate(self, schema_editor: Any) -> None:
        """What the tables need beyond Django's operations."""

    # Checks

    def problems(self) -> list[Problem]:
        """What of this database's version and settings stands against running on it; asks the server."""
        return []

    def _setting(self, statement: str) -> str:
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            return str(cursor.fetchone()[0])

    # Helpers

    def chunks(self, ids: Iterable[UUID], size: int = CHUNK) -> Iterator[list[UUID]]:
        """Ascending, so that locks taken chunk by chunk keep the order."""
        ordered = sorted(ids)
        for start in range(0, len(ordered), size):
            yield ordered[start : start + size]

    def _rows(self, jobs: Iterable[Job], fields: Sequence[Any]) -> list[list[Any]]:
        """What the driver is given for these fields of each job."""
        known: dict[Any, Any] = {}  # the same few times, states and parents come again and again

        def prepared(field: Any, value: Any) -> Any:
            if isinstance(field, models.JSONField):
                return field.get_db_prep_save(value, self.connection)
            if type(value) in _PLAIN:
                return value
            if value not in known:
                known[value] = field.get_db_prep_save(value, self.connection)
            return known[value]

        return [[prepared(field, getattr(job, field.attname)) for field in fields] for job in jobs]

    def _ids(self, ids: Iterable[UUID]) -> list[Any]:
        field = Job._meta.pk
        return [field.get_db_prep_value(value, self.connection) for value in ids]

    def _quote(self, name: str) -> str:
        quoted: str = self.connection.ops.quote_name(name)
        return quoted

    def _raw_jobs(self, statement: str, params: Sequence[Any]) -> Iterator[Job]:
        return iter(Job.objects.using(self.using).raw(statement, params))
