"""Retry and cancel of what a user chose: through the transitions, logged, with the refused ones counted."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import router
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, ngettext_lazy

from .. import ports
from ..exceptions import InvalidJobState
from ..models import Job
from ..states import FINISHED, UNFINISHED

MAX_JOBS = 10_000  # in one request
_CHUNK = 500
_GONE = (InvalidJobState, Job.DoesNotExist)


class Verb(NamedTuple):
    name: str  # in `ports`
    entry: Any  # in the admin's history
    done: Any  # with the number of jobs
    may_apply: Callable[[str, list[Job]], list[Job]]


def _finished(using: str, jobs: list[Job]) -> list[Job]:
    return [job for job in jobs if job.state in FINISHED]


def _in_living_flows(using: str, jobs: list[Job]) -> list[Job]:
    """A finished job may still have unfinished descendants, unless nothing of its whole flow is unfinished."""
    flows = Job.objects.using(using).filter(root__in={job.root_id for job in jobs}, state__in=UNFINISHED)
    living = set(flows.values_list("root_id", flat=True).distinct())
    return [job for job in jobs if job.root_id in living]


RETRY = Verb("retry", "Retried.", ngettext_lazy("%d job retried", "%d jobs retried"), _finished)
CANCEL = Verb("cancel", "Cancelled.", ngettext_lazy("%d job cancelled", "%d jobs cancelled"), _in_living_flows)


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
    """In chunks, each of which is one transaction where every job of it allows it."""
    using = queryset._db or router.db_for_write(Job)
    ids: list[UUID] = list(queryset.order_by("pk").values_list("pk", flat=True)[: MAX_JOBS + 1])
    done = 0
    for start in range(0, min(len(ids), MAX_JOBS), _CHUNK):
        done += len(_apply_chunk(verb, using, ids[start : start + _CHUNK], user_id))
    taken = min(len(ids), MAX_JOBS)
    return Outcome(verb, done, taken - done, len(ids) > MAX_JOBS)


def _apply_chunk(verb: Verb, using: str, ids: list[UUID], user_id: Any) -> list[Job]:
    jobs = list(Job.objects.using(using).filter(pk__in=ids).only("name", "state", "root_id").order_by("pk"))
    jobs = verb.may_apply(using, jobs)
    done = list(_allowed(verb, using, jobs))
    if done:
        LogEntry.objects.log_actions(user_id, done, CHANGE, verb.entry)
    return done


def _allowed(verb: Verb, using: str, jobs: list[Job]) -> Iterator[Job]:
    """All at once; one by one where one of them, perhaps meanwhile, refuses."""
    if not jobs:
        return
    try:
        ports.call(verb.name, using, [job.pk for job in jobs])
        yield from jobs
    except _GONE:
        if len(jobs) > 1:
            for job in jobs:
                yield from _allowed(verb, using, [job])
