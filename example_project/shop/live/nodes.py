"""The trees that are watched: their shape is what was added, where each job stands is read each time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from conveyor_django import ChildFailurePolicy, FlowJob, FlowResult, JobOptions, JobState
from conveyor_django.models import Job
from conveyor_django.states import FINISHED

REMOVED = "removed"  # no state: the row is gone
COLUMNS = (
    *("state", "progress", "attempts_made", "max_attempts"),
    *("failed_reason", "failed_by", "started_at", "finished_at"),
)


@dataclass(eq=False)
class Node:
    id: str
    name: str
    queue: str
    label: str  # what tells it from siblings of its name
    policy: str
    parent: "Node | None" = None
    children: "list[Node]" = field(default_factory=list)
    job: Job | None = None  # as last read

    @classmethod
    def of(cls, flow: FlowJob, added: FlowResult, parent: "Node | None" = None) -> "Node":
        policy = JobOptions.of(flow.opts).fail_parent_on_child_failure
        label = added.job.data.get("region", "")
        node = cls(added.job.id, added.job.name, added.job.queue_name, label, policy, parent)
        children = zip(flow.children, added.children, strict=True)
        node.children = [cls.of(child, result, node) for child, result in children]
        return node

    @property
    def state(self) -> str:
        return self.job.state if self.job else REMOVED

    @property
    def is_finished(self) -> bool:
        return self.state == REMOVED or self.state in FINISHED

    def ran(self, now: datetime) -> float | None:
        """Seconds that the latest attempt took so far; None when it never began."""
        if self.job is None or self.job.started_at is None:
            return None
        if not self.is_finished and self.state != JobState.ACTIVE:
            return None  # between two attempts
        return ((self.job.finished_at or now) - self.job.started_at).total_seconds()

    def remark(self) -> str:
        """Why it is as it is, where that isn't plain."""
        if self.job is None:
            if self.parent and self.parent.state == REMOVED:
                return "with its parent"
            return "as its policy says" if self.policy == ChildFailurePolicy.REMOVE else ""
        if self.state == JobState.FAILED:
            if culprits := [child.name for child in self.children if child.id == str(self.job.failed_by)]:
                return f"through {culprits[0]}"
            return self.job.failed_reason.partition("\n")[0]
        if self.job.attempts_made > 1:
            return f"attempt {self.job.attempts_made} of {self.job.max_attempts}"
        return ""


@dataclass(eq=False)
class Tree:
    title: str
    root: Node

    def nodes(self) -> Iterator[Node]:
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))

    @property
    def is_finished(self) -> bool:
        return all(node.is_finished for node in self.nodes())

    @property
    def has_delayed(self) -> bool:
        return any(node.state == JobState.DELAYED for node in self.nodes())


def read(trees: Sequence[Tree]) -> None:
    """Where each job stands now, in one query.

    By ids and not by root, as a job that outlives its removed parent becomes a root itself.
    """
    nodes = {node.id: node for tree in trees for node in tree.nodes()}
    jobs = {str(job.pk): job for job in Job.objects.filter(pk__in=list(nodes)).only(*COLUMNS)}
    for node in nodes.values():
        node.job = jobs.get(node.id)
