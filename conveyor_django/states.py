"""The states of a job and the moves between them: the table that everything else obeys."""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class JobState(TextChoices):
    WAITING = "waiting", _("Waiting")  # may be claimed
    WAITING_CHILDREN = "waiting-children", _("Waiting-children")  # released when no child is unfinished
    DELAYED = "delayed", _("Delayed")  # waiting once `run_at` has come
    ACTIVE = "active", _("Active")  # claimed: leased to one worker
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


class ChildFailurePolicy(TextChoices):
    """What a parent does when a child finishes unsuccessfully."""

    FAIL = "fail", _("Fail")  # the parent fails with it
    IGNORE = "ignore", _("Ignore")  # the parent runs without that child's value
    REMOVE = "remove", _("Remove")  # the parent is deleted, unrun


FINISHED = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})
UNSUCCESSFUL = frozenset({JobState.FAILED, JobState.CANCELLED})
UNFINISHED = frozenset(JobState) - FINISHED
QUEUED = UNFINISHED - {JobState.ACTIVE}  # unfinished and in no worker's hands

_W, _WC, _D, _A, _C, _F, _X = JobState

# None on the left is a new job, None on the right a deleted one.
TRANSITIONS: dict[tuple[JobState | None, JobState | None], str] = {
    (None, _W): "added",
    (None, _D): "added with a delay",
    (None, _WC): "added with children",
    (_D, _W): "due or promoted",
    (_D, _WC): "a child is retried",
    (_W, _WC): "a child is retried",
    (_WC, _W): "released",
    (_WC, _D): "released, with a delay",
    (_WC, _F): "a child failed (policy fail)",
    (_WC, None): "a child failed (policy remove)",
    (_W, _A): "claimed",
    (_A, _C): "the processor returned",
    (_A, _W): "attempts left, given back or stalled",
    (_A, _D): "attempts left, after the backoff",
    (_A, _WC): "attempts left, a child is retried",
    (_A, _F): "no attempts left",
    (_W, _X): "cancelled",
    (_WC, _X): "cancelled",
    (_D, _X): "cancelled",
    (_A, _X): "cancelled",
    (_C, _W): "retried",
    (_F, _W): "retried",
    (_X, _W): "retried",
    (_C, _WC): "retried, children unfinished",
    (_F, _WC): "retried, or reopened by a child",
    (_X, _WC): "retried, children unfinished",
}
