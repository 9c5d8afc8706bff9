"""A stored flow as rows for a terminal: read in one query or two, walked without recursion."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from conveyor_django.engines import get_engine
from conveyor_django.models import Job
from conveyor_django.querysets import JobQuerySet
from conveyor_django.redaction import redact_text
from conveyor_django.states import JobState

MAX_INDENT = 12  # levels drawn: a deeper one stands at the edge, with its number
_COLUMNS = (
    *("parent_id", "root_id", "name", "queue_name", "state", "attempts_made", "max_attempts"),
    *("failed_reason", "failed_by", "run_at", "created_at", "started_at", "finished_at"),
)


@dataclass
class Node:
    job: Job
    level: int
    branch: str  # drawn before its name
    below: str  # drawn before the branches of its children
    under: str = ""  # drawn before more lines of its own

    def ran(self, now: datetime) -> float | None:
        """Seconds of the latest attempt, so far if it is running."""
        job = self.job
        if job.started_at is None or not (job.finished_at or job.state == JobState.ACTIVE):
            return None
        return max(0.0, ((job.finished_at or now) - job.started_at).total_seconds())

    @property
    def reason(self) -> str:
        return redact_text(self.job.failed_reason)

    def as_json(self, now: datetime) -> dict[str, Any]:
        job, ran = self.job, self.ran(now)
        moments = ("run_at", "created_at", "started_at", "finished_at")
        return {
            "id": str(job.pk),
            "parent": str(job.parent_id) if job.parent_id and self.level else None,
            "level": self.level,
            "name": job.name,
            "queue": job.queue_name,
            "state": str(job.state),
            "attempts_made": job.attempts_made,
            "max_attempts": job.max_attempts,
            "seconds": None if ran is None else round(ran, 3),
            "failed_reason": self.reason,
            "failed_by": str(job.failed_by) if job.failed_by else None,
            **{name: value.isoformat() if (value := getattr(job, name)) else None for name in moments},
        }


def read_tree(using: str, top: Job, branches: tuple[str, str, str]) -> list[Node]:
    """`top` and all below it, parents before children, siblings in declared order."""
    children: dict[UUID | None, list[Job]] = defaultdict(list)
    for job in sorted(_subtree(using, top), key=lambda job: job.pk):
        if job.pk != top.pk:
            children[job.parent_id].append(job)
    return list(_walk(top, children, branches))


def _subtree(using: str, top: Job) -> Iterator[Job]:
    jobs: JobQuerySet = Job.objects.using(using).only(*_COLUMNS)
    if top.root_id == top.pk:
        yield from jobs.filter(root_id=top.pk)
        return
    engine = get_engine(using)
    for chunk in engine.chunks(engine.subtree_ids([top.pk])):
        yield from jobs.filter(pk__in=chunk)


def _walk(top: Job, children: dict[UUID | None, list[Job]], branches: tuple[str, str, str]) -> Iterator[Node]:
    middle, last, stem = branches
    stack = [Node(top, 0, "", "")]
    while stack:
        node = stack.pop()
        found = children.get(node.job.pk, [])
        node.under = node.below + (stem if found else " " * len(stem))
        yield node
        for job in reversed(found):
            is_last = job is found[-1]
            level = node.level + 1
            # at the edge a node stands in its ancestor's column, with its level's number
            edge = node.below if level <= MAX_INDENT else node.below[: len(stem) * (MAX_INDENT - 1)]
            number = "" if level <= MAX_INDENT else f"[level {level}] "
            branch = edge + (last if is_last else middle) + number
            stack.append(Node(job, level, branch, edge + ("   " if is_last else stem)))
