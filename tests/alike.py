"""Thousands of jobs for tests of what thousands of them cost."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models.sql import InsertQuery

from conveyor_django.models import Job

# rows that a transaction took back stay in PostgreSQL's tables for a while, and each later test would read past them
emptied_after = pytest.mark.django_db(transaction=True)


def store_alike(ids: Iterable[UUID], **fields: Any) -> None:
    """Roots that differ in their ids alone: one of them goes through Django, the others are rows like its own."""
    first, *others = ids
    query = InsertQuery(Job)
    query.insert_values(Job._meta.concrete_fields, [Job(id=first, root_id=first, **fields)])
    [(statement, row)] = query.get_compiler(connection=connection).as_sql()
    values = {pk: Job._meta.pk.get_db_prep_value(pk, connection) for pk in (first, *others)}
    rows = ([value if each == values[first] else each for each in row] for value in values.values())
    with connection.cursor() as cursor:
        cursor.executemany(statement, list(rows))
