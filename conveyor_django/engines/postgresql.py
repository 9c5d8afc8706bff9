"""PostgreSQL: ordered row locks, SKIP LOCKED over several queues at once, LISTEN and NOTIFY."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import DatabaseError, Error, InterfaceError, transaction

from conveyor_django.models import NewJob

from . import copying, sql
from .base import Engine
from .listener import Listener
from .pipeline import NEXT_DUE, Pipeline, by_epoch, jobs_of, lock, take_waiting, write_ended
from .problems import Problem
from .throttle import Throttle
from .turns import Ended, Taking, Turn

_WORTH_A_COPY = 50  # jobs
# deadlock, serialization failure, lock not available, and a session that was ended since its transaction idled
_CONFLICTS = {"40P01", "40001", "55P03", "25P03"}

_READ_ONLY = "25006"  # for maintenance, or a standby that isn't promoted yet

_AUTOVACUUM = {
    "autovacuum_vacuum_scale_factor": 0.01,
    "autovacuum_vacuum_threshold": 1000,
    "autovacuum_analyze_scale_factor": 0.05,
}

_throttle = Throttle(seconds=0.02)


def _code(error: BaseException) -> str | None:
    """As psycopg says it, or psycopg 2."""
    return getattr(error.__cause__, "sqlstate", None) or getattr(error.__cause__, "pgcode", None)


class PostgresEngine(Engine):
    lock_clause = "FOR NO KEY UPDATE"  # doesn't block the insert of children, as FOR UPDATE would
    skip_locked_clause = "FOR NO KEY UPDATE SKIP LOCKED"

    def is_conflict(self, error: DatabaseError | InterfaceError) -> bool:
        return _code(error) in _CONFLICTS

    def is_outage(self, error: DatabaseError | InterfaceError) -> bool:
        return super().is_outage(error) or _code(error) == _READ_ONLY

    def limit_idle_transactions(self, seconds: float | None) -> None:
        limit = "DEFAULT" if seconds is None else int(seconds * 1000)
        with self.connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = {limit}")

    def limit_statements(self, seconds: float | None) -> None:
        limit = "DEFAULT" if seconds is None else int(seconds * 1000)
        with self.connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {limit}")

    def connect_options(self, seconds: float) -> dict[str, Any]:
        third = max(1, int(seconds / 3))
        return {
            "connect_timeout": max(2, min(10, third)),
            "keepalives_idle": third,
            "keepalives_interval": max(1, third // 3),
            "keepalives_count": 3,
            "tcp_user_timeout": int(seconds * 1000),
        }

    def after_migrate(self, schema_editor: Any) -> None:
        """Have what jobs leave behind at each change tidied up early: the usual fifth of a large table is too late."""
        settings = ", ".join(f"{name} = {value}" for name, value in _AUTOVACUUM.items())
        schema_editor.execute(f"ALTER TABLE {self._quote(sql.JOB)} SET ({settings})")

    def now(self) -> datetime:
        with self.connection.cursor() as cursor:
            # now() would be the transaction's start; Django takes the session's time zone to be the one it set
            cursor.execute("SELECT clock_timestamp() AT TIME ZONE 'UTC'")
            value: datetime = cursor.fetchone()[0]
        return value.replace(tzinfo=UTC)

    def chunks(self, ids: Iterable[UUID], size: int = 20_000) -> Any:
        return super().chunks(ids, size)

    def takes_one_statement(self, jobs: Sequence[NewJob]) -> bool:
        if len(jobs) >= _WORTH_A_COPY and not self._copies(len(jobs)):
            return False
        return len(jobs) == 1 or all(job.job_id is None for job in jobs)

    def time_to_add(self, number: int) -> datetime | None:
        return self.now() if self._copies(number) else None

    def insert_jobs(self, jobs: Sequence[NewJob], *, ignore_conflicts: bool = False, wake: Collection[str] = ()) -> int:
        if self._copies(len(jobs)) and not ignore_conflicts:
            self._copy(copying.COPY, copying.lines(jobs))
            return len(jobs)
        stored = 0
        told = [] if self.connection.in_atomic_block else self._not_told_lately(wake)
        with self._forgetting(told), self.connection.cursor() as cursor:
            for start in range(0, len(jobs), _WORTH_A_COPY):
                some = jobs[start : start + _WORTH_A_COPY]
                cursor.execute(*copying.insert(some, self.connection, told, ignore_conflicts=ignore_conflicts))
                if times := cursor.fetchall():
                    stored += len(times)
                    created_at = times[0][0].replace(tzinfo=UTC)
                    for job in some:
                        job.created_at = created_at
        return stored

    def _copies(self, number: int) -> bool:
        return number >= _WORTH_A_COPY and hasattr(self.connection.Database, "Copy")  # psycopg 2 hasn't

    def _copy(self, statement: str, pieces: Iterator[str]) -> None:
        with self.connection.cursor() as cursor:

            def execute(statement: str, pieces: Iterator[str], *_: Any) -> None:
                with self.connection.wrap_database_errors, cursor.copy(statement) as copy:
                    for piece in pieces:
                        copy.write(piece)

            for wrapper in reversed(self.connection.execute_wrappers):  # as Django does for what it executes
                execute = partial(wrapper, execute)
            execute(statement, pieces, True, {"connection": self.connection, "cursor": cursor})

    @property
    def has_turns(self) -> bool:
        return not self.connection.in_atomic_block and Pipeline.is_available(self.connection)

    def take_turn(self, ended: Sequence[Ended], taking: Taking | None) -> Turn:
        ended = [same for part in ended for same in by_epoch(part)]
        locks = lock(ended)
        statements = [*locks, *map(write_ended, ended), *([take_waiting(taking)] if taking else [])]
        rows = Pipeline(self.connection).send(statements)[len(locks) :]
        refused: set[UUID] = set()
        released: set[str] = set()
        for part, [(written, queues)] in zip(ended, rows, strict=False):
            refused.update(() if written is None else set(part.ids).difference(written))
            released.update(queues or ())
        return Turn(refused, released, jobs_of(rows[-1], taking, self.using) if taking else [])

    def next_due(self) -> float | None:
        if not Pipeline.is_available(self.connection):
            return super().next_due()
        [[(seconds,)]] = Pipeline(self.connection).send([NEXT_DUE])
        return None if seconds is None else float(seconds)

    def has_chores(self, gone_for: timedelta) -> bool:
        if not Pipeline.is_available(self.connection):
            return True
        [[(found,)]] = Pipeline(self.connection).send([(sql.CHORES, [gone_for])])
        return bool(found)

    def notify(self, queue_names: Iterable[str]) -> None:
        if names := self._not_told_lately(queue_names):
            with suppress(Error), self.connection.cursor() as cursor:  # polling finds the work all the same
                for name in names:
                    cursor.execute("SELECT pg_notify(%s, %s)", [sql.CHANNEL, name])

    @contextmanager
    def _forgetting(self, queue_names: Iterable[str]) -> Iterator[None]:
        try:
            yield
        except BaseException:
            for name in queue_names:
                _throttle.forget((self.using, name))
            raise

    def _not_told_lately(self, queue_names: Iterable[str]) -> list[str]:
        return [name for name in queue_names if _throttle.passes((self.using, name))]

    def listen(self) -> Listener | None:
        params = self.connection.get_connection_params()
        params.pop("cursor_factory", None)
        errors = self.connection.wrap_database_errors
        with errors, ExitStack() as on_failure:
            session = self.connection.Database.connect(**params)
            on_failure.callback(session.close)
            if not hasattr(session, "notifies"):  # psycopg 2
                return None
            session.autocommit = True
            session.execute(f"LISTEN {sql.CHANNEL}")
            on_failure.pop_all()
            return _PostgresListener(session, errors)

    def problems(self) -> list[Problem]:
        with transaction.atomic(self.using):  # psycopg sets the level where a transaction begins
            level = self._setting("SHOW transaction_isolation")
        if level == "read committed":
            return []
        return [
            Problem(
                "W017",
                f"Transactions run at the isolation level {level}: claims fail and are tried again.",
                f"Leave 'isolation_level' out of DATABASES[{self.using!r}]['OPTIONS'], or give jobs an alias of "
                "their own without it; if the server's default_transaction_isolation is the cause, set "
                "'isolation_level': IsolationLevel.READ_COMMITTED (of django.db.backends.postgresql.psycopg_any).",
            )
        ]


class _PostgresListener(Listener):
    def __init__(self, session: Any, errors: Any) -> None:
        self._session = session
        self._errors = errors

    def fileno(self) -> int:
        number: int = self._session.fileno()
        return number

    def heard(self) -> set[str]:
        with self._errors:
            return {notification.payload for notification in self._session.notifies(timeout=0)}

    def close(self) -> None:
        self._session.close()
