"""The admin: what goes on at a glance; jobs and flows to retry and cancel, queues to pause, workers to watch."""

from django.contrib import admin

from conveyor_django.models import Job, Overview, QueueState, WorkerProcess

from .jobs import JobAdmin
from .overview import OverviewAdmin
from .processes import QueueStateAdmin, WorkerProcessAdmin

__all__ = ["JobAdmin", "OverviewAdmin", "QueueStateAdmin", "WorkerProcessAdmin"]

admin.site.register(Job, JobAdmin)
admin.site.register(Overview, OverviewAdmin)
admin.site.register(QueueState, QueueStateAdmin)
admin.site.register(WorkerProcess, WorkerProcessAdmin)
