"""The buttons of a page: each that acts is a POST form of its own, and only there for who may press it."""

from typing import Any, NamedTuple

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from conveyor_django.models import Job
from conveyor_django.states import FINISHED, QUEUED, UNFINISHED, JobState

from .display import grouped


class Button(NamedTuple):
    label: str
    url: str
    kind: str = ""  # "main": filled, one a page at most; "danger": red words
    is_link: bool = False


class Buttons(NamedTuple):
    main: list[Button]
    more: list[Button]  # in a menu


def for_job(admin: Any, request: HttpRequest, job: Job) -> Buttons:
    """What the job's state and the user's permissions allow."""
    main: list[Button] = []
    more: list[Button] = []
    has_children = job.children.exists()
    if job.state in FINISHED and admin.has_retry_permission(request):
        main.append(Button(_("Retry"), admin.link("retry", job.pk), "main" * (job.state != JobState.COMPLETED)))
    if job.state == JobState.DELAYED and admin.has_edit_permission(request):
        main.append(Button(_("Run now"), admin.link("promote", job.pk), "main"))
    if job.state in QUEUED and admin.has_edit_data_permission(request):
        main.append(Button(_("Edit data"), admin.link("edit", job.pk), is_link=True))
    if job.state in UNFINISHED and admin.has_edit_permission(request):
        place = main if job.state in QUEUED else more
        place.append(Button(_("Change priority"), admin.link("priority", job.pk)))
    if _can_cancel(job) and admin.has_cancel_permission(request):
        label = _("Cancel flow") if job.parent_id is None and has_children else _("Cancel job")
        main.append(Button(label, admin.link("cancel", job.pk), "danger"))
    if has_children and admin.has_retry_permission(request):
        more.append(Button(_("Retry what failed below"), admin.link("retry_failed", job.pk)))
        more.append(Button(_("Run again with all below"), admin.link("retry_subtree", job.pk)))
    if admin.has_copy_permission(request):
        more.append(Button(_("Add a copy"), admin.link("copy", job.pk), is_link=True))
    if admin.has_remove_permission(request):
        label = _("Remove with all below") if has_children else _("Remove")
        more.append(Button(label, admin.link("remove", job.pk), "danger"))
    more.append(Button(_("History"), admin.link("history", job.pk), is_link=True))
    return Buttons(main, more)


def for_flow(admin: Any, request: HttpRequest, root: Job, failed: int, cancelled: int) -> Buttons:
    """`failed`: how many of its jobs failed by themselves; those that were cancelled are retried with them."""
    main: list[Button] = []
    more: list[Button] = []
    if admin.has_retry_permission(request):
        if number := failed + cancelled:
            label = ngettext("Retry %s failed", "Retry %s failed", number)
            if cancelled:
                label = ngettext("Retry %s failed or cancelled", "Retry %s failed or cancelled", number)
            main.append(Button(label % grouped(number), admin.link("retry_failed", root.pk), "main"))
        more.append(Button(_("Run the whole flow again"), admin.link("retry_subtree", root.pk)))
    if _can_cancel(root) and admin.has_cancel_permission(request):
        main.append(Button(_("Cancel flow"), admin.link("cancel", root.pk), "danger"))
    if admin.has_remove_permission(request):
        more.append(Button(_("Remove flow"), admin.link("remove", root.pk), "danger"))
    return Buttons(main, more)


def _can_cancel(job: Job) -> bool:
    """A finished job may have unfinished descendants; a root is worth a query to know."""
    if job.state in UNFINISHED or job.pending_children:
        return True
    return job.parent_id is None and Job.objects.using(job._state.db).filter(root=job.pk).unfinished().exists()
