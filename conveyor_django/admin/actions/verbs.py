"""What can be done to jobs that a user chose: by which transition, who may, and the words for it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib.admin.models import CHANGE, DELETION
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext_lazy

from conveyor_django import transitions
from conveyor_django.states import FINISHED, UNFINISHED, JobState

from ..display import grouped


class Verb(NamedTuple):
    permission: str
    do: Callable[..., transitions.Reached]  # leaves alone what its state does not allow
    takes: frozenset[JobState]
    question: Any  # with the number of jobs, as the three below
    left_alone: Any  # of those chosen, the ones in other states
    done: Any
    effect: Any
    button: Any
    entry: str  # in the admin's history
    is_danger: bool = False
    parents_first: bool = False  # what goes along with a parent must not be dealt with before, alone
    counts_all: bool = False  # what went along was done the same
    flag: int = CHANGE


RETRY = Verb(
    permission="retry",
    do=transitions.retry_some,
    takes=FINISHED,
    question=ngettext_lazy("Retry %(shown)s job?", "Retry %(shown)s jobs?", "number"),
    left_alone=ngettext_lazy(
        "%(shown)s of them has not finished and is left alone.",
        "%(shown)s of them have not finished and are left alone.",
        "number",
    ),
    done=ngettext_lazy("%(shown)s job retried", "%(shown)s jobs retried", "number"),
    effect=gettext_lazy(
        "They run again, with all of their attempts. A parent that failed through them waits for them again; one "
        "that failed through its children takes those along."
    ),
    button=gettext_lazy("Retry"),
    entry=gettext_noop("Retried."),
)
CANCEL = Verb(
    permission="cancel",
    do=transitions.cancel_some,
    takes=UNFINISHED,
    question=ngettext_lazy("Cancel %(shown)s job?", "Cancel %(shown)s jobs?", "number"),
    left_alone=ngettext_lazy(
        "%(shown)s of them has finished: only what is unfinished below it is cancelled.",
        "%(shown)s of them have finished: only what is unfinished below them is cancelled.",
        "number",
    ),
    done=ngettext_lazy("%(shown)s job cancelled", "%(shown)s jobs cancelled", "number"),
    effect=gettext_lazy(
        "All that is unfinished below goes along. For a parent above it is a failure. What runs is told to stop, and "
        "what it returns is dropped."
    ),
    button=gettext_lazy("Cancel jobs"),
    entry=gettext_noop("Cancelled."),
    is_danger=True,
    parents_first=True,
    counts_all=True,
)
PROMOTE = Verb(
    permission="edit",
    do=transitions.promote_some,
    takes=frozenset({JobState.DELAYED}),
    question=ngettext_lazy("Run %(shown)s job now?", "Run %(shown)s jobs now?", "number"),
    left_alone=ngettext_lazy(
        "%(shown)s of them is not delayed and is left alone.",
        "%(shown)s of them are not delayed, and left alone.",
        "number",
    ),
    done=ngettext_lazy("%(shown)s job waits for a worker now", "%(shown)s jobs wait for a worker now", "number"),
    effect=gettext_lazy("Their delay ends: they wait in line, and workers take them as they come to them."),
    button=gettext_lazy("Run now"),
    entry=gettext_noop("Made to run now."),
)
PRIORITY = Verb(
    permission="edit",
    do=transitions.change_priority_some,
    takes=UNFINISHED,
    question=ngettext_lazy("Change the priority of %(shown)s job?", "Change the priority of %(shown)s jobs?", "number"),
    left_alone=ngettext_lazy(
        "%(shown)s of them has finished and is left alone.",
        "%(shown)s of them have finished and are left alone.",
        "number",
    ),
    done=ngettext_lazy("Priority of %(shown)s job changed", "Priority of %(shown)s jobs changed", "number"),
    effect=gettext_lazy("In each queue, jobs with a lower number run first."),
    button=gettext_lazy("Change priority"),
    entry=gettext_noop("Changed the priority."),
)
REMOVE = Verb(
    permission="remove",
    do=transitions.remove_some,
    takes=frozenset(JobState) - {JobState.ACTIVE},
    question=ngettext_lazy("Remove %(shown)s job?", "Remove %(shown)s jobs?", "number"),
    left_alone=ngettext_lazy(
        "%(shown)s of them is active and is left alone.", "%(shown)s of them are active and left alone.", "number"
    ),
    done=ngettext_lazy("%(shown)s job removed", "%(shown)s jobs removed", "number"),
    effect=gettext_lazy(
        "All that is below goes along, with data, results, attempts and logs. A parent above no longer waits for it. "
        "This can't be undone."
    ),
    button=gettext_lazy("Remove"),
    entry=gettext_noop("Removed."),
    is_danger=True,
    parents_first=True,
    counts_all=True,
    flag=DELETION,
)


def said(words: Any, number: int, bound: int | None = None) -> str:
    """One of the texts above, for so many jobs; over `bound` without the exact number."""
    is_over = bound is not None and number > bound
    shown = _("more than %s") % grouped(bound or 0) if is_over else grouped(number)
    return str(words % {"number": number, "shown": shown})


def refusal(verb: Verb, state: str | None) -> str:
    """Why a job that is in `state` now (None: gone) was left alone."""
    if state is None:
        return _("no longer there")
    if verb is REMOVE and state != JobState.ACTIVE:
        return _("a job below is active")
    if state in verb.takes:
        return _("changed meanwhile")
    if verb is PROMOTE and state not in FINISHED:
        return _("not delayed")
    word = str(JobState(state).label).lower()
    return (_("already %s") if state in FINISHED else _("still %s")) % word
