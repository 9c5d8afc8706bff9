"""Seeded flows: nested, across queues, with all policies and options; each job's data say how it ends."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from conveyor_django import FlowJob

QUIET_QUEUES = ("chaos-a", "chaos-b", "chaos-c", "chaos-d")
STEERED_QUEUES = ("steered-a", "steered-b")  # whole queues of it are cleaned, retried, promoted
QUEUES = QUIET_QUEUES + STEERED_QUEUES

UNHURT = 1000  # stalls that a job survives
SLOW = (1.0, 3.0)  # seconds
_LARGEST = 40  # jobs of one flow
_LONGEST_NAP = 0.02  # seconds
_GOOD = ("return", "put_off", "end_process_once", "segfault_once")
_PLAIN = (*["fail"] * 4, "fail_base", "leave", "discard", "hang")
_NASTY = ("end_process", "end_process_once", "segfault_once", "loop_for_ever", "eat_memory")


@dataclass
class Node:
    """A job as planned: `end` is what its own processor comes to, if it ever runs."""

    name: str
    queue: str
    does: list[str]
    opts: dict[str, Any]
    naps: float
    children: list["Node"] = field(default_factory=list)

    @property
    def end(self) -> str:
        for action in self.does[: self.opts["attempts"]]:
            if action in _GOOD:
                return "completed"
            if action == "discard":
                break
        return "failed"

    @property
    def policy(self) -> str:
        return self.opts["fail_parent_on_child_failure"]

    def walk(self) -> Iterator["Node"]:
        todo = [self]
        while todo:
            node = todo.pop()
            yield node
            todo.extend(node.children)

    def as_flow(self) -> FlowJob:
        data = {"does": self.does, "naps": self.naps}
        return FlowJob(self.name, self.queue, data, self.opts, [child.as_flow() for child in self.children])


class Planner:
    """Makes flow after flow; `slow` and `nasty` are the shares of jobs that take long, or harm their process."""

    def __init__(self, random: Random, *, slow: float = 0.0, nasty: float = 0.0) -> None:
        self._random = random
        self._slow = slow
        self._nasty = nasty
        self._count = 0
        self.nasty_jobs = 0

    def flow(self, *, steered: bool = False) -> Node:
        self._count += 1
        queues = STEERED_QUEUES if steered else QUIET_QUEUES
        prefix = f"{'steered' if steered else 'flow'}-{self._count}"
        if self._random.random() < 0.15:
            root = self._node(prefix, queues)
            root.children = [self._node(f"{prefix}.{n}", queues) for n in range(self._random.randint(10, 30))]
        else:
            root = self._tree(prefix, queues)
        root.opts["job_id"] = prefix  # so that adding again after a lost reply adds nothing
        return root

    def _tree(self, prefix: str, queues: tuple[str, ...]) -> Node:
        root = self._node(prefix, queues)
        size, open_nodes = 1, [(root, 0)]
        while open_nodes:
            node, depth = open_nodes.pop(0)
            wanted = self._random.choice((0, 1, 2, 3, 5)) if depth else self._random.choice((0, 1, 2, 4, 6))
            for number in range(min(wanted, _LARGEST - size) if depth < 4 else 0):
                child = self._node(f"{node.name}.{number}", queues)
                node.children.append(child)
                open_nodes.append((child, depth + 1))
                size += 1
        return root

    def _node(self, name: str, queues: tuple[str, ...]) -> Node:
        random = self._random
        attempts = random.choice((1, 1, 2, 3))
        opts = {
            "attempts": attempts,
            "max_stalls": UNHURT,
            "backoff": {"type": random.choice(("fixed", "exponential")), "delay": random.choice((0, 0.02, 0.1))},
            "priority": random.choice((0, 0, 0, -1, 1, 5)),
            "lifo": random.random() < 0.1,
            "delay": random.choice((0.05, 0.2, 0.5)) if random.random() < 0.05 else 0,
            "remove_on_complete": random.random() < 0.1,
            "remove_on_fail": random.random() < 0.1,
            "fail_parent_on_child_failure": random.choice(("fail", "fail", "ignore", "ignore", "remove")),
        }
        does = self._actions(attempts)
        if does[0] in ("hang", "loop_for_ever"):
            opts["timeout"] = 0.3
        if does[0] == "end_process":
            opts["max_stalls"] = 1
        naps = random.choice((0, 0, random.uniform(0, _LONGEST_NAP)))
        if random.random() < self._slow and "timeout" not in opts:
            naps = random.uniform(*SLOW)
        return Node(name, random.choice(queues), does, opts, naps)

    def _actions(self, attempts: int) -> list[str]:
        random = self._random
        if random.random() < self._nasty:
            self.nasty_jobs += 1
            return [random.choice(_NASTY)]
        if random.random() < 0.06:
            return [random.choice(_PLAIN)]  # at every attempt
        if attempts > 1 and random.random() < 0.3:
            return ["fail"] * random.randint(1, attempts - 1) + ["return"]
        return ["put_off" if random.random() < 0.03 else "return"]
