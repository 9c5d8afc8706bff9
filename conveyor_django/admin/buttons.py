"""The buttons of a page: each is a POST form of its own, and only there for who may press it."""

from typing import Any, NamedTuple

from django.http import HttpRequest
from django.utils.translation import gettext as _

from conveyor_django.models import Job
from conveyor_django.states import FINISHED, UNFINISHED, JobState


class Button(NamedTuple):
    label: str
    url: str
    kind: str = ""  # "main": filled, one a page at most; "danger": red words


def for_job(admin: Any, request: HttpRequest, job: Job) -> list[Button]:
    """What the job's state and the user's permissions allow."""
    buttons = []
    if job.state in FINISHED and admin.has_retry_permission(request):
        buttons.append(Button(_("Retry"), admin.link("retry", job.pk), "main" * (job.state != JobState.COMPLETED)))
    if _can_cancel(job) and admin.has_cancel_permission(request):
        is_flow = job.parent_id is None and job.children.exists()
        label = _("Cancel flow") if is_flow else _("Cancel job")
        buttons.append(Button(label, admin.link("cancel", job.pk), "danger"))
    return buttons


def _can_cancel(job: Job) -> bool:
    """A finished job may have unfinished descendants; a root is worth a query to know."""
    if job.state in UNFINISHED or job.pending_children:
        return True
    return job.parent_id is None and Job.objects.using(job._state.db).filter(root=job.pk).unfinished().exists()
