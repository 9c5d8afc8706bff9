"""Where a worker's time goes while it drains, and which statements the server spends its own on."""

import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import postgres
from benchmarks.arena import Arena
from benchmarks.peers.base import command

from .base import Choice, Entrant, Figures, Part

JOBS = 60_000
SECONDS = 3
AREAS = (  # the first that a frame's path has in it, from the innermost frame outwards
    ("psycopg", "psycopg: sending, waiting, reading rows"),
    ("json/", "JSON"),
    ("conveyor_django/encoding", "JSON"),
    ("benchmarks/", "the processors"),
    ("conveyor_django/engines/", "engines: making statements, rows to values"),
    ("conveyor_django/transitions/", "transitions"),
    ("conveyor_django/models/", "models"),
    ("conveyor_django/worker/", "worker: loop, threads, hand-over"),
    ("django/", "Django"),
)
_STATEMENTS = """
SELECT regexp_replace(left(query, 120), '\\s+', ' ', 'g'), calls, total_exec_time / calls,
    rows::float / calls, total_exec_time / sum(total_exec_time) OVER ()
FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY total_exec_time DESC LIMIT 8
"""


class Profile(Part):
    title = "Where the time goes"
    columns = ()
    patience = 600

    def entrants(self, choice: Choice) -> list[Entrant]:
        return [Entrant("conveyor", "conveyor", "postgres")]

    def described(self, runs: dict[str, list[Figures]]) -> list[str]:
        """Of the first round."""
        figures = next((found for rounds in runs.values() for found in rounds if "areas" in found), {})
        areas = [f"{share:4.0%}  {area}" for area, share in figures.get("areas", {}).items()]
        statements = [
            f"{s['share']:4.0%}  {s['ms']:.2f} ms, {s['rows']:.0f} rows, {s['calls']} times: {s['query']}"
            for s in figures.get("statements", [])
        ]
        return ["A worker's interpreter:", *areas, "The server:", *statements]

    def measure(self, arena: Arena) -> Figures:
        count = arena.size(JOBS, least=2_000)
        arena.peer.add_many(count)
        statements = _track()
        workers = arena.start_workers()
        first = len(arena.wait_for_marks(count // 20))
        areas = _sample(max(workers.pids()))
        while_sampled = arena.marks.count() - first
        arena.wait_for_marks(count, patience=300)
        return {"areas": areas, "sampled": while_sampled, "statements": _statements() if statements else []}


def _sample(pid: int) -> dict[str, float]:
    """Shares of the samples in which a thread held the interpreter, by area."""
    output = Path(os.environ["BENCH_LOG"]).with_name("profile.txt")
    arguments = ["--format", "raw", "--gil", "--rate", "200", "--duration", str(SECONDS), "--output", str(output)]
    done = subprocess.run([command("py-spy"), "record", "--pid", str(pid), *arguments], capture_output=True, text=True)
    if done.returncode:  # it may not look into other processes here
        return {}
    found: Counter[str] = Counter()
    for line in output.read_text().splitlines():
        stack, _, samples = line.rpartition(" ")
        found[_area(stack.split(";"))] += int(samples)
    total = sum(found.values()) or 1
    return {area: samples / total for area, samples in found.most_common()}


def _area(stack: list[str]) -> str:
    for frame in reversed(stack):
        for path, area in AREAS:
            if path in frame:
                return area
    return "Python's own: threading, queues, and the rest"


def _track() -> bool:
    found = postgres.ask("SELECT count(*) FROM pg_settings WHERE name = 'pg_stat_statements.track'")[0]
    if found:
        postgres.tell("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", "SELECT pg_stat_statements_reset()")
        postgres.set_for_all('"pg_stat_statements.track"', "'top'")
    return bool(found)


def _statements() -> list[dict[str, Any]]:
    names = ("query", "calls", "ms", "rows", "share")
    rows = postgres.ask(f"SELECT json_agg(s) FROM ({_STATEMENTS}) AS s (query, calls, ms, rows, share)")[0]
    return [{name: row[name] for name in names} for row in rows or []]
