"""A verb on many jobs: through its transition, chunk by chunk, with what was left alone counted by reason."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from conveyor_django.exceptions import TryAgain
from conveyor_django.models import Job
from conveyor_django.transitions import Reached

from ..display import grouped
from .verbs import Verb, refusal, said

MAX_JOBS = 10_000  # in one request
MAX_ENTRIES = 1_000  # of one request in the admin's history: above, one for all
CHUNK = 500


class Outcome:
    def __init__(self, verb: Verb, *, left: bool = False) -> None:
        self.verb = verb
        self.left = left  # there were more than one request takes
        self.asked: set[UUID] = set()  # those of the chosen ones that it was done to
        self.all: set[UUID] = set()  # with what went along
        self.skipped: Counter[str] = Counter()  # by reason

    @property
    def count(self) -> int:
        return len(self.all if self.verb.counts_all else self.asked)

    @property
    def is_whole(self) -> bool:
        return not (self.skipped or self.left)

    def __str__(self) -> str:
        text = said(self.verb.done, self.count)
        if more := len(self.all) - self.count:
            words = ngettext(", and %s more along with it", ", and %s more along with them", self.count)
            text += words % grouped(more)
        for reason, number in sorted(self.skipped.items(), key=lambda item: (-item[1], item[0])):
            text += _("; %(number)s skipped: %(reason)s") % {"number": grouped(number), "reason": reason}
        if self.left:
            text += _("; one request takes %s jobs, so do it again for the rest") % grouped(MAX_JOBS)
        return f"{text}."


def written_to(jobs: QuerySet[Any]) -> str:
    """The alias where these are written: they may be read from a replica."""
    writing: Any = jobs.all()
    writing._for_write = True  # as Django's own delete() has it
    return str(writing.db)


def apply(verb: Verb, using: str, ids: Iterable[UUID], arguments: Sequence[Any], user: Any) -> Outcome:
    """For the first `MAX_JOBS` of `ids`, in chunks that are a transaction each, logged for each job if they are few."""
    chosen = list(ids)
    outcome = Outcome(verb, left=len(chosen) > MAX_JOBS)
    taken = sorted(chosen[:MAX_JOBS], reverse=verb.parents_first)
    logs_each = len(taken) <= MAX_ENTRIES
    for start in range(0, len(taken), CHUNK):
        part = taken[start : start + CHUNK]
        jobs = list(Job.objects.using(using).filter(pk__in=part).only("name")) if logs_each else []
        _apply_to(part, using, arguments, outcome)
        if done := [job for job in jobs if job.pk in outcome.asked]:
            LogEntry.objects.log_actions(user.pk, done, verb.flag, _(verb.entry))
    if outcome.asked and not logs_each:
        _log_all(outcome, user)
    return outcome


def apply_at_once(verb: Verb, using: str, ids: Iterable[UUID], arguments: Sequence[Any] = ()) -> Outcome:
    """In one transaction, however many there are: jobs of one flow, where none may start before all are set."""
    outcome = Outcome(verb)
    _apply_to(list(ids), using, arguments, outcome)
    return outcome


def _apply_to(part: list[UUID], using: str, arguments: Sequence[Any], outcome: Outcome) -> None:
    try:
        reached = outcome.verb.do(using, part, *arguments)
    except TryAgain:  # others kept changing them
        reached = Reached(set(), set())
    outcome.asked |= reached.asked
    outcome.all |= reached.all
    outcome.asked.update(pk for pk in part if pk in outcome.all)  # along with an earlier one
    skipped = [pk for pk in part if pk not in outcome.asked]
    if skipped:
        states = _states(using, skipped)
        outcome.skipped.update(refusal(outcome.verb, states.get(pk)) for pk in skipped)


def _states(using: str, ids: list[UUID]) -> dict[UUID, str]:
    states: dict[UUID, str] = {}
    for start in range(0, len(ids), CHUNK):
        jobs = Job.objects.using(using).filter(pk__in=ids[start : start + CHUNK])
        states.update(jobs.values_list("pk", "state"))
    return states


def _log_all(outcome: Outcome, user: Any) -> None:
    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(Job),
        object_repr=_("%s jobs") % grouped(len(outcome.asked)),
        action_flag=outcome.verb.flag,
        change_message=_(outcome.verb.entry),
    )
