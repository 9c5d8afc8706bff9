"""Jobs as they are handed to processors: made from a claim's rows as a query would make them, without its detours."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from django.db import models
from django.db.models.base import ModelState

from conveyor_django.models import Job

from . import sql
from .turns import Place, Taking

SHARED: list[Any] = [  # numbers, flags and fixed words, the same for most jobs: read once
    Job._meta.get_field(name)
    for name in (
        "depth",
        "pending_children",
        "priority",
        "max_attempts",
        "max_stalls",
        "delay",
        "timeout",
        "fail_parent_on_child_failure",
        "remove_on_complete",
        "remove_on_fail",
        "removes_children",
        "removal_due",
        "attempts_made",
        "stalls",
    )
]
_GIVEN = {"state", "worker", "finished_at"}  # known of a claimed job
OWN: list[Any] = [
    field
    for field in Job._meta.concrete_fields
    if (field.name == "data" or field.name not in sql.LARGE | _GIVEN) and field not in SHARED
]
_NAMES = [field.attname for field in OWN]
_TIMES = [field.attname for field in OWN if isinstance(field, models.DateTimeField)]


_IDS = [n for n, field in enumerate(OWN) if isinstance(field, (models.UUIDField, models.ForeignKey))]


def moment(value: Any) -> datetime | None:
    """What a driver hands out for a time, without a zone or as text: it is UTC."""
    if value is None:
        return None
    time: datetime = datetime.fromisoformat(value) if isinstance(value, str) else value
    return time.replace(tzinfo=UTC)


@lru_cache(maxsize=1000)
def shared(values: tuple[Any, ...]) -> dict[str, Any]:
    return {f.attname: v if v is None else f.to_python(v) for f, v in zip(SHARED, values, strict=True)}


def jobs(rows: Iterable[tuple[dict[str, Any], Sequence[Any]]], taking: Taking, using: str) -> list[Job]:
    """Of what is shared and the own values of each; the other columns are deferred."""
    made = []
    known = {**taking.values, "finished_at": None}
    for common, own in rows:
        job = Job.__new__(Job)
        values = job.__dict__
        values.update(common)
        values.update(known)
        values.update(zip(_NAMES, own, strict=True))
        for name in _TIMES:
            values[name] = moment(values[name])
        if values["backoff"] is not None:
            values["backoff"] = json.loads(values["backoff"])
        state = values["_state"] = ModelState()
        state.db, state.adding = using, False
        made.append(job)
    texts = ",".join(["null" if job.data is None else job.data for job in made])  # JSON yet
    for job, data in zip(made, json.loads(f"[{texts}]"), strict=True):  # all at once takes half the time
        job.data = data
    return made


def place(job: Job) -> Place:
    """In its queue."""
    return job.priority, job.position, job.id


def in_turn(jobs: list[Job]) -> list[Job]:
    """One of each queue after the other."""
    if len({job.queue_name for job in jobs}) < 2:
        return jobs
    dealt: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        dealt[job.queue_name].append(job)
    return [job for turn in zip_longest(*dealt.values()) for job in turn if job]


def portable(row: Sequence[Any]) -> tuple[dict[str, Any], list[Any]]:
    """What is shared and what is own in a row of a driver that has no UUIDs."""
    common, own = row[: len(SHARED)], list(row[len(SHARED) :])
    for index in _IDS:
        own[index] = sql.as_uuid(own[index])
    return shared(common), own
