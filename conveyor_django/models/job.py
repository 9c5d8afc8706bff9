"""The job: one row, whose state only `transitions` writes."""

from typing import Any

from django.db import models
from django.db.models import Q
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from conveyor_django.encoding import MAX_NAME, PortableEncoder, visible
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.ids import new_id
from conveyor_django.indexes import CoveringIndex, PartialIndex, SparseIndex, StateIndex
from conveyor_django.querysets import JobQuerySet
from conveyor_django.states import FINISHED, ChildFailurePolicy, JobState

from .handles import JobHandle
from .verbs import JobVerbs


class Job(JobVerbs, JobHandle, models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    queue_name = models.CharField(_("queue"), max_length=MAX_NAME)
    name = models.CharField(_("name"), max_length=MAX_NAME)
    job_id = models.CharField(  # noqa: DJ001 - NULLs are not in the unique index
        _("job_id"), max_length=MAX_NAME, null=True, blank=True, help_text=_("custom id, unique in its queue")
    )
    data = models.JSONField(_("data"), null=True, default=dict, encoder=PortableEncoder)
    state = models.CharField(_("state"), max_length=16, choices=JobState.choices)

    # the tree: no cascades (Django's collector recurses), deletes are set-based
    parent = models.ForeignKey(
        "self", models.DO_NOTHING, null=True, blank=True, related_name="children", db_index=False
    )
    root = models.ForeignKey(  # itself for a root, which MariaDB couldn't delete under a constraint
        "self", models.DO_NOTHING, related_name="tree", db_index=False, db_constraint=False
    )
    depth = models.PositiveIntegerField(default=0)
    pending_children = models.PositiveIntegerField(default=0)  # unfinished ones, exact at every commit

    # the order in a queue
    priority = models.IntegerField(_("priority"), default=0)
    position = models.BigIntegerField(default=0)

    # options that transitions read
    max_attempts = models.PositiveIntegerField(default=1)
    max_stalls = models.PositiveIntegerField(default=1)
    backoff = models.JSONField(null=True, blank=True)
    delay = models.FloatField(default=0)  # seconds, counted from a parent's release
    timeout = models.FloatField(null=True, blank=True)  # seconds
    fail_parent_on_child_failure = models.CharField(
        _("if a child fails"),
        max_length=6,
        choices=ChildFailurePolicy.choices,
        default=ChildFailurePolicy.FAIL,
    )
    remove_on_complete = models.BooleanField(default=False)
    remove_on_fail = models.BooleanField(default=False)
    removes_children = models.BooleanField(default=False)  # some child has one of the two above
    removal_due = models.BooleanField(default=False)  # maintenance has something to remove here or right below

    # the lease: only the worker that holds both may write what became of the attempt
    worker = models.UUIDField(null=True, blank=True)
    epoch = models.BigIntegerField(default=0)  # grows at each claim, never shrinks

    attempts_made = models.PositiveIntegerField(default=0)
    stalls = models.PositiveIntegerField(default=0)
    progress = models.JSONField(null=True, blank=True, encoder=PortableEncoder)
    return_value = models.JSONField(null=True, blank=True, encoder=PortableEncoder)
    failed_reason = models.TextField(blank=True, default="")
    stacktrace = models.TextField(blank=True, default="")
    failed_by = models.UUIDField(null=True, blank=True)  # the child that failed this parent

    run_at = models.DateTimeField(null=True, blank=True)  # not before
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)  # the latest attempt's start
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        permissions = [
            ("retry_job", _("Can retry jobs")),
            ("cancel_job", _("Can cancel jobs")),
            ("edit_job", _("Can change priority and data of jobs, and run delayed ones now")),
            ("remove_job", _("Can remove jobs and clean queues")),
            ("view_payload", _("Can see data and results of jobs")),
        ]
        indexes = [
            StateIndex(
                fields=["queue_name", "priority", "position", "id"],
                of_state=JobState.WAITING,
                name="conveyor_job_waiting",
            ),
            StateIndex(fields=["run_at"], of_state=JobState.DELAYED, name="conveyor_job_delayed"),
            StateIndex(fields=["worker"], of_state=JobState.ACTIVE, name="conveyor_job_active"),
            PartialIndex(fields=["id"], of_state=JobState.WAITING_CHILDREN, name="conveyor_job_parents"),
            PartialIndex(fields=["root", "id"], of_state=JobState.FAILED, name="conveyor_job_failed"),
            SparseIndex(  # states are counted from the index: as its columns, the claim might be planned through it
                fields=["parent", "id"], covers=["state"], where={"parent__isnull": False}, name="conveyor_job_parent"
            ),
            CoveringIndex(fields=["root"], covers=["state"], name="conveyor_job_root"),
            SparseIndex(
                fields=["queue_name", "job_id"],
                where={"job_id__isnull": False},
                unique=True,
                name="conveyor_job_job_id",
            ),
            SparseIndex(fields=["removal_due"], where={"removal_due": True}, name="conveyor_job_removal"),
        ]
        constraints = [
            models.CheckConstraint(
                name="conveyor_job_active_is_leased",
                condition=Q(state=JobState.ACTIVE, worker__isnull=False)
                | (~Q(state=JobState.ACTIVE) & Q(worker__isnull=True)),
            ),
            models.CheckConstraint(
                name="conveyor_job_finished_at",
                condition=Q(state__in=sorted(FINISHED), finished_at__isnull=False)
                | (~Q(state__in=sorted(FINISHED)) & Q(finished_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="conveyor_job_pending_children",
                condition=Q(pending_children__gte=0)
                & (~Q(state=JobState.WAITING_CHILDREN) | Q(pending_children__gt=0)),
            ),
        ]

    def __str__(self) -> str:
        return f"{visible(self.name)} ({self.pk})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Refused inside its processor: it would write back the state and the lease as they were at the claim."""
        if self._run is not None:
            raise InvalidJobState("inside its processor a job is changed by update_data() and the like, not by save()")
        super().save(*args, **kwargs)

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    def get_admin_url(self) -> str | None:
        """Its page in the default admin site; None where that shows no jobs."""
        try:
            return reverse("admin:conveyor_django_job_change", args=[self.pk])
        except NoReverseMatch:
            return None
