"""What a job holds up, or did: its parent, and why that doesn't run or didn't."""

from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from conveyor_django.models import Job
from conveyor_django.states import UNSUCCESSFUL, ChildFailurePolicy, JobState

from .display import grouped

_MAX_READ = 5_000  # siblings that are looked at


class Hold(NamedTuple):
    parent: Any  # None: no job waits for it
    text: str


def holds_up(job: Job, parent: Any) -> Hold | None:
    """Nothing for a job that has completed or was cancelled by hand: whatever waited goes on."""
    if parent is None:
        alone = _("Nothing: no other job waits for it.")
        return None if job.is_finished else Hold(None, alone)
    if job.is_finished:
        return _after_its_end(job, parent)
    if parent.state == JobState.WAITING_CHILDREN:
        others = parent.pending_children - 1
        if others < 1:
            return Hold(parent, _("waits for it alone."))
        text = ngettext("waits for it and for %s other child.", "waits for it and for %s other children.", others)
        return Hold(parent, text % grouped(others))
    if parent.state == JobState.FAILED and parent.failed_by:
        failed = unsuccessful_siblings(job)
        text = ngettext(
            "waits for it and stays failed while %s other child is.",
            "waits for it and stays failed while %s other children are.",
            failed,
        )
        return Hold(parent, text % grouped(failed))
    return Hold(parent, _("has ended without it."))


def _after_its_end(job: Job, parent: Any) -> Hold | None:
    if job.state not in UNSUCCESSFUL:
        return None
    if parent.failed_by == job.pk:
        return Hold(parent, _("failed through it."))
    if parent.fail_parent_on_child_failure == ChildFailurePolicy.IGNORE:
        return Hold(parent, _("goes on without it: failures of its children are ignored."))
    return None


def unsuccessful_siblings(job: Job) -> int:
    siblings = Job.objects.using(job._state.db).filter(parent=job.parent_id).order_by("-pk")
    states = list(siblings.values_list("state", flat=True)[:_MAX_READ])
    return sum(state in UNSUCCESSFUL for state in states)
