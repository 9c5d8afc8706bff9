"""The admin of jobs: a list, and a page for each; what can be done to them is in `actions`."""

from typing import Any

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from conveyor_django.models import Job, Overview

from . import buttons, search
from .actions.add import AddView
from .actions.edit import EditView
from .actions.job_verbs import JobVerbViews
from .actions.list_actions import ListActions
from .changelist import JobChangeList, is_search_indexed
from .columns import JobColumns
from .export import FORMATS, export
from .filters import WITHIN_FLOW, AddedFilter, FinishedFilter, LevelFilter, QueueFilter
from .flow.views import FlowViews
from .job_page import job_page, line_in
from .newer import newer
from .payload import PARTS, as_file, may_see_payload

LOOKUPS = frozenset({"state__exact", "queue_name__exact", "level", "added", "finished", *WITHIN_FLOW})


class JobAdmin(ListActions, JobVerbViews, EditView, AddView, FlowViews, JobColumns):
    list_filter = (LevelFilter, "state", AddedFilter, FinishedFilter, QueueFilter)
    ordering = ("-pk",)  # newest first
    list_max_show_all = 0
    search_fields = ("name",)  # shows the box; what is searched stands in get_search_results
    search_help_text = _("The beginning of a name, an id, a job_id, or data.order_id:42.")
    change_form_template = "admin/conveyor_django/job/change_form.html"

    # The list

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[JobChangeList]:
        return JobChangeList

    def lookup_allowed(self, lookup: str, value: str, request: Any = None) -> bool:
        """Nothing that a user may write into the URL reaches a path into `data`, or a scan by regex."""
        return lookup in LOOKUPS and "\x00" not in value

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        may_see_data, is_indexed = may_see_payload(request), is_search_indexed(request, search_term, queryset.db)
        return search.find(queryset, search_term, may_see_data=may_see_data, is_indexed=is_indexed), False

    def export_view(self, request: HttpRequest, kind: str) -> HttpResponseBase:
        """All that the list's URL with the same query would show, on all of its pages."""
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            jobs = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseRedirect(self.link("changelist"))
        return export(request, jobs, kind, with_payload=may_see_payload(request))

    def newer_view(self, request: HttpRequest) -> HttpResponse:
        """How many jobs that match were added since: what the list asks every few seconds."""
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return newer(request, self.get_changelist_instance(request))
        except IncorrectLookupParameters:
            return HttpResponseRedirect(self.link("changelist"))

    # A job's page

    def get_urls(self) -> list[URLPattern]:
        info = f"{self.opts.app_label}_{self.opts.model_name}"
        view = self.admin_site.admin_view(self.export_view)
        exports = [path(f"export/{kind}/", view, {"kind": kind}, name=f"{info}_{kind}") for kind in FORMATS]
        since = path("newer/", self.admin_site.admin_view(self.newer_view), name=f"{info}_newer")
        whole = self.admin_site.admin_view(self.payload_view)
        parts = [path(f"<uuid:pk>/{part}.json", whole, {"part": part}, name=f"{info}_{part}") for part in PARTS]
        ours = [*self.flow_urls(), *self.verb_urls(), *self.edit_urls(), *self.add_urls()]
        return [*ours, *exports, since, *parts, *super().get_urls()]

    def payload_view(self, request: HttpRequest, pk: Any, part: str) -> HttpResponse:
        """The whole of what the page may show the beginning of only."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not (self.has_view_permission(request) and may_see_payload(request)):
            raise PermissionDenied
        job = get_object_or_404(self.get_queryset(request), pk=pk)
        response = HttpResponse(as_file(getattr(job, PARTS[part])), content_type="application/json")
        response["Content-Disposition"] = f'attachment; filename="{pk}-{part}.json"'
        return response

    def _resume_url(self, request: HttpRequest) -> str:
        """Where a queue is resumed, for who may."""
        if not self.admin_site.is_registered(Overview):
            return ""
        overview: Any = self.admin_site.get_model_admin(Overview)
        return str(overview.link("resume")) if overview.has_pause_permission(request) else ""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Shows and takes nothing: there is no form that could be posted."""
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        job: Job | None = self.get_object(request, object_id)
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        if job is None and request.headers.get("X-Conveyor-Live"):  # the page is open, and asks again and again
            raise Http404
        if job is None:
            self.message_user(request, _("This job does not exist; it may have been removed."), messages.WARNING)
            return HttpResponseRedirect(self.link("changelist"))
        context = {
            **self.page_context(request, job.name),
            "buttons": buttons.for_job(self, request, job),
            "resume_url": self._resume_url(request),
            "queue_query": urlencode({"queue_name__exact": job.queue_name, "level": "all"}),
            "flow_url": f"{self.link('flow', job.pk)}#cv-current",
            "may_see_payload": may_see_payload(request),
            **job_page(job, self.link, with_payload=may_see_payload(request), log_before=line_in(request)),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.change_form_template, context)
