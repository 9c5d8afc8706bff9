"""The admin of workers and of queues that were paused: to watch, and to clean a queue."""

from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conveyor_django.models import QueueState

from .actions.clean import CleanView
from .base import ReadOnlyAdmin
from .display import ago, moment, sign


class WorkerProcessAdmin(ReadOnlyAdmin):
    list_display = ("state", "worker", "serves", "concurrency", "started", "heartbeat")
    list_display_links = ("worker",)
    ordering = ("-heartbeat_at",)
    fields = ("state", "id", "host", "pid", "serves", "concurrency", "started", "heartbeat")

    @admin.display(description=gettext_lazy("state"))
    def state(self, worker: Any) -> SafeString:
        alive = worker.dead_at is None and worker.expires_at > timezone.now()
        return sign("live", _("Alive")) if alive else sign("gone", _("Gone"))

    @admin.display(description=gettext_lazy("worker"))
    def worker(self, worker: Any) -> str:
        return str(worker)

    @admin.display(description=gettext_lazy("queues"))
    def serves(self, worker: Any) -> str:
        return _("every queue") if worker.queues is None else ", ".join(map(str, worker.queues))

    @admin.display(description=gettext_lazy("started"))
    def started(self, worker: Any) -> str:
        return moment(worker.started_at)

    @admin.display(description=gettext_lazy("heard"))
    def heartbeat(self, worker: Any) -> SafeString:
        return ago(worker.heartbeat_at, timezone.now())


class QueueStateAdmin(CleanView):
    list_display = ("queue", "state", "since", "paused_by")
    ordering = ("queue_name",)
    fields = ("queue", "state", "since", "paused_by")

    @admin.display(description=gettext_lazy("queue"))
    def queue(self, queue: Any) -> str:
        return str(queue)

    @admin.display(description=gettext_lazy("state"))
    def state(self, queue: QueueState) -> SafeString | str:
        return sign("paused", _("Paused")) if queue.paused_at else _("Running")

    @admin.display(description=gettext_lazy("since"))
    def since(self, queue: QueueState) -> str:
        return moment(queue.paused_at)
