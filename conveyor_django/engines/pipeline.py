"""PostgreSQL's hot path: a worker's whole turn as one pipeline, which is one round trip and one transaction.

The statements go to psycopg's own cursor: it binds parameters on the server, and prepares the statements.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache, partial
from itertools import chain
from typing import Any
from uuid import UUID

from django.db import models

from conveyor_django.models import Job, QueueState, WorkerProcess

from . import leased, sql
from .turns import Ended, Place, Taking

Statement = tuple[str, Sequence[Any]]
Rows = list[tuple[Any, ...]]

_NOT_KEPT = {"26000", "42P05", "08P01"}  # of prepared statements, by a pooler between here and the server
# For this transaction only. A plan is kept for long: one made while the table was small must not read all of it later.
_SETTINGS = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",  # else it is planned each time, which takes as long as to execute it
}
_BY_INDEX: Statement = (
    f"SELECT {', '.join(f'set_config($${name}$$, $${value}$$, true)' for name, value in _SETTINGS.items())}",
    [],
)
NEXT_DUE: Statement = (
    f"SELECT (SELECT extract(epoch FROM run_at - {sql.CLOCK})::float8 FROM {sql.JOB} "
    "WHERE state = 'delayed' ORDER BY run_at LIMIT 1)",
    [],
)
_FRONT: Place = (-(2**31), -(2**63), UUID(int=0))
# IS NOT DISTINCT FROM: asked for equality, the planner would go through the index of active jobs
_HAS_LEASE = "j.id = ANY(%s::text::uuid[]) AND j.epoch = %s AND j.worker IS NOT DISTINCT FROM %s"


def lock(ended: Sequence[Ended]) -> list[Statement]:
    """Children and parents in one ascending order; nothing where no others' rows are written."""
    if not any(part.parents for part in ended):
        return []
    ids = sorted({*chain.from_iterable((*part.ids, *part.parents) for part in ended)})
    statement = f"SELECT FROM {sql.JOB} WHERE id = ANY(%s::text::uuid[]) ORDER BY id FOR NO KEY UPDATE"
    return [(statement, [_array(map(str, ids))])]


def by_epoch(ended: Ended) -> list[Ended]:
    """Most often all have the same."""
    epochs = set(ended.epochs)
    if len(epochs) == 1:
        return [ended]
    return [ended.only(number for number, own in enumerate(ended.epochs) if own == epoch) for epoch in sorted(epochs)]


def write_ended(ended: Ended) -> Statement:
    """For attempts of one epoch.

    Answers with None when all were written, else with the ids of those that were; and with the released queues.

    Rows are asked for by their ids and not by a join with what is given: planned while the table was empty, a join
    would go through all of it later.
    """
    release = ended.release if ended.parents else None
    each = {name: texts for name, texts in ended.each.items() if any(text != "null" for text in texts)}
    values = {**ended.values, **dict.fromkeys(ended.each.keys() - each.keys())}
    statement = _ending(tuple(values), tuple(each), tuple(ended.clock), release and release.field)
    ids = list(map(str, ended.ids))
    given = [_object(ids, texts) for texts in each.values()]
    fence = [_array(ids), ended.epochs[0], ended.worker]
    of_parents = (
        [release.later, release.ready, release.held, _array(map(str, ended.parents)), release.ready] if release else []
    )
    return statement, [*values.values(), *given, *fence, *of_parents, len(ended.ids)]


@cache
def _ending(values: tuple[str, ...], each: tuple[str, ...], clock: tuple[str, ...], counting: str | None) -> str:
    given = [f", {name} = nullif(%s::jsonb -> j.id::text, 'null')" for name in each]
    released = "(SELECT array_agg(DISTINCT queue_name) FROM freed)" if counting else "NULL::text[]"
    return (
        f"WITH done AS (UPDATE {sql.JOB} j SET {_assignments(values, clock)}{''.join(given)} "
        f"WHERE {_HAS_LEASE} RETURNING j.id, j.parent_id){_counted(counting) if counting else ''} "
        f"SELECT CASE WHEN count(*) <> %s THEN coalesce(array_agg(id), '{{}}') END, {released} FROM done"
    )


def _counted(field: str) -> str:
    """As `count_off` and `release_if_done` do for children that completed, whatever state the parent is in."""
    return f""",
clock AS MATERIALIZED (SELECT {sql.CLOCK} AS now),
counted AS (
    UPDATE {sql.JOB} p SET (pending_children, {field}, run_at) = (
        SELECT a.unfinished,
            CASE WHEN NOT a.is_free THEN p.{field} WHEN a.due > a.now THEN %s ELSE %s END,
            CASE WHEN a.is_free THEN a.due ELSE p.run_at END
        FROM (
            SELECT greatest(p.pending_children - n.ended, 0) AS unfinished,
                p.{field} = %s AND p.pending_children <= n.ended AS is_free,
                greatest(p.run_at, c.now + p.delay * interval '1 second') AS due, c.now
            FROM (SELECT count(*) AS ended FROM done WHERE parent_id = p.id) n, clock c
        ) a
    ) WHERE p.id = ANY(%s::text::uuid[]) RETURNING p.queue_name, p.{field}
),
freed AS (SELECT queue_name FROM counted WHERE {field} = %s)"""


def _array(ids: Iterable[str]) -> str:
    return f"{{{','.join(ids)}}}"


def _object(keys: Iterable[str], texts: Iterable[str]) -> str:
    members = [f'"{key}":{text}' for key, text in zip(keys, texts, strict=True)]
    return f"{{{','.join(members)}}}"


def take_waiting(taking: Taking) -> Statement:
    statement = _taking(
        tuple(taking.values), tuple(taking.add.items()), tuple(taking.clock), from_front=not taking.after
    )
    names, rooms = list(taking.rooms), list(taking.rooms.values())
    places = zip(*(taking.after.get(name, _FRONT) for name in names), strict=True) if taking.after else ()
    return statement, [names, rooms, *map(list, places), taking.worker, *taking.values.values()]


@cache
def _taking(
    values: tuple[str, ...], add: tuple[tuple[str, int], ...], clock: tuple[str, ...], *, from_front: bool
) -> str:
    more = [f"{name} = j.{name} + {number}" for name, number in add]
    arrays, names, further = "%s::text[], %s::int[]", "name, room", ""
    if not from_front:
        arrays += ", %s::int[], %s::bigint[], %s::uuid[]"
        names += ", priority, position, id"
        further = "AND (priority, position, id) > (q.priority, q.position, q.id) "
    return (
        f"WITH c AS MATERIALIZED (SELECT w.id FROM unnest({arrays}) q({names}) CROSS JOIN LATERAL ("
        f"SELECT id FROM {sql.JOB} WHERE state = 'waiting' AND queue_name = q.name {further}"
        f"ORDER BY priority, position, id LIMIT q.room FOR NO KEY UPDATE SKIP LOCKED) w "
        f"WHERE EXISTS (SELECT FROM {WorkerProcess._meta.db_table} WHERE id = %s AND dead_at IS NULL) "
        f"AND NOT EXISTS (SELECT FROM {QueueState._meta.db_table} "
        f"WHERE queue_name = q.name AND paused_at IS NOT NULL)) "
        f"UPDATE {sql.JOB} j SET {_assignments(values, clock)}, {', '.join(more)} "
        f"WHERE j.id = ANY(ARRAY(SELECT id FROM c)) RETURNING {_packed()}, {', '.join(map(_read, leased.OWN))}"
    )


def _assignments(values: Iterable[str], clock: Iterable[str]) -> str:
    sets = [f"{name} = %s" for name in values]
    return ", ".join([*sets, *(f"{name} = {sql.CLOCK}" for name in clock)])


def _read(field: Any) -> str:
    if isinstance(field, models.DateTimeField):
        return f"j.{field.column} AT TIME ZONE 'UTC'"
    return f"j.{field.column}::text" if isinstance(field, models.JSONField) else f"j.{field.column}"


def _packed() -> str:
    """One text is quicker to receive than fourteen values."""
    shown = (f"coalesce(j.{f.column}::text, '-')" if f.null else f"j.{f.column}" for f in leased.SHARED)
    return f"concat_ws(' ', {', '.join(shown)})"


@lru_cache(maxsize=1000)
def _unpacked(text: str) -> dict[str, Any]:
    return leased.shared(tuple(None if value == "-" else value for value in text.split(" ")))


def jobs_of(rows: Rows, taking: Taking, using: str) -> list[Job]:
    jobs = leased.jobs(((_unpacked(packed), own) for packed, *own in rows), taking, using)
    return leased.in_turn(sorted(jobs, key=leased.place))


class Pipeline:
    """Sends statements in one round trip through what Django's `execute_wrapper`s have to say about them."""

    keeps_prepared = True  # until a pooler between here and the server turns out not to

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @staticmethod
    def is_available(connection: Any) -> bool:
        return hasattr(connection.Database, "Pipeline") and connection.Database.Pipeline.is_supported()

    def send(self, statements: Sequence[Statement]) -> list[Rows]:
        self._connection.ensure_connection()
        execute: Callable[..., list[Rows]] = self._execute
        for wrapper in reversed(self._connection.execute_wrappers):
            execute = partial(wrapper, execute)
        text = ";\n".join(statement for statement, _ in statements)
        return execute(text, statements, True, {"connection": self._connection, "cursor": None})

    def _execute(self, text: str, statements: Sequence[Statement], *_: Any) -> list[Rows]:
        with self._connection.wrap_database_errors:
            try:
                return self._send([_BY_INDEX, *statements])[1:]
            except self._connection.Database.Error as error:
                in_transaction = self._connection.in_atomic_block
                if not Pipeline.keeps_prepared or in_transaction or error.sqlstate not in _NOT_KEPT:
                    raise
            Pipeline.keeps_prepared = False
            return self._send([_BY_INDEX, *statements])[1:]

    def _send(self, statements: Sequence[Statement]) -> list[Rows]:
        session = self._connection.connection
        usual = session.prepare_threshold  # Django's None is for sites with a pooler
        if Pipeline.keeps_prepared and "prepare_threshold" not in self._connection.settings_dict["OPTIONS"]:
            session.prepare_threshold = 0
        try:
            with session.pipeline():
                cursors = [self._connection.Database.Cursor(session) for _ in statements]
                for cursor, (statement, params) in zip(cursors, statements, strict=True):
                    cursor.execute(statement, params, binary=True)
            return [cursor.fetchall() for cursor in cursors]
        finally:
            session.prepare_threshold = usual
