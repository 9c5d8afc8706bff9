"""The page on which a job is added by hand, from nothing or as a copy of another."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin.models import ADDITION, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conveyor_django import registry
from conveyor_django.encoding import MAX_NAME
from conveyor_django.exceptions import InvalidNode
from conveyor_django.models import Job
from conveyor_django.options import JobOptions
from conveyor_django.queues import Queue
from conveyor_django.redaction import redact

from ..base import inert
from .ask import Question, QueueField, ask
from .edit import DataForm, as_text, is_too_large
from .permissions import Permissions

_OPTIONS = ("delay", "priority", "attempts", "job_id")


class Suggested(forms.TextInput):
    """A box that offers what is known, and takes anything."""

    template_name = "admin/conveyor_django/suggested.html"

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        listed = f"{attrs['id']}_known" if attrs and "id" in attrs else f"{name}_known"
        context: dict[str, Any] = super().get_context(name, value, {**(attrs or {}), "list": listed})
        return {**context, "listed": listed, "known": _known(name)}


class AddForm(DataForm):
    name = forms.CharField(label=gettext_lazy("Name"), strip=False, max_length=MAX_NAME, widget=Suggested({"size": 40}))
    queue = QueueField(widget=Suggested({"size": 40}))
    delay = forms.FloatField(
        label=gettext_lazy("Delay"), required=False, help_text=gettext_lazy("Seconds; nothing: it may run at once.")
    )
    priority = forms.IntegerField(
        label=gettext_lazy("Priority"), required=False, help_text=gettext_lazy("A whole number; the lowest runs first.")
    )
    attempts = forms.IntegerField(
        label=gettext_lazy("Attempts"), required=False, help_text=gettext_lazy("How often it is tried, at most.")
    )
    job_id = forms.CharField(
        label="job_id",
        strip=False,
        required=False,
        help_text=gettext_lazy("While a job of the queue has it, no other with it is added."),
    )
    field_order = ("name", "queue", "data", *_OPTIONS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["data"].help_text = "JSON."
        self.fields["data"].widget.attrs["rows"] = 8

    def clean(self) -> dict[str, Any]:
        """What was left empty is unset: the next layer of options holds."""
        cleaned = self.cleaned_data
        for name in _OPTIONS:
            try:
                JobOptions.of(self._given(name))
            except InvalidNode as error:
                self.add_error(name, str(error))
        queue, job_id = cleaned.get("queue"), cleaned.get("job_id")
        if queue and job_id and Job.objects.using(queue.using).in_queue(queue.name).with_job_id(job_id).exists():
            self.add_error("job_id", _("A job of this queue has it already."))
        return cleaned

    def _given(self, *names: str) -> dict[str, Any]:
        return {name: value for name in names if (value := self.cleaned_data.get(name)) not in (None, "")}

    def add(self) -> Job | None:
        """None if what was asked for is refused; the form says why then."""
        cleaned = self.cleaned_data
        queue: Queue = cleaned["queue"]
        try:
            return queue.add(cleaned["name"], cleaned["data"], self._given(*_OPTIONS))
        except InvalidNode as error:
            self.add_error(None, str(error))
            return None


class AddView(Permissions):
    """At a URL of its own: the admin's "add" would be a form of the row's columns."""

    def add_urls(self) -> list[URLPattern]:
        view = inert(self.admin_site.admin_view(self.new_view))
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        return [path("new/", view, name=f"{name}_new"), path("<uuid:pk>/copy/", view, name=f"{name}_copy")]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        new_url = self.link("new") if self.has_new_permission(request) else ""
        return super().changelist_view(request, {"new_url": new_url, **(extra_context or {})})

    def new_view(self, request: HttpRequest, pk: UUID | None = None) -> HttpResponseBase:
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        may = self.has_new_permission(request) if pk is None else self.has_copy_permission(request)
        if not (may and self.has_view_permission(request)):
            raise PermissionDenied
        copied = None if pk is None else get_object_or_404(self.get_queryset(request), pk=pk)
        if request.method != "POST":
            initial = _like(copied) if copied else {"queue": "default", "data": "{}"}
            return self._fill_in(request, copied, AddForm(initial=initial))
        form = AddForm(request.POST)
        job = form.add() if form.is_valid() else None
        if job is None:
            return self._fill_in(request, copied, form)
        user: Any = request.user
        LogEntry.objects.log_actions(user.pk, [job], ADDITION, [{"added": {}}])
        self.message_user(request, _("The job was added."), messages.SUCCESS)
        return HttpResponseRedirect(self.link("change", job.pk))

    def _fill_in(self, request: HttpRequest, copied: Job | None, form: AddForm) -> HttpResponseBase:
        lines = []
        if copied:
            lines.append(_("The copy stands alone: without a parent, children and a job_id."))
            lines += [why] if (why := _why_no_data(copied)) else []
        question = Question(
            title=_("Add a copy of %s") % copied.name if copied else _("Add a job"),
            lines=lines,
            button=_("Add"),
            back=self.link("change", copied.pk) if copied else self.link("changelist"),
            back_text=_("Cancel"),
            form=form,
            confirms=False,
        )
        return ask(self, request, question)


def _like(job: Job) -> dict[str, Any]:
    data = "" if _why_no_data(job) else as_text(job.data)
    return {
        "name": job.name,
        "queue": job.queue_name,
        "data": data,
        "priority": job.priority,
        "attempts": job.max_attempts,
    }


def _why_no_data(job: Job) -> str:
    if redact(job.data) != job.data:
        return _("Its data are not copied: some of them are hidden.")
    if is_too_large(job.data):
        return _("Its data are not copied: they are too large for this page.")
    return ""


def _known(field: str) -> list[str]:
    """What has a processor in this process."""
    found = {name if field == "name" else queue_name for queue_name, name in registry.processors}
    return sorted(each for each in found if each is not None)
