"""What outlives an attempt: its error, and the lines it logged."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from .job import Job


class JobError(models.Model):
    """One failed attempt."""

    job = models.ForeignKey(Job, models.DO_NOTHING, related_name="errors")
    attempt = models.PositiveIntegerField()  # counted from 1, anew after each retry()
    reason = models.TextField()
    stacktrace = models.TextField(blank=True, default="")
    worker = models.UUIDField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("failed attempt")
        verbose_name_plural = _("failed attempts")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"attempt {self.attempt}: {self.reason}"


class JobLog(models.Model):
    """One line that a processor logged."""

    job = models.ForeignKey(Job, models.DO_NOTHING, related_name="logs")
    text = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("log line")
        verbose_name_plural = _("log lines")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.text
