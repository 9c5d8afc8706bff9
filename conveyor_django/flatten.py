"""From what a producer hands in to unsaved jobs: checked, without recursion, children before their parents."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from .conf import Settings, get_settings
from .encoding import check_name, kind, normalize
from .exceptions import ConveyorError, InvalidFlow, InvalidNode
from .ids import new_ids
from .models import Job
from .options import Backoff, JobOptions, known_items
from .registry import check_backoff, default_options
from .trees import FlowJob

T = TypeVar("T")
_KEYS = frozenset(f.name for f in fields(FlowJob))
_SHOWN_LEVELS = 20
_new_job: Callable[..., Job] = Job
_lock = threading.Lock()
_last_position = 0


class _Node:
    """A place in the tree that was handed in."""

    __slots__ = ("children", "depth", "given", "id", "parent", "removes_children", "step")

    def __init__(self, given: Any, parent: "_Node | None", step: str) -> None:
        self.given: FlowJob = given  # whatever it is, until the walk has come to it
        self.parent = parent
        self.step = step  # down to here from the parent, for errors
        self.depth: int = parent.depth + 1 if parent else 0
        self.children: list[_Node] = []
        self.removes_children = False
        self.id: UUID | None = None

    def __str__(self) -> str:
        if self.depth > _SHOWN_LEVELS:
            return f"a node {self.depth} levels down"
        return f"{self.parent or ''}{self.step}"


def flatten(flow: FlowJob | Mapping[str, Any], called: str = "flow") -> list[Job]:
    """The jobs of one flow, the root last; raises `InvalidNode` and `InvalidFlow`."""
    settings = get_settings()
    nodes = _post_order(_Node(flow, None, called), settings)
    for node, new_id in zip(nodes, new_ids(len(nodes)), strict=True):
        node.id = new_id
    root_id = nodes[-1].id
    return [_node_job(node, settings, root_id) for node in nodes]


def _node_job(node: _Node, settings: Settings, root_id: UUID | None) -> Job:
    try:
        job = make_job(node.given, JobOptions.of(node.given.opts), settings, job_id=node.id, root_id=root_id)
    except ConveyorError as error:
        raise InvalidNode(f"{node}: {error}") from None
    job.depth = node.depth
    job.pending_children = len(node.children)
    job.removes_children = node.removes_children
    if node.parent:
        job.parent_id = node.parent.id
        node.parent.removes_children |= job.remove_on_complete or job.remove_on_fail
    return job


def make_job(
    given: FlowJob, opts: JobOptions, settings: Settings, *, job_id: UUID | None, root_id: UUID | None = None
) -> Job:
    """One unsaved job; `opts` over the defaults of its processor and of the settings."""
    name = check_name(given.name, "name")
    queue_name = check_name(given.queue_name, "queue_name")
    opts = opts.over(default_options(queue_name, name), settings.default_options)
    backoff = Backoff.of(opts.backoff) if opts.backoff is not None else None
    check_backoff(backoff)
    later = isinstance(opts.delay, datetime)
    columns = {
        **_defaults(),
        "id": job_id,
        "root_id": root_id or job_id,
        "queue_name": queue_name,
        "name": name,
        "job_id": opts.job_id,
        "data": normalize(given.data, "data", settings.MAX_DATA_BYTES),
        "priority": opts.priority,
        "position": _falling() if opts.lifo else 0,
        "max_attempts": opts.attempts,
        "max_stalls": opts.max_stalls,
        "backoff": backoff.as_json() if backoff else None,
        "delay": 0 if later else opts.delay,
        "run_at": opts.delay if later else None,
        "timeout": opts.timeout,
        "fail_parent_on_child_failure": opts.fail_parent_on_child_failure,
        "remove_on_complete": opts.remove_on_complete,
        "remove_on_fail": opts.remove_on_fail,
    }
    return _new_job(*columns.values())  # by position: by keyword it takes three times as long


@cache
def _defaults() -> dict[str, Any]:
    """By column, in the order that `Job` takes them."""
    return {field.attname: field.get_default() for field in Job._meta.concrete_fields}


def _falling() -> int:
    """A number below all that were made before: the last added comes first."""
    global _last_position
    with _lock:
        _last_position = max(_last_position + 1, time.time_ns())
        return -_last_position


def _post_order(root: _Node, settings: Settings) -> list[_Node]:
    """Children before parents, siblings in declared order: the reverse of a walk that takes the last child first."""
    order: list[_Node] = []
    seen: dict[int, object] = {}  # by id, which is theirs for as long as they are kept here
    stack = [root]
    while stack:
        node = stack.pop()
        if id(node.given) in seen:
            raise InvalidFlow(f"{node} is in the flow at another place too (a cycle, or one object twice)")
        seen[id(node.given)] = node.given
        node.given = _as_flow_job(node.given, node)
        order.append(node)
        for index, child in enumerate(islice(_children(node), settings.MAX_FLOW_JOBS)):
            node.children.append(_Node(child, node, f".children[{index}]"))
        stack.extend(node.children)
        if len(order) + len(stack) > settings.MAX_FLOW_JOBS:
            raise InvalidFlow(f"the flow has more than {settings.MAX_FLOW_JOBS} jobs (CONVEYOR['MAX_FLOW_JOBS'])")
    return order[::-1]


def _children(node: _Node) -> Any:
    children = node.given.children
    if children is None:
        return ()
    try:
        if not isinstance(children, (str, bytes, Mapping)):
            return iter(children)
    except TypeError:
        pass
    raise InvalidNode(f"{node}: children must be a list, not {kind(children)}")


def _as_flow_job(given: object, node: _Node) -> FlowJob:
    if isinstance(given, FlowJob):
        return given
    if not isinstance(given, Mapping):
        raise InvalidNode(f"{node} must be a FlowJob or a mapping, not {kind(given)}")
    items = known_items(given, str(node), _KEYS)
    if missing := [key for key in ("name", "queue_name") if key not in items]:
        raise InvalidNode(f"{node} has no {missing[0]}")
    return FlowJob(**items)


def listed(given: Iterable[T], field: str) -> list[T]:
    """What a producer hands in as several; what its own iteration raises is its own."""
    try:
        items = iter(given)
    except TypeError:
        raise InvalidNode(f"{field} must be a list, not {kind(given)}") from None
    return list(items)


def check_job_ids(jobs: list[Job]) -> None:
    """Raises `InvalidFlow` for two equal job_ids in one queue."""
    keys: set[tuple[str, str]] = set()
    for job in jobs:
        if job.job_id is not None:
            if (job.queue_name, job.job_id) in keys:
                raise InvalidFlow(f"two jobs of queue {job.queue_name!r} have the job_id {job.job_id!r}")
            keys.add((job.queue_name, job.job_id))
