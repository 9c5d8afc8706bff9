"""Snapshots during the run: `pending_children` is exact at every commit, so in every snapshot."""

import threading
import time

from django.db import connection

from .violation import Violation
from .world import robustly

_UNFINISHED = "('waiting', 'waiting-children', 'delayed', 'active')"
WRONG_COUNTS = (
    "SELECT p.id, p.name, p.state, p.pending_children, "
    f"(SELECT count(*) FROM conveyor_django_job c WHERE c.parent_id = p.id AND c.state IN {_UNFINISHED}) AS unfinished "
    "FROM conveyor_django_job p WHERE p.pending_children <> "
    f"(SELECT count(*) FROM conveyor_django_job c WHERE c.parent_id = p.id AND c.state IN {_UNFINISHED})"
)
_SHORTEST = 0.1


class Sampler:
    def __init__(self) -> None:
        self.snapshots = 0
        self.violations: set[Violation] = set()  # one that lasts is one
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chaos-sampler")

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        pause = _SHORTEST
        while not self._over.wait(pause):
            began = time.monotonic()
            self.violations.update(robustly(wrong_counts))
            self.snapshots += 1
            pause = max(_SHORTEST, 4 * (time.monotonic() - began))  # it is not to be a load of its own
        connection.close()


def wrong_counts() -> list[Violation]:
    """One statement, so that all it sees is of one moment."""
    with connection.cursor() as cursor:
        cursor.execute(WRONG_COUNTS)
        return [
            Violation(
                "count", f"{name} {job}: {state} with pending_children {counted}, and {unfinished} are unfinished"
            )
            for job, name, state, counted, unfinished in cursor.fetchall()
        ]
