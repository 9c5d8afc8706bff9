"""MariaDB and MySQL: locks through the primary key under READ COMMITTED, exact collations."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import DatabaseError, models

from conveyor_django.models import Job, JobError, JobLog, QueueState, WorkerProcess

from .base import Engine

_CONFLICTS = {1213, 1205, 1020}  # deadlock, lock wait timeout, record changed since last read
_ALL_LEVELS = 4_294_967_295


class MySQLEngine(Engine):
    lock_hint = "FORCE INDEX (PRIMARY)"  # through another index the locks would come in another order
    lock_clause = "FOR UPDATE"
    skip_locked_clause = "FOR UPDATE SKIP LOCKED"
    delete_order = "ORDER BY id"
    parents_first = True

    def is_conflict(self, error: DatabaseError) -> bool:
        return bool(error.args) and error.args[0] in _CONFLICTS

    def now(self) -> datetime:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT UTC_TIMESTAMP(6)")  # NOW() is in the session's time zone
            value: datetime = cursor.fetchone()[0]
        return value.replace(tzinfo=UTC)

    def _recurse(self, statement: str, ids: Iterable[UUID], **parts: str) -> set[tuple[Any, ...]]:
        # MariaDB stops silently at 1,000 levels, MySQL with an error
        name = "max_recursive_iterations" if self.connection.mysql_is_mariadb else "cte_max_recursion_depth"
        with self.connection.cursor() as cursor:
            cursor.execute(f"SET SESSION {name} = {_ALL_LEVELS}")
        return super()._recurse(statement, ids, **parts)

    def after_migrate(self, schema_editor: Any) -> None:
        """Names compare exactly, case and trailing blanks included, and any text fits, whatever the tables' default."""
        collation = "utf8mb4_nopad_bin" if self.connection.mysql_is_mariadb else "utf8mb4_0900_bin"
        for model in (Job, JobError, JobLog, QueueState, WorkerProcess):
            changes = [
                f"MODIFY {self._quote(field.column)} {field.db_type(self.connection)} "
                f"CHARACTER SET utf8mb4 COLLATE {collation} {'NULL' if field.null else 'NOT NULL'}"
                for field in _text_fields(model)
            ]
            if changes:
                schema_editor.execute(f"ALTER TABLE {self._quote(model._meta.db_table)} {', '.join(changes)}")


def _text_fields(model: type[models.Model]) -> Iterator[Any]:
    for field in model._meta.concrete_fields:
        if isinstance(field, (models.CharField, models.TextField)):
            yield field
