"""Rows as they would be in a state, for tests that need one without the way there."""

from datetime import timedelta

import factory
from django.utils import timezone

from conveyor_django.ids import new_id
from conveyor_django.models import Job, WorkerProcess
from conveyor_django.states import FINISHED, JobState


class JobFactory(factory.django.DjangoModelFactory):
    """An active job has a lease, a finished one its times, a delayed one its time; `parent=` hangs it in a tree."""

    class Meta:
        model = Job

    class Params:
        leased = factory.LazyAttribute(lambda job: job.state == JobState.ACTIVE)
        ran = factory.LazyAttribute(lambda job: job.leased or job.state in (JobState.COMPLETED, JobState.FAILED))

    id = factory.LazyFunction(new_id)
    queue_name = "default"
    name = factory.Sequence(lambda n: f"job-{n}")
    state = JobState.WAITING
    parent = None
    root_id = factory.LazyAttribute(lambda job: job.parent.root_id if job.parent else job.id)
    depth = factory.LazyAttribute(lambda job: job.parent.depth + 1 if job.parent else 0)
    pending_children = factory.LazyAttribute(lambda job: int(job.state == JobState.WAITING_CHILDREN))
    worker = factory.LazyAttribute(lambda job: new_id() if job.leased else None)
    epoch = factory.LazyAttribute(lambda job: int(job.ran))
    attempts_made = factory.LazyAttribute(lambda job: int(job.ran))
    run_at = factory.LazyAttribute(
        lambda job: timezone.now() + timedelta(hours=1) if job.state == JobState.DELAYED else None
    )
    started_at = factory.LazyAttribute(lambda job: timezone.now() if job.ran else None)
    finished_at = factory.LazyAttribute(lambda job: timezone.now() if job.state in FINISHED else None)
    failed_reason = factory.LazyAttribute(
        lambda job: {JobState.FAILED: "ValueError: boom", JobState.CANCELLED: "cancelled"}.get(job.state, "")
    )


class WorkerProcessFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = WorkerProcess

    id = factory.LazyFunction(new_id)
    host = "host-1"
    pid = factory.Sequence(lambda n: 1000 + n)
    queues = factory.LazyFunction(lambda: ["default"])
    concurrency = 4
    started_at = factory.LazyFunction(timezone.now)
    heartbeat_at = factory.LazyFunction(timezone.now)
    expires_at = factory.LazyAttribute(lambda worker: worker.heartbeat_at + timedelta(seconds=30))
