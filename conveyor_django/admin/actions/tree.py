"""Which jobs a button on a job's page reaches: of the job and all that is below it."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import router
from django.db.models import Q, QuerySet

from conveyor_django.engines import get_engine
from conveyor_django.models import Job
from conveyor_django.states import FINISHED, UNFINISHED, JobState

ALL = Q()
UNDONE = Q(state__in=sorted(UNFINISHED))
DONE = Q(state__in=sorted(FINISHED))
ACTIVE = Q(state=JobState.ACTIVE)
CANCELLED = Q(state=JobState.CANCELLED)
# those that failed through a child reopen with it
FAILED = Q(state=JobState.FAILED, failed_by__isnull=True) | CANCELLED


def count(job: Job, which: Q, bound: int) -> int:
    """Over `bound`, some number above it."""
    number = 0
    for jobs in _parts(job):
        number += jobs.filter(which).values("pk")[: bound + 1].count()
        if number > bound:
            break
    return number


def ids(job: Job, which: Q, bound: int) -> list[UUID]:
    """No more than `bound` and one."""
    found: list[UUID] = []
    for jobs in _parts(job):
        found += jobs.filter(which).values_list("pk", flat=True)[: bound + 1 - len(found)]
        if len(found) > bound:
            break
    return found


def _parts(job: Job) -> Iterator[QuerySet[Any]]:
    using = router.db_for_write(Job, instance=job)
    jobs = Job.objects.using(using)
    if job.parent_id is None:
        yield jobs.filter(root=job.pk)
        return
    engine = get_engine(using)
    for chunk in engine.chunks(engine.subtree_ids([job.pk])):
        yield jobs.filter(pk__in=chunk)
