"""The jobs of the model: what there is, and how jobs become ready, end, and tell those above."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Self

QUEUED = {"waiting", "delayed", "waiting-children"}
UNSUCCESSFUL = {"failed", "cancelled"}
FINISHED = UNSUCCESSFUL | {"completed"}


class Refused(Exception):
    """The job's state doesn't allow this step."""


@dataclass
class Node:
    """A job to be added, with those that run before it."""

    name: str
    queue: str = "q"
    children: list["Node"] = field(default_factory=list)
    policy: str = "fail"
    attempts: int = 1
    max_stalls: int = 1
    delay: float = 0  # seconds
    not_before: float | None = None  # an absolute time
    priority: int = 0
    lifo: bool = False
    job_id: str | None = None
    remove_on_complete: bool = False
    remove_on_fail: bool = False

    def walk(self) -> Iterator["Node"]:
        """Children before parents, siblings in declared order."""
        for child in self.children:
            yield from child.walk()
        yield self


@dataclass
class Job:
    node: Node
    serial: int  # what was added later has a higher one, and a parent than its children
    parent: str | None
    created_at: float
    priority: int
    delay: float
    not_before: float | None
    state: str = ""
    attempts_made: int = 0
    stalls: int = 0
    value: object = None
    failed_reason: str = ""
    failed_by: str | None = None
    finished_at: float | None = None

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def turn(self) -> tuple[int, int, int]:
        """The order in a queue; of `lifo` jobs the last added comes first, and before the others."""
        return (self.priority, -self.serial if self.node.lifo else 0, self.serial)


class Jobs:
    def __init__(self, now: float = 0) -> None:
        self.now = now
        self.jobs: dict[str, Job] = {}
        self.paused: set[str] = set()
        self._serial = 0

    def copy(self) -> Self:
        other = copy(self)
        other.jobs = {name: replace(job) for name, job in self.jobs.items()}
        other.paused = set(self.paused)
        return other

    # What there is

    def children(self, name: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.parent == name]

    def pending(self, name: str) -> int:
        return sum(child.state not in FINISHED for child in self.children(name))

    def subtree(self, name: str) -> list[Job]:
        below = [job for child in self.children(name) for job in self.subtree(child.name)]
        return [self.jobs[name], *below]

    def path(self, name: str) -> list[str]:
        """From the job up to its root."""
        parent = self.jobs[name].parent
        return [name] if parent is None else [name, *self.path(parent)]

    def in_state(self, *states: str, queue: str | None = None) -> list[Job]:
        return [job for job in self.jobs.values() if job.state in states and queue in (None, job.node.queue)]

    def with_job_id(self, queue: str, job_id: str | None) -> Job | None:
        found = (job for job in self.jobs.values() if (job.node.queue, job.node.job_id) == (queue, job_id))
        return None if job_id is None else next(found, None)

    def values(self, name: str) -> dict[str, object]:
        return {child.name: child.value for child in self.children(name) if child.state == "completed"}

    def failures(self, name: str) -> dict[str, str]:
        return {child.name: child.failed_reason for child in self.children(name) if child.state in UNSUCCESSFUL}

    # How jobs become ready, end, and tell those above

    def _expect(self, name: str, *states: str) -> Job:
        job = self.jobs[name]
        if job.state not in states:
            raise Refused(f"{name} is {job.state}")
        return job

    def _uncounted(self, name: str) -> None:
        self._expect(name, "active").attempts_made -= 1

    def _after_delay(self, job: Job) -> float:
        return max(job.not_before or 0, self.now + job.delay)

    def _again(self, job: Job, seconds: float = 0) -> None:
        job.not_before = self.now + seconds
        self._queue(job)

    def _queue(self, job: Job) -> None:
        """No job is ready while a child of it is unfinished."""
        if self.pending(job.name):
            job.state = "waiting-children"
        else:
            job.state = "delayed" if job.not_before is not None and job.not_before > self.now else "waiting"

    def _release(self, name: str | None) -> None:
        """A parent whose last unfinished child is done; its own delay counts from here."""
        job = self.jobs.get(name or "")
        if job and job.state == "waiting-children" and not self.pending(job.name):
            job.not_before = self._after_delay(job)
            self._queue(job)

    def _finish(self, job: Job, state: str, reason: str = "") -> None:
        job.state, job.failed_reason, job.failed_by, job.finished_at = state, reason, None, self.now
        self._tell_parent(job)

    def _tell_parent(self, child: Job) -> None:
        parent = self.jobs.get(child.parent or "")
        if parent is None:
            return
        bad = child.state in UNSUCCESSFUL and parent.state == "waiting-children"
        if bad and parent.node.policy == "fail":
            parent.state, parent.finished_at = "failed", self.now
            self._blame(parent, child)
            self._tell_parent(parent)
        elif bad and parent.node.policy == "remove":
            self._remove_unrun(parent)
        else:
            self._release(parent.name)

    def _blame(self, parent: Job, child: Job) -> None:
        """The real reason names the child by its id, and carries the child's own."""
        parent.failed_by, parent.failed_reason = child.name, child.failed_reason

    def _remove_unrun(self, top: Job) -> None:
        """It goes with all below it that is queued; of the others, one whose parent goes becomes a root."""
        gone = {job.name for job in self.subtree(top.name) if job.state in QUEUED}
        for name in gone:
            del self.jobs[name]
        for job in self.jobs.values():
            if job.parent in gone:
                job.parent = None
        self._release(top.parent)
