"""The page that asks before something is done, and says to how many jobs."""

from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from conveyor_django.encoding import MAX_NAME
from conveyor_django.exceptions import InvalidNode
from conveyor_django.options import JobOptions
from conveyor_django.queues import Queue

from ..base import ReadOnlyAdmin

MAX_COUNT = 100_000  # no further is counted
_PAGE = "admin/conveyor_django/ask.html"


@dataclass(frozen=True, kw_only=True)
class Question:
    title: str
    lines: list[str]
    button: Any
    back: str  # URL
    back_text: Any = _("No, take me back")
    is_danger: bool = False
    hidden: list[tuple[str, str]] = field(default_factory=list)
    form: forms.Form | None = None
    confirms: bool = True  # else what is posted is asked about once more
    above: tuple[str, str] | None = None  # name and URL for the breadcrumbs: where the list is not what is above


class QueueField(forms.CharField):
    """The queue of that name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(label=_("Queue"), strip=False, max_length=MAX_NAME, **kwargs)

    def clean(self, value: Any) -> Queue:
        try:
            return Queue(super().clean(value))
        except InvalidNode as error:
            raise forms.ValidationError(str(error)) from None


class PriorityForm(forms.Form):
    priority = forms.IntegerField(label=_("Priority"), help_text=_("A whole number; 0 is the default."))

    def clean_priority(self) -> int:
        priority: int = self.cleaned_data["priority"]
        try:
            JobOptions(priority=priority)
        except InvalidNode as error:
            raise forms.ValidationError(str(error)) from None
        return priority


def confirmed(request: HttpRequest) -> bool:
    return request.POST.get("confirm") == "yes"


def ask(admin: ReadOnlyAdmin, request: HttpRequest, question: Question) -> TemplateResponse:
    above = question.above or (capfirst(admin.opts.verbose_name_plural), admin.link("changelist"))
    context = {
        **admin.page_context(request, question.title),
        "above": above[0],
        "above_url": above[1],
        "question": question,
    }
    return TemplateResponse(request, _PAGE, context)
