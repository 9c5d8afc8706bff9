"""Who may do what to jobs: a permission for each kind of verb, asked by the admin's own machinery and by our views."""

from django.http import HttpRequest

from ..base import ReadOnlyAdmin
from ..payload import may_see_payload


class Permissions(ReadOnlyAdmin):
    def has_retry_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "retry")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "cancel")

    def has_edit_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "edit")

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "remove")

    def has_new_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "add")

    def has_copy_permission(self, request: HttpRequest) -> bool:
        return self.has_new_permission(request) and may_see_payload(request)

    def has_edit_data_permission(self, request: HttpRequest) -> bool:
        return self.has_edit_permission(request) and may_see_payload(request)
