"""The URLs of a flow's page: the page itself, and what of it changes while it is open."""

import hashlib
import re
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag

from conveyor_django.models import Job

from ..base import ReadOnlyAdmin, inert
from ..buttons import for_flow
from .page import Flow
from .view import View

_PAGE = "admin/conveyor_django/flow/page.html"
_LIVE = "admin/conveyor_django/flow/live.html"
_TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="[^"]*"')  # a new one each time


class FlowViews(ReadOnlyAdmin):
    def flow_urls(self) -> list[URLPattern]:
        info = f"{self.opts.app_label}_{self.opts.model_name}"
        views = {"flow": self.flow_view, "flow_live": self.flow_live_view}
        return [
            path(f"<uuid:pk>/{name.replace('_', '/')}/", inert(self.admin_site.admin_view(view)), name=f"{info}_{name}")
            for name, view in views.items()
        ]

    def flow_view(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        """Of the flow that the job is in; the ways to it are open."""
        if refusal := self._refused(request):
            return refusal
        job, root = self._job_and_root(request, pk)
        flow = Flow(root, self.link, View.from_query(request.GET), asked=job.pk if job.parent_id else None)
        if not flow.size:
            raise Http404  # removed since it was looked up
        if flow.is_alone:
            return HttpResponseRedirect(self.link("change", job.pk))
        page = flow.page()
        context = {
            **self.page_context(request, root.name),
            "live_url": self.link("flow_live", job.pk),
            "job_url": self.link("change", root.pk),
            **page,
            **self._steering(request, root, page),
        }
        return TemplateResponse(request, _PAGE, context)

    def flow_live_view(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        """`keys`: the rows that the page shows. Nothing but a 304 while they are as the browser has them."""
        if refusal := self._refused(request):
            return refusal
        job, root = self._job_and_root(request, pk)
        flow = Flow(root, self.link, View.from_query(request.GET), asked=job.pk if job.parent_id else None)
        context = flow.live(request.GET.get("keys", "").split(","))
        context.update(self._steering(request, root, context))
        request.current_app = self.admin_site.name
        response = TemplateResponse(request, _LIVE, context).render()
        etag = quote_etag(hashlib.sha256(_TOKEN.sub(b"", response.content)).hexdigest())
        response["ETag"] = etag
        return get_conditional_response(request, etag=etag, response=response) or response

    def _steering(self, request: HttpRequest, root: Job, shown: dict[str, Any]) -> dict[str, Any]:
        buttons = for_flow(self, request, root, shown["failed_itself"], shown["cancelled"])
        return {"buttons": buttons, "return_url": self.link("flow", root.pk)}

    def _refused(self, request: HttpRequest) -> HttpResponse | None:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return None if request.method in ("GET", "HEAD") else HttpResponseNotAllowed(["GET", "HEAD"])

    def _job_and_root(self, request: HttpRequest, pk: UUID) -> tuple[Any, Any]:
        jobs = self.get_queryset(request).only(
            *("name", "queue_name", "state", "parent_id", "root_id", "created_at", "finished_at", "pending_children")
        )
        job: Job = get_object_or_404(jobs, pk=pk)
        return job, get_object_or_404(jobs, pk=job.root_id) if job.parent_id else job
