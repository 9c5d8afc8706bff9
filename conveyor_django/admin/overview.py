"""The overview: one page for what goes on now, which refreshes itself; queues are paused and resumed there."""

import hashlib
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from conveyor_django.exceptions import InvalidNode
from conveyor_django.models import QueueState
from conveyor_django.queues import Queue

from .base import ReadOnlyAdmin, inert, safe_next
from .overview_page import WINDOWS, Links, overview_page

SEEN = ("job", "queuestate", "workerprocess")  # on the page: one has to be allowed to see all of them


class OverviewAdmin(ReadOnlyAdmin):
    change_list_template = "admin/conveyor_django/overview/page.html"
    live_template = "admin/conveyor_django/overview/live.html"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return all(self._has(request, f"view_{model}") for model in SEEN)

    def has_pause_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and self._has(request, "pause_queue")

    def _has(self, request: HttpRequest, codename: str) -> bool:
        user: Any = request.user
        return bool(user.has_perm(f"{self.opts.app_label}.{codename}"))

    def get_urls(self) -> list[URLPattern]:
        """There are no objects: no pages to add, change or delete one."""
        views = {
            "": ("changelist", self.changelist_view),
            "live/": ("live", self.live_view),
            "pause/": ("pause", self.pause_view),
            "resume/": ("resume", self.resume_view),
        }
        info = f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path(route, inert(self.admin_site.admin_view(view)), name=f"{info}_{name}")
            for route, (name, view) in views.items()
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {
            **self.page_context(request, _("Overview")),
            **self._page(request),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.change_list_template, context)

    def live_view(self, request: HttpRequest) -> HttpResponseBase:
        """The part of the page that changes; nothing but a 304 while it is what the browser has."""
        request.current_app = self.admin_site.name
        response = TemplateResponse(request, self.live_template, self._page(request)).render()
        etag = quote_etag(hashlib.sha256(response.content).hexdigest())
        response["ETag"] = etag
        return get_conditional_response(request, etag=etag, response=response) or response

    def _page(self, request: HttpRequest) -> dict[str, Any]:
        if request.method not in ("GET", "HEAD") or not self.has_view_permission(request):
            raise PermissionDenied
        window = request.GET.get("window", "hour")
        page = overview_page(window if window in WINDOWS else "hour", Links(self.admin_site.name))
        return {
            **page,
            "may_pause": self.has_pause_permission(request),
            "pause_url": self.link("pause"),
            "resume_url": self.link("resume"),
        }

    # Pause and resume

    def pause_view(self, request: HttpRequest) -> HttpResponse:
        return self._steer(request, is_to_pause=True)

    def resume_view(self, request: HttpRequest) -> HttpResponse:
        return self._steer(request, is_to_pause=False)

    def _steer(self, request: HttpRequest, *, is_to_pause: bool) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_pause_permission(request):
            raise PermissionDenied
        try:
            queue = Queue(request.POST.get("queue", ""))
        except InvalidNode:
            raise Http404 from None
        if queue.is_paused() == is_to_pause:
            said = _("Queue %s was paused already.") if is_to_pause else _("Queue %s was not paused.")
            self.message_user(request, said % queue.name, messages.WARNING)
        elif is_to_pause:
            queue.pause(by=str(request.user))
            self._log(request, queue, gettext_noop("Paused."))
            self.message_user(request, _("Queue %s is paused.") % queue.name, messages.SUCCESS)
        else:
            queue.resume()
            self._log(request, queue, gettext_noop("Resumed."))
            self.message_user(request, _("Queue %s is resumed.") % queue.name, messages.SUCCESS)
        return HttpResponseRedirect(safe_next(request) or self.link("changelist"))

    def _log(self, request: HttpRequest, queue: Queue, entry: str) -> None:
        rows = list(QueueState.objects.using(queue.using).filter(queue_name=queue.name))
        user: Any = request.user
        LogEntry.objects.log_actions(user.pk, rows, CHANGE, _(entry))
