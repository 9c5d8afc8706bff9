"""Triggers that log every change of a job's row in the transaction that makes it: the product has no say in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

JOB, ERROR = "conveyor_django_job", "conveyor_django_joberror"
_LOG = "chaos_log"
_WATCHED = {  # column: whether it is a UUID
    "state": False,
    "epoch": False,
    "worker": True,
    "parent_id": True,
    "pending_children": False,
    "attempts_made": False,
    "stalls": False,
}
_TEXT = {"postgresql": "varchar", "mysql": "char", "sqlite": "text"}
_DIFFERS = {"postgresql": "IS DISTINCT FROM", "mysql": "<=>", "sqlite": "IS NOT"}


@dataclass(frozen=True, slots=True)
class Row:
    """The watched columns before or after a change."""

    state: str
    epoch: int
    worker: UUID | None
    parent_id: UUID | None
    pending_children: int
    attempts_made: int
    stalls: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of one job: `old` is None for a new job, `new` for a deleted one."""

    seq: int
    job: UUID
    kind: str  # "insert", "update", "delete", or "error": a failed attempt was recorded
    name: str
    root: UUID
    note: str  # the return value of a completed job, the reason of a failed attempt
    old: Row | None
    new: Row | None


def install() -> None:
    with connection.cursor() as cursor:
        for statement in _statements(connection.vendor):
            cursor.execute(statement)


def entries() -> Iterator[Entry]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(_log_columns())} FROM {_LOG} ORDER BY seq")
        for seq, job, kind, name, root, note, *columns in cursor.fetchall():
            half = len(_WATCHED)
            old, new = _row(columns[:half]), _row(columns[half:])
            yield Entry(seq, UUID(job), kind, name, UUID(root), note or "", old, new)


def last_seq() -> int:
    """Grows with every change."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT max(seq) FROM {_LOG}")
        return cursor.fetchone()[0] or 0


def _row(columns: list) -> Row | None:
    if columns[0] is None:
        return None
    values = (UUID(v) if v and is_id else v for v, is_id in zip(columns, _WATCHED.values(), strict=True))
    return Row(*values)


def _log_columns() -> list[str]:
    return [
        "seq",
        "job",
        "kind",
        "name",
        "root",
        "note",
        *(f"old_{c}" for c in _WATCHED),
        *(f"new_{c}" for c in _WATCHED),
    ]


def _statements(vendor: str) -> Iterator[str]:
    number = {
        "postgresql": "bigserial PRIMARY KEY",
        "mysql": "bigint AUTO_INCREMENT PRIMARY KEY",
        "sqlite": "integer PRIMARY KEY AUTOINCREMENT",
    }[vendor]
    kinds = {"epoch": "bigint", "pending_children": "bigint", "attempts_made": "bigint", "stalls": "bigint"}
    watched = [f"{when}_{c} {kinds.get(c, 'varchar(40)')}" for when in ("old", "new") for c in _WATCHED]
    yield (
        f"CREATE TABLE {_LOG} (seq {number}, job varchar(36), kind varchar(6), name varchar(255), "
        f"root varchar(36), note varchar(255), {', '.join(watched)})"
    )
    for event in ("INSERT", "UPDATE", "DELETE"):
        yield from _trigger(vendor, f"chaos_{event.lower()}", event, JOB, _job_entry(vendor, event))
    yield from _trigger(vendor, "chaos_error", "INSERT", ERROR, _error_entry(vendor))


def _job_entry(vendor: str, event: str) -> str:
    row = "OLD" if event == "DELETE" else "NEW"
    old = "NULL" if event == "INSERT" else "OLD"
    new = "NULL" if event == "DELETE" else "NEW"
    note = "NULL"
    if event == "UPDATE":
        value = f"substr(CAST(NEW.return_value AS {_TEXT[vendor]}), 1, 200)"
        note = f"CASE WHEN NEW.state = 'completed' THEN {value} END"
    values = [_text(vendor, f"{row}.id"), f"'{event.lower()}'", f"{row}.name", _text(vendor, f"{row}.root_id"), note]
    for half in (old, new):
        for column, is_id in _WATCHED.items():
            value = "NULL" if half == "NULL" else f"{half}.{column}"
            values.append(_text(vendor, value) if is_id and value != "NULL" else value)
    return f"INSERT INTO {_LOG} ({', '.join(_log_columns()[1:])}) VALUES ({', '.join(values)})"


def _error_entry(vendor: str) -> str:
    job = f"FROM {JOB} WHERE id = NEW.job_id"
    values = f"{_text(vendor, 'id')}, 'error', name, {_text(vendor, 'root_id')}, substr(NEW.reason, 1, 200)"
    row = ", ".join(_text(vendor, c) if is_id else c for c, is_id in _WATCHED.items())
    return (
        f"INSERT INTO {_LOG} (job, kind, name, root, note, {', '.join(f'new_{c}' for c in _WATCHED)}) "
        f"SELECT {values}, {row} {job}"
    )


def _text(vendor: str, value: str) -> str:
    return f"CAST({value} AS {_TEXT[vendor]})"


def _trigger(vendor: str, name: str, event: str, table: str, body: str) -> Iterator[str]:
    if vendor == "postgresql":
        yield f"CREATE FUNCTION {name}() RETURNS trigger AS $$ BEGIN {body}; RETURN NULL; END $$ LANGUAGE plpgsql"
        when = _changed(vendor) if event == "UPDATE" else ""
        yield f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW {when} EXECUTE FUNCTION {name}()"
    elif vendor == "mysql":
        if event == "UPDATE":
            body = f"IF {_changed(vendor)} THEN {body}; END IF"
        yield f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW BEGIN {body}; END"
    else:
        when = _changed(vendor) if event == "UPDATE" else ""
        yield f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW {when} BEGIN {body}; END"


def _changed(vendor: str) -> str:
    if vendor == "mysql":
        return " OR ".join(f"NOT (OLD.{c} <=> NEW.{c})" for c in _WATCHED)
    differs = " OR ".join(f"OLD.{c} {_DIFFERS[vendor]} NEW.{c}" for c in _WATCHED)
    return f"WHEN ({differs})"
