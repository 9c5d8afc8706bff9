"""The columns of the list of jobs."""

from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conveyor_django.states import QUEUED, JobState

from .base import ReadOnlyAdmin
from .display import chip, duration, end, short_reason
from .spans import ran, waited

NOTHING = format_html('<span class="cv-quiet">{}</span>', "–")


class JobColumns(ReadOnlyAdmin):
    list_display = ("state_chip", "job", "queue", "attempts", "ended", "waited", "ran")
    list_display_links = None  # the name alone is the link

    @admin.display(description=gettext_lazy("state"))
    def state_chip(self, job: Any) -> SafeString:
        return chip(job.state)

    @admin.display(description=gettext_lazy("job"))
    def job(self, job: Any) -> SafeString:
        name = format_html('<a class="cv-name" href="{}">{}</a>', self.link("change", job.pk), job.name)
        return format_html("{}{}{}", name, _path_hint(job), short_reason(job))

    @admin.display(description=gettext_lazy("queue"))
    def queue(self, job: Any) -> SafeString:
        return format_html('<span class="cv-clamp" title="{0}">{0}</span>', job.queue_name)

    @admin.display(description=gettext_lazy("attempts"))
    def attempts(self, job: Any) -> str:
        return f"{job.attempts_made} / {job.max_attempts}"

    @admin.display(description=gettext_lazy("ended"))
    def ended(self, job: Any) -> SafeString:
        return NOTHING if job.finished_at is None else end(job.finished_at, timezone.now())

    @admin.display(description=gettext_lazy("waited"))
    def waited(self, job: Any) -> SafeString | str:
        span = duration(waited(job, timezone.now()))
        return format_html('<span class="cv-quiet">{}</span>', span) if job.state in QUEUED else span

    @admin.display(description=gettext_lazy("ran"))
    def ran(self, job: Any) -> SafeString | str:
        span = ran(job, timezone.now())
        if span is None:
            return NOTHING
        if job.state == JobState.ACTIVE:
            return format_html('<span class="cv-quiet">{}</span>', duration(span))
        return duration(span)


def _path_hint(job: Any) -> SafeString | str:
    if not job.path:
        return ""
    path = (" › … › " if job.path_has_gap else " › ").join(job.path)
    return format_html(' <span class="cv-path">{}</span>', _("in %s") % path)
