from .history import JobError, JobLog
from .job import Job
from .new import NewJob, Template, instances
from .processes import QueueState, WorkerProcess

__all__ = ["Job", "JobError", "JobLog", "NewJob", "QueueState", "Template", "WorkerProcess", "instances"]
