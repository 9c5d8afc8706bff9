"""Ways to pick jobs: `Job.objects.roots().in_queue("reports").failed()`."""

from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.db import models

from . import ports
from .encoding import is_inert
from .ids import parse_id
from .states import FINISHED, UNFINISHED, JobState

if TYPE_CHECKING:
    from .models import Job  # noqa: F401


class JobQuerySet(models.QuerySet["Job"]):
    def in_queue(self, *names: str) -> Self:
        return self.filter(queue_name__in=names)

    def in_state(self, *states: str) -> Self:
        return self.filter(state__in=states)

    def roots(self) -> Self:
        return self.filter(parent__isnull=True)

    def waiting(self) -> Self:
        return self.filter(state=JobState.WAITING)

    def waiting_children(self) -> Self:
        return self.filter(state=JobState.WAITING_CHILDREN)

    def delayed(self) -> Self:
        return self.filter(state=JobState.DELAYED)

    def active(self) -> Self:
        return self.filter(state=JobState.ACTIVE)

    def completed(self) -> Self:
        return self.filter(state=JobState.COMPLETED)

    def failed(self) -> Self:
        return self.filter(state=JobState.FAILED)

    def cancelled(self) -> Self:
        return self.filter(state=JobState.CANCELLED)

    def finished(self) -> Self:
        return self.filter(state__in=FINISHED)

    def unfinished(self) -> Self:
        return self.filter(state__in=UNFINISHED)

    def lean(self) -> Self:
        """Without the columns that can be large."""
        return self.defer("data", "return_value", "progress", "failed_reason", "stacktrace")

    def in_order(self) -> Self:
        """The order in which workers take them."""
        return self.order_by("priority", "position", "pk")

    def find(self, job_id: object) -> "Job | None":
        """The job with this id (str or UUID), None for anything else."""
        uuid = parse_id(job_id)
        return self.filter(pk=uuid).first() if uuid else None

    def with_job_id(self, *job_ids: str) -> Self:
        """Jobs with these custom ids; texts that can't be one (a NUL, a lone surrogate) find nothing."""
        return self.filter(job_id__in=[job_id for job_id in job_ids if is_inert(job_id)])

    def delete(self) -> tuple[int, dict[str, int]]:
        """Remove these jobs with their subtrees, as `Job.remove()` does; all or none.

        Raises `InvalidJobState` when one of them, or of their subtrees, is active.
        """
        ids: list[UUID] = list(self.values_list("pk", flat=True))
        self._for_write = True  # then `db` is the alias that writes, as in Django's own delete()
        taken: int = ports.call("remove", self.db, ids, must_exist=False)
        return taken, {self.model._meta.label: taken}

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]
