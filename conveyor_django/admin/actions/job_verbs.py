"""The verbs of a job's and a flow's page, a URL each: one POST, or one that asks and one that confirms."""

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.models import LogEntry
from django.core.exceptions import PermissionDenied
from django.db import router
from django.db.models import Q
from django.http import HttpRequest, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from conveyor_django.models import Job
from conveyor_django.states import JobState

from ..base import inert, safe_next
from ..display import grouped
from ..holds import unsuccessful_siblings
from . import bulk, tree, verbs
from .ask import MAX_COUNT, PriorityForm, Question, ask, confirmed
from .permissions import Permissions


class JobVerb(NamedTuple):
    verb: verbs.Verb
    takes: Q | None = None  # of the job and what is below it, all at once; None: the job alone
    touches: Q | None = None  # how many the question speaks of; None: it is not asked
    question: Any = None  # where it is not the verb's
    effect: Any = None
    button: Any = None


JOB_VERBS = {
    "retry": JobVerb(verbs.RETRY),
    "retry_failed": JobVerb(
        verbs.RETRY,
        tree.FAILED,
        tree.FAILED,
        ngettext_lazy("Retry %(shown)s failed job?", "Retry %(shown)s failed jobs?", "number"),
        gettext_lazy(
            "All that failed by themselves or were cancelled run again, with all of their attempts. Parents that "
            "failed through them wait for them again; what has completed stays as it is."
        ),
    ),
    "retry_subtree": JobVerb(
        verbs.RETRY,
        tree.DONE,
        tree.DONE,
        ngettext_lazy("Run %(shown)s finished job again?", "Run %(shown)s finished jobs again?", "number"),
        gettext_lazy("All that has finished runs again, the completed ones too; what has not finished is left alone."),
        gettext_lazy("Run again"),
    ),
    "cancel": JobVerb(verbs.CANCEL, None, tree.UNDONE),
    "promote": JobVerb(verbs.PROMOTE),
    "priority": JobVerb(verbs.PRIORITY, None, Q()),
    "remove": JobVerb(verbs.REMOVE, None, tree.ALL),
}


_RETRY_BOTH = ngettext_lazy(
    "Retry %(shown)s failed or cancelled job?", "Retry %(shown)s failed or cancelled jobs?", "number"
)


class JobVerbViews(Permissions):
    def verb_urls(self) -> list[URLPattern]:
        info = f"{self.opts.app_label}_{self.opts.model_name}"
        view: Callable[..., HttpResponseBase] = inert(self.admin_site.admin_view(self.verb_view))
        return [
            path(f"<uuid:pk>/{name.replace('_', '-')}/", view, {"name": name}, name=f"{info}_{name}")
            for name in JOB_VERBS
        ]

    def verb_view(self, request: HttpRequest, pk: UUID, name: str) -> HttpResponseBase:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        chosen = JOB_VERBS[name]
        if not (self.may(request, chosen.verb.permission) and self.has_view_permission(request)):
            raise PermissionDenied
        jobs: Any = self.get_queryset(request)
        job: Job = get_object_or_404(jobs.lean(), pk=pk)
        form = None
        if chosen.verb is verbs.PRIORITY:
            form = (
                PriorityForm(request.POST) if confirmed(request) else PriorityForm(initial={"priority": job.priority})
            )
        is_asked = chosen.touches is not None and not confirmed(request)
        if is_asked or (form and not form.is_valid()):
            return self._ask(request, job, chosen, form)
        return self._do(request, job, chosen, list(form.cleaned_data.values()) if form else [])

    def _ask(self, request: HttpRequest, job: Job, chosen: JobVerb, form: Any) -> HttpResponseBase:
        verb = chosen.verb
        number = 1 if form else tree.count(job, chosen.touches or Q(), MAX_COUNT)
        if not number or (form and job.is_finished):
            reason = _("nothing to do") if chosen.takes else verbs.refusal(verb, job.state)
            return self._refuse(request, job, reason)
        if chosen.takes and number > MAX_COUNT:
            return self._refuse(request, job, _too_many())
        if verb is verbs.REMOVE and (active := tree.count(job, tree.ACTIVE, MAX_COUNT)):
            text = ngettext(
                "%s of its jobs is active: cancel it first", "%s of its jobs are active: cancel them first", active
            )
            return self._refuse(request, job, text % grouped(active))
        asked = chosen.question or verb.question
        if chosen.touches is tree.FAILED and tree.count(job, tree.CANCELLED, 1):
            asked = _RETRY_BOTH
        button = chosen.button or verb.button
        question = Question(
            title=verbs.said(asked, number, MAX_COUNT),
            lines=[_name(job), str(chosen.effect or verb.effect)],
            button=button,
            back=safe_next(request) or self.link("change", job.pk),
            is_danger=verb.is_danger,
            hidden=[("next", url)] if (url := safe_next(request)) else [],
            form=form,
        )
        return ask(self, request, question)

    def _refuse(self, request: HttpRequest, job: Job, reason: str) -> HttpResponseRedirect:
        self.message_user(request, _("Nothing was done: %s.") % reason, messages.WARNING)
        return HttpResponseRedirect(self._after(request, job))

    def _do(self, request: HttpRequest, job: Job, chosen: JobVerb, arguments: list[Any]) -> HttpResponseBase:
        using = router.db_for_write(Job, instance=job)
        ids = [job.pk] if chosen.takes is None else tree.ids(job, chosen.takes, MAX_COUNT)
        if len(ids) > MAX_COUNT:
            return self._refuse(request, job, _too_many())
        outcome = bulk.apply_at_once(chosen.verb, using, ids, arguments)
        user: Any = request.user
        if outcome.asked:
            entry = _(chosen.verb.entry) if chosen.takes is None else f"{outcome}"
            LogEntry.objects.log_actions(user.pk, [job], chosen.verb.flag, entry)
        text = str(outcome)
        if chosen is JOB_VERBS["retry"] and outcome.asked:
            text += _parent_that_stays_failed(job)
        self.message_user(request, text, messages.SUCCESS if outcome.is_whole else messages.WARNING)
        return HttpResponseRedirect(self._after(request, job))

    def _after(self, request: HttpRequest, job: Job) -> str:
        """Where the verb was found, if that is not a page of a job that is gone."""
        asked = safe_next(request)
        if self.get_queryset(request).filter(pk=job.pk).exists():
            return asked or self.link("change", job.pk)
        if asked and str(job.pk) not in asked:
            return asked
        return self.link("change", job.parent_id) if job.parent_id else self.link("changelist")


def _too_many() -> str:
    return _("there are more than %s jobs, which manage.py retryjobs can retry") % grouped(MAX_COUNT)


def _name(job: Job) -> str:
    return _("%(name)s, %(state)s, in queue %(queue)s") % {
        "name": job.name,
        "state": str(JobState(job.state).label).lower(),
        "queue": job.queue_name,
    }


def _parent_that_stays_failed(job: Job) -> str:
    if job.parent_id is None:
        return ""
    parent = Job.objects.using(job._state.db).filter(pk=job.parent_id).only("name", "state", "failed_by").first()
    if parent is None or parent.state != JobState.FAILED or not parent.failed_by:
        return ""
    number = unsuccessful_siblings(job)
    text = ngettext(
        " Its parent %(name)s stays failed: %(number)s other child has failed.",
        " Its parent %(name)s stays failed: %(number)s other children have failed.",
        number,
    )
    return text % {"name": parent.name, "number": grouped(number)}
