"""PostgreSQL's two ways to insert many new jobs at once: COPY, and for some dozens one statement with them as JSON.

Measured: a statement with a parameter for each value takes two to three times as long as either for 20 jobs. JSON
takes a round trip less than COPY needs, and COPY half of JSON's time for some hundred jobs and more.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any

from django.db import connections

from conveyor_django.encoding import PortableEncoder
from conveyor_django.models import NewJob, Template

from . import sql
from .inserts import COLUMNS, FIELDS, SHARED_FIELDS, rows_of, written

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_NULL = r"\N"
_PIECE = 100  # lines that are in memory at once

COPY = f"COPY {sql.JOB} ({COLUMNS}) FROM STDIN"


# a commit less than telling afterwards takes
_TELLING = (
    "WITH new(time) AS ({}), "
    f"told AS (SELECT count(pg_notify('{sql.CHANNEL}', name)) FROM unnest(%s::text[]) name) "
    "SELECT time FROM new, told"
)


def insert(
    jobs: Sequence[NewJob], connection: Any, told: Sequence[str], *, ignore_conflicts: bool
) -> tuple[str, Sequence[Any]]:
    """A statement that returns the time of each job that it stores: its own, or the statement's when it has none.

    Its commit wakes the workers of the queues in `told`.
    """
    if len(jobs) == 1:  # planned quicker
        [params] = rows_of(jobs, connection)
    else:
        params = [f"[{','.join(_objects(jobs))}]"]
    conflicts = "ON CONFLICT DO NOTHING" if ignore_conflicts else ""
    statement = f"{_inserts(connection.alias)[len(jobs) > 1]} {conflicts} RETURNING created_at AT TIME ZONE 'UTC'"
    return (_TELLING.format(statement), [*params, list(told)]) if told else (statement, params)


@cache
def _inserts(using: str) -> tuple[str, str]:
    """Of one job from its values, and of several from JSON."""
    values, columns, types = [], [], []
    for field in FIELDS:
        value, column, kind = "%s", f"r.{field.column}", field.db_type(connections[using])
        if field.name == "created_at":
            value, column = (f"COALESCE({time}, statement_timestamp())" for time in (f"%s::{kind}", column))
        values.append(value)
        columns.append(column)
        types.append(f"{field.column} {kind}")
    rows = f"json_to_recordset(%s::json) r({', '.join(types)})"
    start = f"INSERT INTO {sql.JOB} ({COLUMNS})"
    return f"{start} VALUES ({', '.join(values)})", f"{start} SELECT {', '.join(columns)} FROM {rows}"


def _objects(jobs: Iterable[NewJob]) -> Iterator[str]:
    """What isn't mentioned is NULL."""
    for job in jobs:
        parent = f'"parent_id":"{job.parent_id.hex}",' if job.parent_id else ""
        job_id = f'"job_id":{json.dumps(job.job_id)},' if job.job_id is not None else ""
        run_at = f'"run_at":"{job.run_at}",' if job.run_at else ""
        created_at = f'"created_at":"{job.created_at}",' if job.created_at else ""
        removes = "true" if job.removes_children else "false"
        yield (
            f'{{"id":"{job.id.hex}","root_id":"{job.root_id.hex}",{parent}{job_id}{run_at}{created_at}'
            f'"data":{job.text},"state":"{job.state}","depth":{job.depth},"pending_children":{job.pending_children},'
            f'"position":{job.position},"delay":{job.delay},"removes_children":{removes},'
            f"{written(job.template, 'json', _members)}}}"
        )


def _members(template: Template) -> str:
    return json.dumps({field.column: template.columns[field.attname] for field in SHARED_FIELDS})[1:-1]


def lines(jobs: Iterable[NewJob]) -> Iterator[str]:
    """Pieces of what `COPY` reads."""
    every = _lines(jobs)
    while piece := "".join(islice(every, _PIECE)):
        yield piece


def _lines(jobs: Iterable[NewJob]) -> Iterator[str]:
    parent_id, parent = None, _NULL  # one and the same for many jobs in a row, as the time is
    created_at, created = None, _NULL
    for job in jobs:
        if job.parent_id is not parent_id:
            parent_id, parent = job.parent_id, _text(job.parent_id)
        if job.created_at is not created_at:
            created_at, created = job.created_at, str(job.created_at)
        job_id = _NULL if job.job_id is None else _text(job.job_id)
        data = _NULL if job.data is None else job.text.replace("\\", r"\\")  # JSON needs no other escape
        run_at = _NULL if job.run_at is None else str(job.run_at)
        yield (
            f"{job.id.hex}\t{job_id}\t{data}\t{job.state}\t{parent}\t{job.root_id.hex}\t{job.depth}\t"
            f"{job.pending_children}\t{job.position}\t{job.delay}\t{job.removes_children}\t{run_at}\t{created}\t"
            f"{written(job.template, 'copy', _tail)}\n"
        )


def _tail(template: Template) -> str:
    return "\t".join(_text(template.columns[field.attname]) for field in SHARED_FIELDS)


def _text(value: Any) -> str:
    if value is None:
        return _NULL
    text = json.dumps(value, cls=PortableEncoder) if isinstance(value, (dict, list)) else str(value)
    return text.translate(_ESCAPES)
