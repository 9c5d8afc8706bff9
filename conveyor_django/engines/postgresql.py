"""PostgreSQL: ordered row locks, SKIP LOCKED over several queues at once, LISTEN and NOTIFY."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import DatabaseError

from conveyor_django.models import Job

from . import sql
from .base import Engine, Listener
from .throttle import Throttle

CHANNEL = "conveyor_django"
_CONFLICTS = {"40P01", "40001", "55P03"}  # deadlock, serialization failure, lock not available

# Each queue's share is read from its own stretch of the index; `nth` deals them out in turn.
_WAITING = """
SELECT q.* FROM (
    SELECT q.*, u.turn, row_number() OVER (PARTITION BY u.turn ORDER BY q.priority, q.position, q.id) AS nth
    FROM unnest(%s::text[]) WITH ORDINALITY u(queue_name, turn) CROSS JOIN LATERAL (
        SELECT {columns} FROM {table} WHERE state = 'waiting' AND queue_name = u.queue_name
        ORDER BY priority, position, id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
    ) q
) q ORDER BY nth, turn LIMIT %s"""

_throttle = Throttle(seconds=0.02)


class PostgresEngine(Engine):
    lock_clause = "FOR NO KEY UPDATE"  # doesn't block the insert of children, as FOR UPDATE would
    skip_locked_clause = "FOR NO KEY UPDATE SKIP LOCKED"

    def is_conflict(self, error: DatabaseError) -> bool:
        return getattr(error.__cause__, "sqlstate", None) in _CONFLICTS

    def now(self) -> datetime:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")  # now() would be the transaction's start
            value: datetime = cursor.fetchone()[0]
        return value if value.tzinfo else value.replace(tzinfo=UTC)

    def chunks(self, ids: Iterable[UUID], size: int = 20_000) -> Any:
        return super().chunks(ids, size)

    def waiting_jobs(self, queue_names: Sequence[str], limit: int) -> list[Job]:
        statement = _WAITING.format(columns=sql.columns(), table=sql.JOB)
        return list(self._raw_jobs(statement, [list(queue_names), limit, limit]))

    def notify(self, queue_names: Iterable[str]) -> None:
        if names := [name for name in queue_names if _throttle.passes((self.using, name))]:
            with (
                suppress(DatabaseError),
                self.connection.cursor() as cursor,
            ):  # polling finds the work all the same
                for name in names:
                    cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, name])

    def listen(self) -> Listener | None:
        params = self.connection.get_connection_params()
        params.pop("cursor_factory", None)
        with self.connection.wrap_database_errors:
            session = self.connection.Database.connect(**params)
            if not hasattr(session, "notifies"):  # psycopg 2
                session.close()
                return None
            return _PostgresListener(session, self.connection.wrap_database_errors)


class _PostgresListener(Listener):
    def __init__(self, session: Any, errors: Any) -> None:
        self._session = session
        self._errors = errors
        session.autocommit = True
        session.execute(f"LISTEN {CHANNEL}")

    def wait(self, timeout: float) -> bool:
        with self._errors:
            return any(True for _ in self._session.notifies(timeout=timeout, stop_after=1))

    def close(self) -> None:
        self._session.close()
