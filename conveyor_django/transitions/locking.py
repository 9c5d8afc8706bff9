"""Small steps that transitions share around their locks."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from conveyor_django.models import Job


class Reached(NamedTuple):
    """What came of a verb that leaves alone the jobs whose state does not allow it, and those that are gone."""

    asked: set[UUID]  # those of the ids asked for that it was done to
    all: set[UUID]  # these, and what went along: descendants, parents that reopened


def require(rows: Mapping[UUID, Job], ids: Iterable[UUID]) -> list[Job]:
    """The locked rows of `ids`, ascending; raises `Job.DoesNotExist` for one that is gone."""
    ordered = sorted(ids)
    for job_id in ordered:
        if job_id not in rows:
            raise Job.DoesNotExist(f"no job has the id {job_id}")
    return [rows[job_id] for job_id in ordered]


def parent_ids(using: str, ids: Iterable[UUID]) -> set[UUID]:
    jobs = Job.objects.using(using).filter(pk__in=list(ids), parent__isnull=False)
    return set(jobs.values_list("parent_id", flat=True))
