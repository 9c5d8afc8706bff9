"""MariaDB and MySQL: locks through the primary key under READ COMMITTED, exact collations."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import DatabaseError, DataError, InterfaceError, OperationalError, models

from conveyor_django.conf import get_settings
from conveyor_django.models import Job, JobError, JobLog, NewJob, QueueMinute, QueueState, WorkerProcess

from . import sql
from .base import Engine
from .problems import Problem, too_old
from .steps import Steps
from .turns import Ended

_CONFLICTS = {1213, 1205, 1020}  # deadlock, lock wait timeout, record changed since last read
_STATEMENT = 4  # times MAX_DATA_BYTES: a result and progress, each up to twice as long once quoted
_TOO_LARGE = 1153
_HUNG_UP = {_TOO_LARGE, 2006, 2013}
_ALL_LEVELS = 4_294_967_295
_OLDEST = {"MariaDB": (10, 6), "MySQL": (8, 0, 1)}  # the first that can skip locked rows
_UUID_ORDER_BROKEN = [  # MDEV-29959: from, and the first without it
    ((10, 7), (10, 10, 6)),
    ((10, 11), (10, 11, 5)),
    ((11, 0), (11, 0, 3)),
    ((11, 1), (11, 1, 2)),
]


class MySQLEngine(Steps, Engine):
    lock_hint = "FORCE INDEX (PRIMARY)"  # through another index the locks would come in another order
    # through another index it would lock, and so hide, rows of other claims
    waiting_hint = "FORCE INDEX (conveyor_job_waiting)"
    children_hint = "FORCE INDEX (conveyor_job_parent)"
    ordered_join = "STRAIGHT_JOIN"
    lock_clause = "FOR UPDATE"
    skip_locked_clause = "FOR UPDATE SKIP LOCKED"
    delete_order = "ORDER BY id"
    parents_first = True

    def is_conflict(self, error: DatabaseError | InterfaceError) -> bool:
        return bool(error.args) and error.args[0] in _CONFLICTS

    @contextmanager
    def begin(self) -> Iterator[None]:
        with self.connection.execute_wrapper(self._tell_large), super().begin():
            yield

    def _write_ended(self, ended: Ended, now: datetime) -> None:
        values = self._values(ended, now)
        [result] = ended.each
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE JSON_TABLE(%s, '$[*]' COLUMNS (id CHAR(36) PATH '$[0]', result LONGTEXT PATH '$[1]')) r "
                f"STRAIGHT_JOIN {sql.JOB} j {self.lock_hint} ON j.id = r.id "
                f"SET {', '.join(f'j.{column} = %s' for column in values)}, j.{result} = r.result",
                [self._listed(ended), *values.values()],
            )

    def insert_jobs(self, jobs: Sequence[NewJob], **options: Any) -> int:
        with self.connection.execute_wrapper(self._tell_large):
            return super().insert_jobs(jobs, **options)

    def _tell_large(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        """The server hangs up on a statement above its limit, which else would look like an outage that never ends."""
        try:
            return execute(sql, params, many, context)
        except OperationalError as error:
            if not error.args or error.args[0] not in _HUNG_UP:
                raise
            size = max(map(_size, params if many else [params]), default=0)
            if error.args[0] != _TOO_LARGE and size <= self._largest_statement():
                raise
            raise DataError(f"a statement of {size} bytes and more is above the server's max_allowed_packet") from error

    def _largest_statement(self) -> float:
        connection = self.connection  # is gone, and Django must not take another one for it
        try:
            session = connection.get_new_connection(connection.get_connection_params())
            with closing(session), session.cursor() as cursor:
                cursor.execute("SELECT @@max_allowed_packet")
                return int(cursor.fetchone()[0])
        except connection.Database.Error:  # the driver's: then it is an outage
            return math.inf

    def waiting_queue_names(self) -> list[str]:
        self._allow_all_levels()
        return super().waiting_queue_names()

    def limit_idle_transactions(self, seconds: float | None) -> None:
        if self.connection.mysql_is_mariadb:  # MySQL has no such limit
            limit = "DEFAULT" if seconds is None else math.ceil(seconds)
            with self.connection.cursor() as cursor:
                cursor.execute(f"SET SESSION idle_transaction_timeout = {limit}")

    def limit_statements(self, seconds: float | None) -> None:
        limit = "DEFAULT" if seconds is None else math.ceil(seconds)
        # MySQL's limit of all a statement's time is for reads only
        also = f", max_statement_time = {limit}" if self.connection.mysql_is_mariadb else ""
        with self.connection.cursor() as cursor:
            cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {limit}{also}")

    def connect_options(self, seconds: float) -> dict[str, Any]:
        return {"connect_timeout": max(2, min(10, int(seconds / 3)))}

    def now(self) -> datetime:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT UTC_TIMESTAMP(6)")  # NOW() is in the session's time zone
            value: datetime = cursor.fetchone()[0]
        return value.replace(tzinfo=UTC)

    def _recurse(
        self, statement: str, ids: Iterable[UUID], *, downwards: bool = False, **parts: str
    ) -> Iterable[tuple[Any, ...]]:
        self._allow_all_levels()
        return super()._recurse(statement, ids, downwards=downwards, **parts)

    def _allow_all_levels(self) -> None:
        # MariaDB stops silently at 1,000 levels, MySQL with an error
        name = "max_recursive_iterations" if self.connection.mysql_is_mariadb else "cte_max_recursion_depth"
        with self.connection.cursor() as cursor:
            cursor.execute(f"SET SESSION {name} = {_ALL_LEVELS}")

    def after_migrate(self, schema_editor: Any) -> None:
        """Names compare exactly, case and trailing blanks included, and any text fits, whatever the tables' default."""
        collation = self._exact_collation()
        for model in (Job, JobError, JobLog, QueueMinute, QueueState, WorkerProcess):
            changes = [
                f"MODIFY {self._quote(field.column)} {field.db_type(self.connection)} "
                f"CHARACTER SET utf8mb4 COLLATE {collation} {'NULL' if field.null else 'NOT NULL'}"
                for field in _text_fields(model)
            ]
            if changes:
                schema_editor.execute(f"ALTER TABLE {self._quote(model._meta.db_table)} {', '.join(changes)}")

    def _exact_collation(self) -> str:
        if self.connection.mysql_is_mariadb:
            return "utf8mb4_nopad_bin"
        # the older one tells case, accents and blanks apart too, though not two spellings of one accented letter
        return "utf8mb4_0900_bin" if self.connection.mysql_version >= (8, 0, 17) else "utf8mb4_0900_as_cs"

    def problems(self) -> list[Problem]:
        name = "MariaDB" if self.connection.mysql_is_mariadb else "MySQL"
        version: tuple[int, ...] = self.connection.mysql_version
        return [*_version_problems(name, version), *self._session_problems(name)]

    def _session_problems(self, name: str) -> Iterator[Problem]:
        options = f"DATABASES[{self.using!r}]['OPTIONS']"
        variable = "tx_isolation" if name == "MariaDB" else "transaction_isolation"
        if (level := self._setting(f"SELECT @@{variable}")) != "READ-COMMITTED":
            yield Problem(
                "E013",
                f"Transactions run at the isolation level {level}: workers would act on what is no longer so, and "
                "block those who add jobs.",
                f"Leave 'isolation_level' out of {options} (Django's default is 'read committed').",
            )
        if (charset := self._setting("SELECT @@character_set_client")) != "utf8mb4":
            yield Problem(
                "E014",
                f"The connection speaks {charset} and not utf8mb4: the error of a failed job may be refused.",
                f"Write into {options}: 'charset': 'utf8mb4'",
            )
        needed = _STATEMENT * get_settings().MAX_DATA_BYTES
        if (allowed := int(self._setting("SELECT @@max_allowed_packet"))) < needed:
            yield Problem(
                "W018",
                f"The server takes statements of {allowed} bytes (max_allowed_packet): large data and results may be "
                "refused.",
                f"Raise max_allowed_packet to {needed}, or lower CONVEYOR['MAX_DATA_BYTES'].",
            )


def _version_problems(name: str, version: tuple[int, ...]) -> Iterator[Problem]:
    shown = ".".join(map(str, version))
    if version < _OLDEST[name]:
        yield too_old(name, shown, ".".join(map(str, _OLDEST[name])))
    for first, fixed in _UUID_ORDER_BROKEN:
        if name == "MariaDB" and first <= version < fixed:
            yield Problem(
                "E012",
                f"MariaDB {shown} sorts UUIDs wrongly (MDEV-29959): jobs would run, and be locked, in a wrong order.",
                f"Upgrade to MariaDB {'.'.join(map(str, fixed))} or newer.",
            )


def _size(params: Any) -> int:
    """Bytes of the texts among them, with a backslash before each character that gets one."""
    texts = [value for value in params or () if isinstance(value, str)]
    return sum(len(text.encode()) + sum(map(text.count, "'\"\\\n\r\x1a")) for text in texts)


def _text_fields(model: type[models.Model]) -> Iterator[Any]:
    for field in model._meta.concrete_fields:
        if isinstance(field, (models.CharField, models.TextField)):
            yield field
