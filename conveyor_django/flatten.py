"""From what a producer hands in to unsaved jobs: checked, without recursion, children before their parents."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from itertools import count
from typing import Any
from uuid import UUID

from .conf import Settings, get_settings
from .encoding import check_name, kind, normalize
from .exceptions import ConveyorError, InvalidFlow, InvalidNode
from .ids import new_ids
from .models import Job
from .options import Backoff, JobOptions
from .registry import check_backoff, default_options
from .trees import FlowJob

_KEYS = frozenset(f.name for f in fields(FlowJob))
_lifo = count()


@dataclass
class _Node:
    given: FlowJob
    path: str
    parent: "_Node | None"
    children: list["_Node"] = field(default_factory=list)


def flatten(flow: FlowJob | Mapping[str, Any]) -> list[Job]:
    """The jobs of one flow, the root last; raises `InvalidNode` and `InvalidFlow`."""
    settings = get_settings()
    nodes = _post_order(flow, settings)
    ids = dict(zip(map(id, nodes), new_ids(len(nodes)), strict=True))
    root_id = ids[id(nodes[-1])]
    jobs: list[Job] = []
    for node in nodes:
        try:
            job = make_job(node.given, JobOptions.of(node.given.opts), settings, job_id=ids[id(node)], root_id=root_id)
        except ConveyorError as error:
            raise InvalidNode(f"{node.path}: {error}") from None
        job.pending_children = len(node.children)
        job.parent_id = ids[id(node.parent)] if node.parent else None
        jobs.append(job)
    _link(jobs)
    return jobs


def make_job(given: FlowJob, opts: JobOptions, settings: Settings, *, job_id: UUID, root_id: UUID | None = None) -> Job:
    """One unsaved job; `opts` over the defaults of its processor and of the settings."""
    name = check_name(given.name, "name")
    queue_name = check_name(given.queue_name, "queue_name")
    opts = opts.over(default_options(queue_name, name), settings.default_options)
    backoff = Backoff.of(opts.backoff) if opts.backoff is not None else None
    check_backoff(backoff)
    later = isinstance(opts.delay, datetime)
    return Job(
        id=job_id,
        root_id=root_id or job_id,
        queue_name=queue_name,
        name=name,
        job_id=opts.job_id,
        data=normalize(given.data, "data", settings.MAX_DATA_BYTES),
        priority=opts.priority,
        position=_falling() if opts.lifo else 0,
        max_attempts=opts.attempts,
        max_stalls=opts.max_stalls,
        backoff=backoff.as_json() if backoff else None,
        delay=0 if later else opts.delay,
        run_at=opts.delay if later else None,
        timeout=opts.timeout,
        fail_parent_on_child_failure=opts.fail_parent_on_child_failure,
        remove_on_complete=opts.remove_on_complete,
        remove_on_fail=opts.remove_on_fail,
    )


def _falling() -> int:
    """A number below all that were made before: the last added comes first."""
    return -(time.time_ns() // 1000 * 1000 + next(_lifo) % 1000)


def _post_order(flow: FlowJob | Mapping[str, Any], settings: Settings) -> list[_Node]:
    """Children before parents, siblings in declared order: the reverse of a walk that takes the last child first."""
    order: list[_Node] = []
    seen: set[int] = set()
    stack = [_Node(_as_flow_job(flow, "flow"), "flow", None)]
    keep: list[Any] = [flow]  # what `seen` knows by id must live on
    _note(flow, seen, "flow")
    while stack:
        node = stack.pop()
        order.append(node)
        if len(order) + len(stack) > settings.MAX_FLOW_JOBS:
            raise InvalidFlow(f"the flow has more than {settings.MAX_FLOW_JOBS} jobs (CONVEYOR['MAX_FLOW_JOBS'])")
        for index, child in enumerate(_children(node)):
            path = f"{node.path}.children[{index}]" if len(node.path) < 200 else "a node further down"
            _note(child, seen, path)
            keep.append(child)
            node.children.append(_Node(_as_flow_job(child, path), path, node))
        stack.extend(node.children)
    return order[::-1]


def _note(given: object, seen: set[int], path: str) -> None:
    if id(given) in seen:
        raise InvalidFlow(f"{path} is an object that the flow holds in another place too (a cycle, or one node twice)")
    seen.add(id(given))


def _children(node: _Node) -> list[Any]:
    children = node.given.children
    if children is None:
        return []
    if isinstance(children, (str, bytes, Mapping)) or not hasattr(children, "__iter__"):
        raise InvalidNode(f"{node.path}: children must be a list, not {kind(children)}")
    return list(children)


def _as_flow_job(given: object, path: str) -> FlowJob:
    if isinstance(given, FlowJob):
        return given
    if not isinstance(given, Mapping):
        raise InvalidNode(f"{path} must be a FlowJob or a mapping, not {kind(given)}")
    if unknown := [key for key in given if key not in _KEYS]:
        raise InvalidNode(f"{path} has an unknown key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")
    if missing := [key for key in ("name", "queue_name") if key not in given]:
        raise InvalidNode(f"{path} has no {missing[0]}")
    return FlowJob(**given)


def _link(jobs: list[Job]) -> None:
    """Depths, and which parents have children that are to be removed."""
    by_id = {job.pk: job for job in jobs}
    for job in reversed(jobs):
        if job.parent_id:
            parent = by_id[job.parent_id]
            job.depth = parent.depth + 1
            parent.removes_children = parent.removes_children or job.remove_on_complete or job.remove_on_fail


def check_job_ids(jobs: list[Job]) -> None:
    """Raises `InvalidFlow` for two equal job_ids in one queue."""
    keys: set[tuple[str, str]] = set()
    for job in jobs:
        if job.job_id is not None:
            if (job.queue_name, job.job_id) in keys:
                raise InvalidFlow(f"two jobs of queue {job.queue_name!r} have the job_id {job.job_id!r}")
            keys.add((job.queue_name, job.job_id))
