"""What a parent reads of its children, without the query's way through the ORM, which takes twice as long."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connections, models

from conveyor_django.models import Job

from . import sql


def children(
    using: str, parent: UUID, column: str, states: Sequence[str], after: UUID | None, limit: int
) -> list[tuple[UUID, Any]]:
    """`(id, value of the column)` of up to `limit` children in these states, ascending, from after that one."""
    connection = connections[using]
    key: Any = Job._meta.pk
    beyond = "" if after is None else "AND id > %s"
    ids = [key.get_db_prep_value(value, connection) for value in (parent, after) if value is not None]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, {column} FROM {sql.JOB} WHERE parent_id = %s {beyond} "
            f"AND state IN ({sql.marks(states)}) ORDER BY id LIMIT {limit}",
            [*ids, *states],
        )
        rows = cursor.fetchall()
    is_json = isinstance(Job._meta.get_field(column), models.JSONField)
    return [(_uuid(i), json.loads(value) if is_json and value is not None else value) for i, value in rows]


def _uuid(value: Any) -> UUID:
    found = sql.as_uuid(value)
    assert found is not None
    return found
