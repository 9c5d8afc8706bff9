"""The rate of draining, with much else in the table. Rows that only lie there are copied, in the database."""

from contextlib import ExitStack
from typing import Any

import psycopg

from benchmarks.arena import Arena
from benchmarks.peers.base import address

from .base import Choice, Column, Entrant, Figures, Part

JOBS = 20_000


class Growth(Part):
    title = "Growth: drain rate with much else in the table"
    columns = (Column("drained", "jobs/s"),)
    against = "empty table"
    patience = 3600

    def entrants(self, choice: Choice) -> list[Entrant]:
        return [
            Entrant("empty table", "conveyor", "postgres"),
            Entrant(f"{choice.finished:,} finished", "conveyor", "postgres", {"finished": choice.finished}),
            Entrant(f"{choice.waiting:,} waiting", "conveyor", "postgres", {"waiting": choice.waiting}),
            Entrant(f"snapshot older than {choice.churn:,} jobs", "conveyor", "postgres", {"churn": choice.churn}),
        ]

    def measure(self, arena: Arena) -> Figures:
        with ExitStack() as stack:
            if churn := arena.options.get("churn"):
                stack.enter_context(_pinned())
                _drain(arena, churn)
            if finished := arena.options.get("finished"):
                _drain(arena, 1)
                _multiply(arena, finished)
            count = arena.size(JOBS)
            if waiting := arena.options.get("waiting"):
                arena.peer.add_many(1)
                _multiply(arena, waiting)
            arena.peer.add_many(count)
            return {"drained": _rate(arena, count)}


def _rate(arena: Arena, count: int) -> float:
    """Of the first so many: there may be more."""
    arena.marks.forget()
    arena.start_workers()
    marks = arena.wait_for_marks(count, patience=600)[:count]
    return (count - 1) / ((marks[-1].time - marks[0].time) / 1e9)


def _drain(arena: Arena, count: int) -> None:
    arena.peer.add_many(count)
    workers = arena.start_workers()
    arena.wait(lambda: not arena.peer.unfinished(), 1800, lambda: f"{arena.peer.unfinished()} not on record")
    workers.stop()
    arena.workers = None


def _pinned() -> psycopg.Connection[Any]:
    """A session that keeps the database from tidying up, as a long report or a backup does."""
    connection = psycopg.connect(address("postgres"))
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    connection.execute("SELECT 1")
    return connection


def _multiply(arena: Arena, count: int) -> None:
    """So many copies of the one job that there is, under ids of an hour ago; then what autovacuum would do."""
    from conveyor_django.models import Job

    table = Job._meta.db_table
    own = {Job._meta.pk.column, Job._meta.get_field("root").column}
    columns = [field.column for field in Job._meta.concrete_fields]
    # version 7: milliseconds, then what makes it unique
    new = """(
        lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - 3600000 + n / 1000), 12, '0')
        || '7' || lpad(to_hex(mod(n, 1000)), 3, '0') || 'a' || substr(md5(n::text), 1, 15)
    )::uuid"""
    values = ", ".join("made.id" if column in own else f'job."{column}"' for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    with psycopg.connect(address("postgres"), autocommit=True) as connection:
        connection.execute(
            f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} AS job, "
            f"(SELECT {new} AS id FROM generate_series(1, %s) AS n) AS made",
            [count],
        )
        connection.execute(f"VACUUM ANALYZE {table}")
