"""The admin: jobs and their flows to watch, retry and cancel; queues and workers to watch."""

from django.contrib import admin

from conveyor_django.models import Job, QueueState, WorkerProcess

from .jobs import JobAdmin
from .processes import QueueStateAdmin, WorkerProcessAdmin

__all__ = ["JobAdmin", "QueueStateAdmin", "WorkerProcessAdmin"]

admin.site.register(Job, JobAdmin)
admin.site.register(QueueState, QueueStateAdmin)
admin.site.register(WorkerProcess, WorkerProcessAdmin)
