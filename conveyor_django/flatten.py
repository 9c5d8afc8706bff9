"""From what a producer hands in to unsaved jobs: checked, without recursion, children before their parents."""

import threading
import time
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from .conf import Settings, get_settings
from .encoding import check_name, kind, normalize_text
from .exceptions import ConveyorError, InvalidFlow, InvalidNode
from .ids import new_ids
from .models import NewJob, Template
from .options import Backoff, JobOptions, known_items
from .registry import check_backoff, default_options
from .trees import FlowJob

T = TypeVar("T")
_KEYS = frozenset(f.name for f in fields(FlowJob))
_SHOWN_LEVELS = 20
_NONE = FlowJob.children  # the default
_MOST_KNOWN = 1000
_known: dict[Hashable, "_Known"] = {}
_lock = threading.Lock()
_last_position = 0


class _Node:
    """A place in the tree that was handed in."""

    __slots__ = ("children", "depth", "given", "id", "parent", "removes_children", "step")

    def __init__(self, given: Any, parent: "_Node | None", step: str | int) -> None:
        self.given: FlowJob = given  # whatever it is, until the walk has come to it
        self.parent = parent
        self.step = step  # among the parent's children, for errors; what a root is called
        self.depth: int = parent.depth + 1 if parent else 0
        self.children = 0
        self.removes_children = False
        self.id: UUID

    def __str__(self) -> str:
        if self.depth > _SHOWN_LEVELS:
            return f"a node {self.depth} levels down"
        return f"{self.parent}.children[{self.step}]" if self.parent else str(self.step)


def flatten(flow: FlowJob | Mapping[str, Any], called: str = "flow") -> list[NewJob]:
    """The jobs of one flow, the root last; raises `InvalidNode` and `InvalidFlow`."""
    settings = get_settings()
    nodes = _pre_order(_Node(flow, None, called), settings)
    ids = new_ids(len(nodes))
    for node in nodes:
        node.id = ids.pop()
    root_id = nodes[0].id
    jobs = []
    while nodes:  # and none is kept longer than it is needed: there may be very many
        jobs.append(_node_job(nodes.pop(), settings, root_id))
    return jobs


def _node_job(node: _Node, settings: Settings, root_id: UUID) -> NewJob:
    given = node.given
    try:
        opts = JobOptions.of(given.opts)
        job = make_job(given.name, given.queue_name, given.data, opts, settings, node.id)
    except ConveyorError as error:
        raise InvalidNode(f"{node}: {error}") from None
    job.root_id = root_id
    job.depth = node.depth
    job.pending_children = node.children
    job.removes_children = node.removes_children
    if node.parent:
        job.parent_id = node.parent.id
        if job.remove_on_complete or job.remove_on_fail:
            node.parent.removes_children = True
    return job


class _Known(NamedTuple):
    """What jobs of one name with the same options come to, as long as the defaults are the same ones."""

    template: Template
    options: JobOptions
    defaults: JobOptions
    settings: Settings


def make_job(name: Any, queue_name: Any, data: Any, opts: JobOptions, settings: Settings, new_id: UUID) -> NewJob:
    """One unsaved job; `opts` over the defaults of its processor and of the settings."""
    known = _known_of(name, queue_name, opts, settings)
    options = known.options
    if options.backoff is not None:
        check_backoff(Backoff.of(options.backoff))
    job = NewJob(known.template, new_id, *normalize_text(data, "data", settings.MAX_DATA_BYTES))
    job.job_id = opts.given.get("job_id", options.job_id)
    delay = opts.given.get("delay", options.delay)
    if isinstance(delay, datetime):
        job.run_at = delay
    else:
        job.delay = delay
    if options.lifo:
        job.position = _falling()
    return job


def _known_of(name: Any, queue_name: Any, opts: JobOptions, settings: Settings) -> _Known:
    if type(name) is not str:
        name = check_name(name, "name")
    if type(queue_name) is not str:
        queue_name = check_name(queue_name, "queue_name")
    own = opts.without("job_id", "delay") if opts.given else opts
    key = (name, queue_name, *own.given.items())
    known = _known.get(key)
    defaults = default_options(queue_name, name)
    if known is None or known.defaults is not defaults or known.settings is not settings:
        check_name(name, "name")
        check_name(queue_name, "queue_name")
        options = own.over(defaults, settings.default_options)
        known = _Known(_template(name, queue_name, options), options, defaults, settings)
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = known
    return known


def _template(name: str, queue_name: str, options: JobOptions) -> Template:
    backoff = Backoff.of(options.backoff) if options.backoff is not None else None
    return Template(
        {
            "name": name,
            "queue_name": queue_name,
            "priority": options.priority,
            "max_attempts": options.attempts,
            "max_stalls": options.max_stalls,
            "backoff": backoff.as_json() if backoff else None,
            "timeout": options.timeout,
            "fail_parent_on_child_failure": options.fail_parent_on_child_failure,
            "remove_on_complete": options.remove_on_complete,
            "remove_on_fail": options.remove_on_fail,
        }
    )


def _falling() -> int:
    """A number below all that were made before: the last added comes first."""
    global _last_position
    with _lock:
        _last_position = max(_last_position + 1, time.time_ns())
        return -_last_position


def _pre_order(root: _Node, settings: Settings) -> list[_Node]:
    """Parents before children, the last child first: in reverse, children before parents and siblings as declared."""
    order: list[_Node] = []
    seen: set[int] = set()
    kept: list[object] = []  # as long as they are, nothing else has their id
    stack = [root]
    while stack:
        node = stack.pop()
        given: object = node.given
        if id(given) in seen:
            raise InvalidFlow(f"{node} is in the flow at another place too (a cycle, or one object twice)")
        seen.add(id(given))
        if not isinstance(given, FlowJob):
            kept.append(given)
            node.given = _as_flow_job(given, node)
        order.append(node)
        for index, child in enumerate(islice(_children(node), settings.MAX_FLOW_JOBS)):
            stack.append(_Node(child, node, index))
            node.children += 1
        if len(order) + len(stack) > settings.MAX_FLOW_JOBS:
            raise InvalidFlow(f"the flow has more than {settings.MAX_FLOW_JOBS} jobs (CONVEYOR['MAX_FLOW_JOBS'])")
    return order


def _children(node: _Node) -> Any:
    children = node.given.children
    if children is None or children is _NONE:
        return ()
    try:
        if not isinstance(children, (str, bytes, Mapping)):
            return iter(children)
    except TypeError:
        pass
    raise InvalidNode(f"{node}: children must be a list, not {kind(children)}")


def _as_flow_job(given: object, node: _Node) -> FlowJob:
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


def check_job_ids(jobs: Iterable[NewJob]) -> None:
    """Raises `InvalidFlow` for two equal job_ids in one queue."""
    keys: set[tuple[str, str]] = set()
    for job in jobs:
        if job.job_id is not None:
            if (job.queue_name, job.job_id) in keys:
                raise InvalidFlow(f"two jobs of queue {job.queue_name!r} have the job_id {job.job_id!r}")
            keys.add((job.queue_name, job.job_id))
