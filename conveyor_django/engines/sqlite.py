"""SQLite: one writer at a time, so a transition begins with BEGIN IMMEDIATE and needs no row locks."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.utils import timezone

from conveyor_django.models import NewJob

from . import sql
from .base import Engine
from .busy import StillBusy, is_busy, when_free
from .problems import Problem, too_old
from .steps import Steps
from .turns import Ended

_OLDEST = (3, 35)


class SQLiteEngine(Steps, Engine):
    @contextmanager
    def begin(self) -> Iterator[None]:
        connection = self.connection
        if connection.in_atomic_block:
            with transaction.atomic(self.using):
                yield
            return
        connection.ensure_connection()
        mode, connection.transaction_mode = connection.transaction_mode, "IMMEDIATE"  # whatever OPTIONS say
        try:
            with ExitStack() as stack:
                when_free(connection.connection, lambda: stack.enter_context(transaction.atomic(self.using)))
                yield
        finally:
            connection.transaction_mode = mode

    def insert_jobs(self, jobs: Sequence[NewJob], **options: Any) -> int:
        insert = partial(super().insert_jobs, jobs, **options)
        if self.connection.in_atomic_block:
            return insert()
        self.connection.ensure_connection()
        return when_free(self.connection.connection, insert)

    def is_conflict(self, error: DatabaseError | InterfaceError) -> bool:
        return is_busy(error) and not isinstance(error, StillBusy)

    def is_outage(self, error: DatabaseError | InterfaceError) -> bool:
        return super().is_outage(error) and "no such" not in str(error)  # a table or column: the migrations haven't run

    def _write_ended(self, ended: Ended, now: datetime) -> None:
        values = self._values(ended, now)
        [result] = ended.each
        statement = (
            f"UPDATE {sql.JOB} SET {', '.join(f'{column} = %s' for column in values)}, {result} = r.result FROM ("
            "SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS result FROM json_each(%s)) r "
            f"WHERE {sql.JOB}.id = r.id"
        )
        with self.connection.cursor() as cursor:
            cursor.execute(statement, [*values.values(), self._listed(ended)])

    def has_waiting(self, queue_names: Collection[str] | None) -> bool:
        try:
            return super().has_waiting(queue_names)
        except OperationalError as error:  # in memory, readers are refused while another connection writes
            if is_busy(error):
                return True
            raise

    def data_version(self) -> int | None:
        self.connection.ensure_connection()
        with self.connection.wrap_database_errors:  # not by Django's cursor: it would log each look
            [version] = self.connection.connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def limit_statements(self, seconds: float | None) -> None:
        """What may take long here is the wait for somebody else who writes."""
        usual = float(self.connection.settings_dict["OPTIONS"].get("timeout", 5))
        limit = usual if seconds is None else min(usual, seconds)
        with self.connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {int(limit * 1000)}")

    def now(self) -> datetime:
        return timezone.now().astimezone(timezone.get_fixed_timezone(0))  # the database's host is this one

    def problems(self) -> list[Problem]:
        found = []
        options = f"DATABASES[{self.using!r}]['OPTIONS']"
        if (version := self.connection.Database.sqlite_version_info) < _OLDEST:
            found.append(too_old("SQLite", ".".join(map(str, version)), ".".join(map(str, _OLDEST))))
        self.connection.ensure_connection()
        if self.connection.transaction_mode != "IMMEDIATE":
            found.append(
                Problem(
                    "W015",
                    "SQLite's transactions don't begin as IMMEDIATE, so that code which reads before it writes "
                    'fails with "database is locked" while a worker writes.',
                    f"Write into {options}: 'transaction_mode': 'IMMEDIATE'",
                )
            )
        if not self.connection.is_in_memory_db() and self._setting("PRAGMA journal_mode") != "wal":
            found.append(
                Problem(
                    "W016",
                    "SQLite's journal isn't in WAL mode, so that readers and the worker block each other.",
                    f"Write into {options}: 'init_command': 'PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;'",
                )
            )
        return found
