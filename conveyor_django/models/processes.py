"""Queues that need a row of their own, and the workers' leases."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from conveyor_django.encoding import MAX_NAME
from conveyor_django.ids import new_id


class QueueState(models.Model):
    """Only queues that were paused once have a row."""

    queue_name = models.CharField(_("queue"), max_length=MAX_NAME, primary_key=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_by = models.CharField(_("paused by"), max_length=MAX_NAME, blank=True, default="")

    class Meta:
        verbose_name = _("queue")
        verbose_name_plural = _("queues")
        default_permissions = ("view", "change")
        permissions = [("pause_queue", _("Can pause and resume queues"))]

    def __str__(self) -> str:
        return self.queue_name


class QueueMinute(models.Model):
    """What one worker finished of one queue in one minute: statistics, of which a crash may lose some seconds."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    queue_name = models.CharField(_("queue"), max_length=MAX_NAME)
    minute = models.DateTimeField(db_index=True)
    completed = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)  # by themselves, with no attempt left
    waited = models.JSONField(default=dict)  # how many jobs of each duration (durations.py)
    ran = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("minute of a queue")
        verbose_name_plural = _("minutes of queues")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.queue_name}, {self.minute:%H:%M}"


class Overview(QueueState):
    """No rows of its own: the admin's list of models shows its page by it."""

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = _("overview")
        default_permissions = ()


class WorkerProcess(models.Model):
    """One start of a worker. This row is the lease of all that it runs, so one statement is a heartbeat."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    queues = models.JSONField(null=True)  # None: every queue
    concurrency = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)  # later without a heartbeat: its jobs are rescued
    dead_at = models.DateTimeField(null=True, blank=True)  # never taken back: a worker that comes late starts anew

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
