"""Retry and cancel of what a user chose: through the transitions, logged, with the refused ones counted."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import router
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext, ngettext_lazy

from conveyor_django import ports
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.models import Job
from conveyor_django.states import FINISHED, UNFINISHED

MAX_JOBS = 10_000  # in one request
_CHUNK = 500


class Verb(NamedTuple):
    name: str  # in `ports`
    entry: str  # in the admin's history
    done: Any  # with the number of jobs
    may_apply: Callable[[str, list[Job]], list[Job]]


def _finished(using: str, jobs: list[Job]) -> list[Job]:
    return [job for job in jobs if job.state in FINISHED]


def _in_living_flows(using: str, jobs: list[Job]) -> list[Job]:
    """A finished job may have unfinished descendants, unless nothing of its whole flow is unfinished."""
    flows = Job.objects.using(using).filter(root__in={job.root_id for job in jobs}, state__in=UNFINISHED)
    living = set(flows.values_list("root_id", flat=True).distinct())
    return [job for job in jobs if job.root_id in living]


RETRY = Verb("retry", gettext_noop("Retried."), ngettext_lazy("%d job retried", "%d jobs retried"), _finished)
CANCEL = Verb(
    "cancel",
    gettext_noop("Cancelled."),
    ngettext_lazy("%d job cancelled", "%d jobs cancelled"),
    _in_living_flows,
)


class Outcome(NamedTuple):
    verb: Verb
    done: int
    skipped: int
    left: bool  # there were more than one request takes

    def __str__(self) -> str:
        text = str(self.verb.done % self.done)
        if self.skipped:
            refused = ngettext(
                "%d skipped because its state does not allow it",
                "%d skipped because their state does not allow it",
                self.skipped,
            )
            text += f", {refused % self.skipped}"
        if self.left:
            text += _("; one request takes %d jobs, so do it again for the rest") % MAX_JOBS
        return text


def apply(verb: Verb, queryset: QuerySet[Any], user_id: Any) -> Outcome:
    """In chunks, each of which is one transaction if every job of it allows it."""
    ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: MAX_JOBS + 1])
    taken = ids[:MAX_JOBS]
    done = 0
    for start in range(0, len(taken), _CHUNK):
        jobs = Job.objects.using(queryset.db).filter(pk__in=taken[start : start + _CHUNK]).order_by("pk")
        done += len(_apply_chunk(verb, list(jobs.only("name", "state", "root_id")), user_id))
    return Outcome(verb, done, len(taken) - done, len(ids) > MAX_JOBS)


def _apply_chunk(verb: Verb, jobs: list[Job], user_id: Any) -> list[Job]:
    if not jobs:
        return []
    using = router.db_for_write(Job, instance=jobs[0])
    done = _allowed(verb, using, verb.may_apply(using, jobs))
    if done:
        LogEntry.objects.log_actions(user_id, done, CHANGE, _(verb.entry))
    return done


def _allowed(verb: Verb, using: str, jobs: list[Job]) -> list[Job]:
    """All at once; one by one where one of them refuses, perhaps since a moment ago."""
    if not jobs:
        return []
    try:
        ports.call(verb.name, using, [job.pk for job in jobs])
    except (InvalidJobState, Job.DoesNotExist):
        return [done for job in jobs for done in _allowed(verb, using, [job])] if len(jobs) > 1 else []
    return jobs
