"""Jobs on their way in: lighter than instances, since what many of them have in common is kept once."""

from collections.abc import Hashable, Iterable
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db.models.base import ModelState
from django.db.models.signals import post_init, pre_init

from .job import Job

_NAMES = [field.attname for field in Job._meta.concrete_fields]
_UNUSED = ("worker", "progress", "return_value", "failed_by", "started_at", "finished_at")  # NULL as long as it is new

# columns, by attribute
OWN = (
    *("id", "job_id", "data", "state", "parent_id", "root_id", "depth", "pending_children", "position", "delay"),
    *("removes_children", "run_at", "created_at"),
)
_own_values = attrgetter(*OWN)
SHARED = tuple(name for name in _NAMES if name not in (*OWN, *_UNUSED))


class Template:
    """The columns that jobs of one name share when they were added with the same options."""

    def __init__(self, shared: dict[str, Any]) -> None:
        self.columns = _defaults() | shared
        self.written: dict[Hashable, Any] = {}  # what engines made of them, each for its own way of writing


@cache
def _defaults() -> dict[str, Any]:
    return {field.attname: field.get_default() for field in Job._meta.concrete_fields}


class NewJob:
    """A checked job that isn't stored yet; has the attributes of a `Job`. `text` is its data as JSON."""

    __slots__ = ("template", "text", *OWN)
    state: Any  # is found out when it is added

    def __init__(self, template: Template, new_id: UUID, data: Any, text: str) -> None:
        self.template = template
        self.id = self.root_id = new_id
        self.data = data
        self.text = text
        self.job_id: str | None = None
        self.parent_id: UUID | None = None
        self.depth = self.pending_children = self.position = 0
        self.delay: float = 0
        self.removes_children = False
        self.run_at: datetime | None = None
        self.created_at: datetime | None = None

    def __getattr__(self, name: str) -> Any:
        try:
            return self.template.columns[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def pk(self) -> UUID:
        return self.id


def instances(jobs: Iterable[NewJob], using: str) -> list[Job]:
    """What reading these from the database would give."""
    if pre_init.has_listeners(Job) or post_init.has_listeners(Job):
        return [Job.from_db(using, _NAMES, list(_values(job).values())) for job in jobs]
    made = []
    for job in jobs:
        instance = Job.__new__(Job)  # from_db takes three times as long to come to the same
        state = ModelState()
        state.adding, state.db = False, using
        instance.__dict__["_state"] = state
        instance.__dict__.update(_values(job))
        made.append(instance)
    return made


def _values(job: NewJob) -> dict[str, Any]:
    """Of all columns, in their order."""
    values = job.template.columns.copy()
    values.update(zip(OWN, _own_values(job), strict=True))
    if values["backoff"] is not None:
        values["backoff"] = dict(values["backoff"])
    return values
