"""Jobs of dead workers come back, once each, and not for ever."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from conveyor_django import JobState, Worker, processor
from conveyor_django.engines import Engine
from conveyor_django.models import Job, WorkerProcess
from conveyor_django.transitions import declare_dead, rescue_stalled

from .factories import JobFactory, WorkerProcessFactory
from .processes import wait_for
from .workers import PATIENCE, work

LONG_AGO = timedelta(hours=-1)
committed = pytest.mark.django_db(transaction=True)


def orphan(**fields):
    """A job that runs under a worker whose lease ran out."""
    gone = WorkerProcessFactory(heartbeat_at=timezone.now() + LONG_AGO)
    return JobFactory(queue_name="stalled", state=JobState.ACTIVE, worker=gone.pk, attempts_made=1, **fields)


@committed
def test_a_dead_workers_jobs_are_waited_for_and_done():
    processor("stalled")(lambda job: "done")
    job = orphan()
    unknown = JobFactory(queue_name="stalled", state=JobState.ACTIVE)  # its worker's row is gone
    work("stalled")
    for rescued in (job, unknown):
        rescued.refresh_from_db()
        assert (rescued.return_value, rescued.stalls, rescued.attempts_made) == ("done", 1, 1)


@pytest.mark.parametrize(("stalls", "max_stalls"), [(0, 0), (1, 1), (3, 3)])
@pytest.mark.parametrize("policy", ["fail", "ignore"])
def test_a_job_that_stalls_too_often_fails_and_its_parent_hears(stalls, max_stalls, policy):
    parent = JobFactory(state=JobState.WAITING_CHILDREN, fail_parent_on_child_failure=policy)
    job = orphan(parent=parent, stalls=stalls, max_stalls=max_stalls, max_attempts=5)
    declare_dead("default")
    assert rescue_stalled("default") == 1
    job.refresh_from_db()
    parent.refresh_from_db()
    assert job.state == JobState.FAILED
    assert job.failed_reason.startswith("stalled ")
    assert (job.attempts_made, job.worker) == (0, None)
    if policy == "fail":
        assert (parent.state, parent.failed_by) == (JobState.FAILED, job.pk)
        assert str(job.pk) in parent.failed_reason
    else:
        assert parent.state == JobState.WAITING


def test_living_workers_keep_their_jobs():
    JobFactory(state=JobState.ACTIVE, worker=WorkerProcessFactory().pk)
    assert declare_dead("default") == 0
    assert rescue_stalled("default") == 0


@committed
def test_two_sweepers_at_once_rescue_once(monkeypatch):
    job = orphan()
    declare_dead("default")
    both_have_seen_it = threading.Semaphore(0)
    lock_jobs = Engine.lock_jobs

    def lock(self, ids, **options):
        ids = set(ids)
        both_have_seen_it.release()
        return lock_jobs(self, ids, **options)

    monkeypatch.setattr(Engine, "lock_jobs", lock)
    counts = []
    begin = threading.Barrier(2, timeout=PATIENCE)

    def sweep():
        begin.wait()
        counts.append(rescue_stalled("default"))
        connections.close_all()

    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    with transaction.atomic():
        if connection.features.has_select_for_update:  # else one transaction at a time runs, from its begin
            Job.objects.select_for_update().get(pk=job.pk)
        for sweeper in sweepers:
            sweeper.start()
        if connection.features.has_select_for_update:
            assert all(both_have_seen_it.acquire(timeout=PATIENCE) for _ in sweepers)
    for sweeper in sweepers:
        sweeper.join(PATIENCE)
    assert sorted(counts) == [0, 1]
    job.refresh_from_db()
    assert (job.state, job.stalls, job.attempts_made) == (JobState.WAITING, 1, 0)


@committed
def test_gone_workers_are_forgotten_after_a_while():
    old = WorkerProcessFactory(dead_at=timezone.now() - timedelta(hours=2))
    recent = WorkerProcessFactory(dead_at=timezone.now() - timedelta(minutes=5))
    Worker("stalled").run(until_idle=True)
    wait_for(lambda: not WorkerProcess.objects.filter(pk=old.pk).exists())
    assert WorkerProcess.objects.get() == recent
