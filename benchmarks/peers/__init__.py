"""Who takes part. Each peer is one small file here, which says how that queue is used; nothing of it is copied.

The file is imported where its package is: by the process that measures, and by the peer's own workers.
"""

import sys
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    title: str
    package: str  # whose version the report names
    stores: tuple[str, ...]  # where it can keep its jobs, its usual place first


PEERS = {
    "floor": Entry("floor: a bare psycopg loop", "psycopg", ("postgres",)),
    "conveyor": Entry("conveyor-django", "conveyor-django", ("postgres", "mysql", "sqlite")),
    "pgqueuer": Entry("pgqueuer", "pgqueuer", ("postgres",)),
    "procrastinate": Entry("procrastinate", "procrastinate", ("postgres",)),
    "django-tasks-db": Entry("django-tasks-db", "django-tasks-db", ("postgres", "mysql", "sqlite")),
    "bullmq": Entry("BullMQ", "bullmq", ("redis",)),
    "celery": Entry("Celery", "celery", ("redis",)),
    "huey": Entry("huey", "huey", ("redis", "sqlite")),
}


def module_of(name: str) -> str:
    return f"benchmarks.peers.{name.replace('-', '_')}_peer"


def node_folder() -> Path:
    """Where the packages of Node are, beside those of Python."""
    return Path(sys.prefix) / "node"
