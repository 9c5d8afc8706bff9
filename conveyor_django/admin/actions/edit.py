"""The page on which the data of a job that waits are edited."""

import hashlib
import json
from typing import Any, NoReturn
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db import router
from django.http import HttpRequest, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from conveyor_django.conf import get_settings
from conveyor_django.encoding import normalize, visible
from conveyor_django.exceptions import InvalidJobState, InvalidNode
from conveyor_django.models import Job
from conveyor_django.redaction import redact
from conveyor_django.states import QUEUED
from conveyor_django.transitions import replace_data

from ..base import inert
from .ask import Question, ask
from .permissions import Permissions

MAX_TEXT = 512 * 1024  # characters in the box


class DataForm(forms.Form):
    data = forms.CharField(  # type: ignore[assignment]  # a form's own `data` is an attribute of its instances
        label=gettext_lazy("Data"),
        strip=False,
        max_length=MAX_TEXT,
        widget=forms.Textarea({"rows": 20, "spellcheck": "false", "autocomplete": "off"}),
        help_text=gettext_lazy("JSON. The job gets it when it runs next."),
    )

    def clean_data(self) -> Any:
        try:
            value = json.loads(self.cleaned_data["data"], parse_constant=_refuse, object_pairs_hook=_object)
            return normalize(value, "data", get_settings().MAX_DATA_BYTES)
        except InvalidNode as error:
            raise forms.ValidationError(str(error)) from None
        except RecursionError:
            raise forms.ValidationError(_("This is nested too deep.")) from None
        except ValueError as error:
            raise forms.ValidationError(_("This is not JSON: %s") % error) from None


class EditForm(DataForm):
    shown = forms.CharField(widget=forms.HiddenInput)  # the digest of the data that the page showed


class EditView(Permissions):
    def edit_urls(self) -> list[URLPattern]:
        view = inert(self.admin_site.admin_view(self.edit_view))
        return [path("<uuid:pk>/edit/", view, name=f"{self.opts.app_label}_{self.opts.model_name}_edit")]

    def edit_view(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        if request.method not in ("GET", "HEAD", "POST"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        if not (self.has_edit_data_permission(request) and self.has_view_permission(request)):
            raise PermissionDenied
        job = get_object_or_404(self.get_queryset(request), pk=pk)
        if why := _why_not(job):
            self.message_user(request, why, messages.WARNING)
            return HttpResponseRedirect(self.link("change", job.pk))
        if request.method != "POST":
            return self._show(request, job, EditForm(initial={"data": as_text(job.data), "shown": _digest(job.data)}))
        form = EditForm(request.POST)
        if not form.is_valid():
            return self._show(request, job, form)
        return self._save(request, job, form)

    def _save(self, request: HttpRequest, job: Job, form: EditForm) -> HttpResponseBase:
        shown: str = form.cleaned_data["shown"]

        def is_as_shown(data: Any) -> bool:
            return _digest(data) == shown

        try:
            using = router.db_for_write(Job, instance=job)
            is_done = replace_data(using, job.pk, form.cleaned_data["data"], still=is_as_shown)
        except (InvalidJobState, Job.DoesNotExist):
            self.message_user(request, _("The data were not changed: the job has moved on."), messages.WARNING)
            return HttpResponseRedirect(self.link("change", job.pk))
        if not is_done:
            form.add_error(
                None, _("The data have changed since this page showed them. Nothing was written: open it again.")
            )
            return self._show(request, job, form)
        user: Any = request.user
        LogEntry.objects.log_actions(user.pk, [job], CHANGE, _(gettext_noop("Changed the data.")))
        self.message_user(request, _("The data were changed."), messages.SUCCESS)
        return HttpResponseRedirect(self.link("change", job.pk))

    def _show(self, request: HttpRequest, job: Job, form: EditForm) -> HttpResponseBase:
        question = Question(
            title=_("Edit the data of %s") % job.name,
            lines=[],
            button=_("Save"),
            back=self.link("change", job.pk),
            back_text=_("Cancel"),
            form=form,
        )
        return ask(self, request, question)


def _why_not(job: Job) -> str:
    """What is masked can't be edited: saved as it is shown, the mask would take the place of the secret."""
    if job.state not in QUEUED:
        return _("Only the data of a job that waits can be edited.")
    if redact(job.data) != job.data:
        return _("These data can't be edited here: some of them are hidden, and would be overwritten.")
    if is_too_large(job.data):
        return _("These data are too large to be edited here.")
    return ""


def is_too_large(data: Any) -> bool:
    """A browser sends two characters for the end of a line."""
    text = as_text(data)
    return len(text) + text.count("\n") > MAX_TEXT


def as_text(data: Any) -> str:
    """With what can't be seen in escapes that JSON has too."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    if visible(text) == text:
        return text
    return json.dumps(data, indent=2).replace("\x7f", "\\u007f")


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(_("there is no %s in it") % constant)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(_("an object has the same key twice"))
    return found
