"""A job queue with flows (trees of jobs) in the Django site's own database.

The public names are handed on lazily, so that importing this package never
touches models before Django's app registry is ready.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .flows import FlowProducer
    from .options import Backoff, JobOptions
    from .queues import Queue
    from .registry import processor
    from .states import ChildFailurePolicy, JobState
    from .trees import FlowJob, FlowResult, JobSummary
    from .worker import Worker

__version__ = "0.1.0"

_HOMES = {
    "FlowProducer": "flows",
    "FlowJob": "trees",
    "FlowResult": "trees",
    "JobSummary": "trees",
    "Queue": "queues",
    "Worker": "worker",
    "processor": "registry",
    "JobOptions": "options",
    "Backoff": "options",
    "JobState": "states",
    "ChildFailurePolicy": "states",
}

__all__ = [
    "Backoff",
    "ChildFailurePolicy",
    "FlowJob",
    "FlowProducer",
    "FlowResult",
    "JobOptions",
    "JobState",
    "JobSummary",
    "Queue",
    "Worker",
    "processor",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
