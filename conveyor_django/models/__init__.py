from .history import JobError, JobLog
from .job import Job
from .processes import QueueState, WorkerProcess

__all__ = ["Job", "JobError", "JobLog", "QueueState", "WorkerProcess"]
