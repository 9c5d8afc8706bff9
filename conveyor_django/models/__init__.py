from .history import JobError, JobLog
from .job import Job
from .new import NewJob, Template, instances
from .processes import Overview, QueueMinute, QueueState, WorkerProcess

__all__ = [
    "Job",
    "JobError",
    "JobLog",
    "NewJob",
    "Overview",
    "QueueMinute",
    "QueueState",
    "Template",
    "WorkerProcess",
    "instances",
]
