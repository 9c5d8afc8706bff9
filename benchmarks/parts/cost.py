"""What a job costs the database and the worker: `docs/scaling.md` and `benchmarks/simulate.py` go on from here."""

import time
from collections.abc import Callable
from statistics import median

import psycopg

from benchmarks.arena import Arena
from benchmarks.peers.base import address, seconds
from benchmarks.processes import cpu_seconds

from .base import Choice, Column, Entrant, Figures, Part
from .meter import Reading, a_job, cores, difference, read

MANY, FEW, FLOWS, CHILDREN = 10_000, 300, 200, 20
COMMITS, LOCKED = 200, 1_000


class Cost(Part):
    title = "What a job costs"
    columns = (
        Column("commits", "commits", higher_is_better=False),
        Column("wal_bytes", "WAL bytes", higher_is_better=False),
        Column("flushes", "WAL flushes", higher_is_better=False),
        Column("updated", "row versions", higher_is_better=False),
        Column("server_us", "server CPU us", higher_is_better=False),
        Column("worker_us", "worker CPU us", higher_is_better=False),
    )
    against = ""
    patience = 900

    def entrants(self, choice: Choice) -> list[Entrant]:
        steps = {"add": "added one by one", "add_many": "added in bulk", "drain": "worked off, of many"}
        more = {"alone": "worked off, one at a time", "flows": f"in flows of 1+{CHILDREN}, added and worked off"}
        found = [Entrant(label, "conveyor", "postgres", {"step": step}) for step, label in {**steps, **more}.items()]
        one = Entrant("one commit", "floor", "postgres", {"step": "commit"})
        passed = Entrant("one row that a claim passes", "conveyor", "postgres", {"step": "passed"})
        return [*found, one, passed]

    def measure(self, arena: Arena) -> Figures:
        step = arena.options["step"]
        return {**STEPS[step](arena), "cores": cores()}


def _commit(arena: Arena) -> Figures:
    """Milliseconds that a commit waits for the disk: an insert with and without that."""
    with psycopg.connect(address("postgres"), autocommit=True) as connection:
        connection.execute("CREATE TABLE scratch (n int)")

        def insert() -> None:
            connection.execute("INSERT INTO scratch VALUES (1)")

        took = {}
        for value in ("on", "off"):
            connection.execute(f"SET synchronous_commit = {value}")
            insert()
            took[value] = median(seconds(insert) for _ in range(COMMITS))
    return {"flush_ms": max(0.01, (took["on"] - took["off"]) * 1e3), "statement_ms": took["off"] * 1e3}


def _passed(arena: Arena) -> Figures:
    """Milliseconds of a search for 10 jobs when others have locked the first thousand, and when nobody has."""
    from conveyor_django.models import Job

    first = f"""SELECT id FROM {Job._meta.db_table} WHERE queue_name = 'bench' AND state = 'waiting'
        ORDER BY priority, position, id LIMIT %s FOR UPDATE SKIP LOCKED"""
    arena.peer.add_many(2 * LOCKED)
    with psycopg.connect(address("postgres")) as one, psycopg.connect(address("postgres")) as other:
        one.execute(f"ANALYZE {Job._meta.db_table}")
        one.commit()

        def search() -> None:
            other.execute(first, [10]).fetchall()
            other.rollback()

        free = median(seconds(search) for _ in range(COMMITS))
        one.execute(first, [LOCKED])
        return {"passed_us": max(0.0, median(seconds(search) for _ in range(COMMITS)) - free) / LOCKED * 1e6}


def _add(arena: Arena) -> Figures:
    count = arena.size(MANY // 5)
    arena.peer.time_adding(20)
    before = read()
    took = arena.peer.time_adding(count)
    return _figures(_rest(before), {}, count, 0, took)


def _add_many(arena: Arena) -> Figures:
    count = arena.size(MANY)
    before = read()
    took = arena.peer.time_adding_many(count)
    return _figures(_rest(before), {}, count, 0, took)


def _drain(arena: Arena) -> Figures:
    count = arena.size(MANY)
    base, *_ = _with_workers(arena)
    arena.peer.add_many(count)
    cost, worker, took = _with_workers(arena, lambda: _finish(arena, count))
    return _figures(cost, base, count, worker, took)


def _alone(arena: Arena) -> Figures:
    """Adding is part of what is read, and taken off again."""
    count = arena.size(FEW)
    base, *_ = _with_workers(arena)
    before = read()
    arena.peer.time_adding(count)
    added = _rest(before)
    _with_workers(arena, lambda: _finish(arena, count))
    arena.peer.add(0)
    cost, worker, took = _with_workers(arena, lambda: _one_by_one(arena, count))
    own = {name: value - added[name] for name, value in cost.items()}
    return _figures(own, base, count, worker, took)


def _flows(arena: Arena) -> Figures:
    count = arena.size(FLOWS)
    jobs = count * (CHILDREN + 1)
    base, *_ = _with_workers(arena)
    before = read()
    arena.peer.time_flows(count, CHILDREN)
    added = _rest(before)
    cost, worker, took = _with_workers(arena, lambda: _finish(arena, jobs))
    own = {name: value + added[name] for name, value in cost.items()}
    return _figures(own, base, jobs, worker, took)


STEPS: dict[str, Callable[[Arena], Figures]] = {
    "add": _add,
    "add_many": _add_many,
    "drain": _drain,
    "alone": _alone,
    "flows": _flows,
    "commit": _commit,
    "passed": _passed,
}


def _finish(arena: Arena, count: int) -> None:
    arena.wait_for_marks(count)
    arena.wait(lambda: not arena.peer.unfinished(), 120, lambda: "not all on record")


def _one_by_one(arena: Arena, count: int) -> None:
    for _ in range(count):
        before = arena.marks.count()
        arena.peer.add(0)
        arena.wait(lambda n=before: arena.marks.count() > n, 30, lambda: "a job was not handled")


def _with_workers(arena: Arena, do: Callable[[], None] | None = None) -> tuple[Reading, float, float]:
    """What the server spent from the workers' start to their end; the workers' CPU seconds a job; seconds.

    The workers' own are read from the first job on: they take more to start than for thousands of jobs.
    """
    arena.marks.forget()
    before = read()
    workers = arena.start_workers()
    each, took = 0.0, 0.0
    if do:
        arena.wait(lambda: arena.marks.count() > 0, 60, lambda: "nothing handled")
        handled, cpu = arena.marks.count(), cpu_seconds(workers.pids())
        took = seconds(do)
        each = (cpu_seconds(workers.pids()) - cpu) / max(1, arena.marks.count() - handled)
    time.sleep(4)
    workers.stop()
    arena.workers = None
    return _rest(before), each, took


def _rest(before: Reading) -> Reading:
    from django.db import connections

    connections.close_all()  # its counters are complete then
    time.sleep(0.5)
    return difference(read(), before)


def _figures(cost: Reading, base: Reading, jobs: int, worker: float, took: float) -> Figures:
    each = a_job(cost, base, jobs)
    figures: Figures = {**each, "jobs": jobs, "seconds": took, "worker_us": worker * 1e6}
    if "server_cpu" in each:
        figures["server_us"] = each["server_cpu"] * 1e6
    return figures
