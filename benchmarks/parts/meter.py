"""What a piece of work costs a PostgreSQL server and the workers, read before and after it."""

import os

from benchmarks import postgres
from benchmarks.processes import children_cpu_seconds, cpu_seconds, descendants

Reading = dict[str, float]

_COUNTERS = """
SELECT xact_commit, tup_inserted, tup_updated,
    (SELECT coalesce(sum(n_tup_hot_upd), 0) FROM pg_stat_user_tables),
    pg_current_wal_insert_lsn() - '0/0'
FROM pg_stat_database WHERE datname = current_database()
"""
_NAMES = ("commits", "inserted", "updated", "updated_hot", "wal_bytes")


def read() -> Reading:
    """Counters lag behind a session that lives: they are exact when it has ended."""
    found = {name: float(value) for name, value in zip(_NAMES, postgres.ask(_COUNTERS), strict=True)}
    found["flushes"] = _flushes()
    if server := os.environ.get("BENCH_SERVER_PID"):  # not a server that somebody else runs
        found["server_cpu"] = cpu_seconds(descendants(int(server))) + children_cpu_seconds(int(server))
    return found


def difference(after: Reading, before: Reading) -> Reading:
    return {name: value - before[name] for name, value in after.items()}


def a_job(cost: Reading, base: Reading, jobs: int) -> Reading:
    """`base` is what the same costs without a job."""
    return {name: max(0.0, value - base.get(name, 0.0)) / jobs for name, value in cost.items()}


def _flushes() -> float:
    """How often the log was flushed to disk, by all."""
    if int(postgres.ask("SHOW server_version_num")[0]) >= 180000:
        query = "SELECT coalesce(sum(fsyncs), 0) FROM pg_stat_io WHERE object = 'wal'"
    else:
        query = "SELECT wal_sync FROM pg_stat_wal"
    return float(postgres.ask(query)[0])


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
