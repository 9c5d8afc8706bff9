"""The verbs on the list of jobs: for those that were ticked, or for all that match its filters."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conveyor_django.ids import parse_id

from ..display import grouped
from . import bulk, verbs
from .ask import MAX_COUNT, PriorityForm, Question, ask, confirmed
from .permissions import Permissions


class ListActions(Permissions):
    actions = ("retry", "cancel", "promote", "change_priority", "remove")

    @admin.action(permissions=["retry"], description=gettext_lazy("Retry"))
    def retry(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        return self._act(verbs.RETRY, request, queryset)

    @admin.action(permissions=["cancel"], description=gettext_lazy("Cancel"))
    def cancel(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        return self._act(verbs.CANCEL, request, queryset)

    @admin.action(permissions=["edit"], description=gettext_lazy("Run now"))
    def promote(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        return self._act(verbs.PROMOTE, request, queryset)

    @admin.action(permissions=["edit"], description=gettext_lazy("Change priority"))
    def change_priority(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        return self._act(verbs.PRIORITY, request, queryset)

    @admin.action(permissions=["remove"], description=gettext_lazy("Remove"))
    def remove(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        return self._act(verbs.REMOVE, request, queryset)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any) -> Any:
        """`args`: Django 6.1's place of the action."""
        if not all(map(parse_id, request.POST.getlist(ACTION_CHECKBOX_NAME))):
            self.message_user(request, _("Nothing was done: what was chosen are not ids of jobs."), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset, *args, **kwargs)

    def _act(self, verb: verbs.Verb, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        form = None
        if verb is verbs.PRIORITY:
            form = PriorityForm(request.POST if confirmed(request) else None, initial={"priority": 0})
        if not confirmed(request) or (form and not form.is_valid()):
            return ask(self, request, _question(verb, request, queryset, form))
        ids = queryset.order_by("-pk").values_list("pk", flat=True)[: bulk.MAX_JOBS + 1]
        arguments = list(form.cleaned_data.values()) if form else []
        outcome = bulk.apply(verb, bulk.written_to(queryset), ids, arguments, user=request.user)
        self.message_user(request, str(outcome), messages.SUCCESS if outcome.is_whole else messages.WARNING)
        return None


def _question(verb: verbs.Verb, request: HttpRequest, queryset: QuerySet[Any], form: Any) -> Question:
    states = queryset.order_by().values("pk", "state")[: MAX_COUNT + 1]
    counts = states.aggregate(chosen=Count("pk"), fit=Count("pk", filter=Q(state__in=sorted(verb.takes))))
    chosen, unfit = counts["chosen"], counts["chosen"] - counts["fit"]
    lines = []
    if unfit:
        lines.append(verbs.said(verb.left_alone, unfit))
    if chosen > bulk.MAX_JOBS:
        lines.append(_("One request takes %s jobs: do it again for the rest.") % grouped(bulk.MAX_JOBS))
    return Question(
        title=verbs.said(verb.question, chosen, MAX_COUNT),
        lines=[*lines, str(verb.effect)],
        button=verb.button,
        back=request.get_full_path(),
        is_danger=verb.is_danger,
        hidden=_posted_again(request),
        form=form,
    )


def _posted_again(request: HttpRequest) -> list[tuple[str, str]]:
    """Which action, on which jobs."""
    names = ("action", "select_across")
    return [
        *((name, request.POST.get(name, "")) for name in names),
        *((ACTION_CHECKBOX_NAME, pk) for pk in request.POST.getlist(ACTION_CHECKBOX_NAME)),
    ]
