"""What all admin pages of this package share: they show, and no URL of theirs changes a row."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import django
from django.contrib import admin
from django.contrib.auth import get_permission_codename
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import URLPattern, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.text import capfirst

from conveyor_django.encoding import visible


def inert(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Whatever a page shows: templates escape markup, and this the control characters, on all of it."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        if isinstance(response, SimpleTemplateResponse):
            response.add_post_render_callback(_make_visible)
        return response

    return wrapped


def _make_visible(response: HttpResponse) -> None:
    response.content = visible(response.content.decode(response.charset)).encode(response.charset)


def safe_next(request: HttpRequest) -> str:
    """The page of this site that a form asks to go on to, "" for another site's."""
    asked = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(asked, {request.get_host()}, require_https=request.is_secure())
    return asked if is_ours else ""


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable when it runs
    # counting a table of millions takes seconds: neither totals nor facets
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()

    class Media:
        css = {"all": ["conveyor_django/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        patterns: list[URLPattern] = super().get_urls()
        for pattern in patterns:
            pattern.callback = inert(pattern.callback)
        return patterns

    def may(self, request: HttpRequest, action: str) -> bool:
        """Whether the user has the permission `<action>_<model>`."""
        user: Any = request.user
        return bool(user.has_perm(f"{self.opts.app_label}.{get_permission_codename(action, self.opts)}"))

    def link(self, view: str, *args: Any) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}"
        return reverse(name, args=args, current_app=self.admin_site.name)

    def page_context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        """What a page besides the admin's own takes for its frame."""
        request.current_app = self.admin_site.name
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "media": self.media,
            "breadcrumbs_are_a_list": django.VERSION >= (6, 1),  # the admin's styles go by that
        }

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})
