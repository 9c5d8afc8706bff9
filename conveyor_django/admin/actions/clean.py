"""The page on which a queue is cleaned of finished jobs, or drained of those that wait."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext_lazy

from conveyor_django.models import Job, QueueState
from conveyor_django.queues import Queue
from conveyor_django.states import QUEUED, JobState
from conveyor_django.transitions import queues

from ..base import ReadOnlyAdmin, inert
from ..display import grouped
from . import verbs
from .ask import Question, QueueField, ask, confirmed
from .bulk import MAX_JOBS

WAITING = "waits"
WHAT = [
    *((state.value, state.label) for state in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)),
    (WAITING, gettext_lazy("All that waits, of any age")),
]
AGES = {"0": 0, "hour": 3_600, "day": 86_400, "week": 604_800, "month": 2_592_000, "quarter": 7_776_000}
_WORDS = [
    ("0", gettext_lazy("Any time ago")),
    ("hour", gettext_lazy("Over an hour ago")),
    ("day", gettext_lazy("Over a day ago")),
    ("week", gettext_lazy("Over 7 days ago")),
    ("month", gettext_lazy("Over 30 days ago")),
    ("quarter", gettext_lazy("Over 90 days ago")),
]
_QUESTION = ngettext_lazy("Remove %(shown)s job of the queue?", "Remove %(shown)s jobs of the queue?", "number")


class CleanForm(forms.Form):
    queue = QueueField()
    what = forms.ChoiceField(label=gettext_lazy("Jobs"), choices=WHAT)
    age = forms.ChoiceField(label=gettext_lazy("Finished"), choices=_WORDS, initial="week")

    def clean(self) -> dict[str, Any]:
        if self.cleaned_data.get("what") == WAITING and self.cleaned_data.get("age", "0") != "0":
            self.add_error("age", _("What waits has not finished: choose any time."))
        return self.cleaned_data


class CleanView(ReadOnlyAdmin):
    def has_clean_permission(self, request: HttpRequest) -> bool:
        user: Any = request.user
        may = all(user.has_perm(f"{self.opts.app_label}.{name}") for name in ("view_job", "remove_job"))
        return may and self.has_view_permission(request)

    def get_urls(self) -> list[URLPattern]:
        view = inert(self.admin_site.admin_view(self.clean_view))
        name = f"{self.opts.app_label}_{self.opts.model_name}_clean"
        return [path("clean/", view, name=name), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        clean_url = self.link("clean") if self.has_clean_permission(request) else ""
        return super().changelist_view(request, {"clean_url": clean_url, **(extra_context or {})})

    def clean_view(self, request: HttpRequest) -> HttpResponseBase:
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        if not self.has_clean_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return self._choose(request, CleanForm(initial={"queue": request.GET.get("queue", "")}))
        form = CleanForm(request.POST)
        if not form.is_valid():
            return self._choose(request, form)
        queue, what, age = form.cleaned_data["queue"], form.cleaned_data["what"], AGES[form.cleaned_data["age"]]
        if confirmed(request):
            return self._clean(request, queue, what, age)
        number = _jobs(queue, what, age).values("pk")[: MAX_JOBS + 1].count()
        if not number:
            self.message_user(request, _("Nothing was done: there are no such jobs."), messages.WARNING)
            return HttpResponseRedirect(self.link("changelist"))
        return ask(self, request, self._question(form, queue, number))

    def _choose(self, request: HttpRequest, form: CleanForm) -> HttpResponseBase:
        question = Question(
            title=_("Clean a queue"),
            lines=[_("Jobs are removed with all that is below them. You are asked once more, with their number.")],
            button=_("Go on"),
            back=self.link("changelist"),
            back_text=_("Cancel"),
            form=form,
            confirms=False,
        )
        return ask(self, request, question)

    def _question(self, form: CleanForm, queue: Queue, number: int) -> Question:
        what, when = dict(WHAT)[form.cleaned_data["what"]], dict(_WORDS)[form.cleaned_data["age"]]
        choice = f"{what}" if form.cleaned_data["what"] == WAITING else f"{what}, {str(when).lower()}"
        lines = [
            _("Queue %(queue)s: %(choice)s.") % {"queue": queue.name, "choice": choice},
            _(
                "All that is below them goes along. Left alone are jobs above one that is active, and finished ones "
                "whose parent has not finished. This can't be undone."
            ),
        ]
        if number > MAX_JOBS:
            lines.append(_("One request takes %s jobs: do it again for the rest.") % grouped(MAX_JOBS))
        return Question(
            title=verbs.said(_QUESTION, number, MAX_JOBS),
            lines=lines,
            button=_("Remove"),
            back=self.link("changelist"),
            is_danger=True,
            hidden=[(name, form.data[name]) for name in form.fields],
        )

    def _clean(self, request: HttpRequest, queue: Queue, what: str, age: int) -> HttpResponseBase:
        if what == WAITING:
            taken = queues.drain(queue.using, queue.name, MAX_JOBS)
        else:
            taken = queues.clean(queue.using, queue.name, JobState(what), age, MAX_JOBS)
        text = verbs.said(verbs.REMOVE.done, taken)
        if taken >= MAX_JOBS:
            text += _("; one request takes %s jobs, so do it again for the rest") % grouped(MAX_JOBS)
        if taken:
            self._log(request, queue, text)
        self.message_user(request, f"{text}.", messages.SUCCESS if taken else messages.WARNING)
        return HttpResponseRedirect(self.link("changelist"))

    def _log(self, request: HttpRequest, queue: Queue, text: str) -> None:
        user: Any = request.user
        has_page = QueueState.objects.using(queue.using).filter(queue_name=queue.name).exists()
        LogEntry.objects.create(
            user_id=user.pk,
            content_type=ContentType.objects.get_for_model(QueueState),
            object_id=queue.name if has_page else None,
            object_repr=queue.name[:200],
            action_flag=CHANGE,
            change_message=_(gettext_noop("Cleaned: %s.")) % text,
        )


def _jobs(queue: Queue, what: str, age: int) -> QuerySet[Any]:
    jobs = Job.objects.using(queue.using).in_queue(queue.name)
    if what == WAITING:
        return jobs.in_state(*QUEUED)
    return jobs.in_state(what).filter(finished_at__lte=timezone.now() - timedelta(seconds=age))
