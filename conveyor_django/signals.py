"""Sent after the commit, with `send_robust`, sender `Job`.

Keywords: `job_ids` (list of str), `queue_name`, `using` (the database alias).
"""

from django.dispatch import Signal

job_added = Signal()
job_started = Signal()
job_completed = Signal()
job_failed = Signal()
job_cancelled = Signal()
job_stalled = Signal()
