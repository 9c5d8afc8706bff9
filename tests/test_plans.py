"""How the databases find what workers ask for, where most rows are finished jobs."""

from datetime import timedelta
from typing import NamedTuple

import pytest
from django.db import connection
from django.utils import timezone

from conveyor_django import JobState, transitions
from conveyor_django.admin import overview_flows, overview_queues
from conveyor_django.engines import get_engine
from conveyor_django.ids import new_id, new_ids
from conveyor_django.models import Job, JobError
from conveyor_django.outcomes import Completed, Failed
from conveyor_django.progress import progress_of
from conveyor_django.transitions import Claiming, check
from conveyor_django.transitions.turn import turn
from conveyor_django.worker.idle import has_work
from conveyor_django.worker.lease import Lease
from conveyor_django.worker.maintenance import Removals

from .alike import store_alike
from .factories import JobFactory, WorkerProcessFactory
from .helpers import report_of
from .plans import ACTIVE, DELAYED, JOB, PARENTS, PRIMARY_KEY, REMOVAL, WAITING, capturing, plan_of

pytestmark = pytest.mark.django_db(transaction=True)  # MySQL's ANALYZE commits
USING = "default"
QUEUES = ("default", "busy", "other")
HOUR = timedelta(hours=1)
CHILDREN = "conveyor_job_parent"
COMPLETED = {"name": "job", "queue_name": "default", "state": JobState.COMPLETED, "finished_at": timezone.now()}


class Active(NamedTuple):
    alone: list[Job]
    children: list[Job]


@pytest.fixture
def engine():
    return get_engine(USING)


@pytest.fixture
def worker():
    return WorkerProcessFactory(expires_at=timezone.now() + HOUR).pk


STATISTICS = {
    "postgresql": {"analyzed": [f"ANALYZE {JOB}"]},
    "mysql": {"analyzed": [f"ANALYZE TABLE {JOB}"]},
    # nobody analyzes it by itself; earlier tests' statistics are forgotten
    "sqlite": {
        "analyzed": ["ANALYZE"],
        "never analyzed": ["ANALYZE", "DELETE FROM sqlite_stat1", "ANALYZE sqlite_master"],
    },
}[connection.vendor]


@pytest.fixture(params=STATISTICS)
def active(request, worker):
    """Among enough finished jobs that reading all of them is never the better plan."""
    found = fill(worker)
    with connection.cursor() as cursor:
        for statement in STATISTICS[request.param]:
            cursor.execute(statement)
    return found


def fill(worker):
    store_alike(new_ids(5_000), **COMPLETED)
    for queue_name in QUEUES:
        store(100, queue_name=queue_name, state=JobState.WAITING)
        store(50, queue_name=queue_name, state=JobState.DELAYED, run_at=timezone.now() + HOUR)
    leased = {"queue_name": "default", "state": JobState.ACTIVE, "worker": worker, "epoch": 1, "attempts_made": 1}
    parent = JobFactory(state=JobState.WAITING_CHILDREN, pending_children=20)
    return Active(store(20, **leased), store(20, parent=parent, **leased))


def store(count, **fields):
    jobs = [Job(id=pk, root_id=pk, name="job", **fields) for pk in new_ids(count)]
    return Job.objects.bulk_create(jobs, batch_size=500)


def completed(jobs):
    return [report_of(job, Completed(1)) for job in jobs]


def plans(function):
    """How the database finds the jobs in each statement that this sends."""
    with capturing() as sent:
        function()
    found = [plan_of(each) for each in sent]
    assert found, "nothing was sent"
    return found


def found_by(function, *, sorts=False):
    return indexes_of(plans(function), sorts=sorts)


def indexes_of(plans, *, sorts=False):
    """Through which jobs are found: never by reading all of them, and without a sort unless that is said."""
    indexes = set()
    for plan in plans:
        assert not plan.reads_all, plan.shown
        assert sorts or not plan.sorts, plan.shown
        indexes |= plan.found_by
    return indexes


def test_what_reads_everything_is_noticed(active):
    reads_all, sorts, by_wrong_index = plans(
        lambda: (
            list(Job.objects.filter(name="x")),
            list(Job.objects.delayed().order_by("name")),
            list(Job.objects.order_by("pk")[:5]),
        )
    )
    assert reads_all.reads_all
    assert not sorts.reads_all
    assert sorts.sorts
    assert by_wrong_index.reads_all


# A worker's turn


def test_a_claim_reads_each_queue_in_the_order_of_the_index(worker, active):
    claiming = Claiming(QUEUES, 10, dict.fromkeys(QUEUES, 3))
    assert found_by(lambda: turn(USING, worker, [], claiming)) == {WAITING, PRIMARY_KEY}
    behind = claiming._replace(after={"busy": (0, 0, new_id())})
    assert found_by(lambda: turn(USING, worker, [], behind)) == {WAITING, PRIMARY_KEY}


def test_so_does_a_claim_of_several_queues_whose_shares_are_not_known(engine, active):
    assert found_by(lambda: engine.waiting_jobs(QUEUES, 5)) == {WAITING}


def test_queues_that_have_work_are_found_in_the_index_of_waiting_jobs(engine, active):
    # MariaDB goes through all that waits, once for each queue
    assert found_by(engine.waiting_queue_names) == {f"{WAITING}*" if connection.vendor == "mysql" else WAITING}


@pytest.mark.only_on("mysql", reason="elsewhere an index isn't locked")
def test_the_claim_reads_and_locks_that_index_when_there_is_little_to_read_too(engine):
    for queue_name in QUEUES:
        store(3, queue_name=queue_name, state=JobState.WAITING)
    assert found_by(lambda: engine.waiting_jobs(["default"], 5)) == {WAITING}


def test_what_ended_is_written_by_primary_key(worker, active):
    alone, children = completed(active.alone[:10]), completed(active.children[:10])
    assert found_by(lambda: transitions.finish(USING, worker, alone)) == {PRIMARY_KEY}
    assert found_by(lambda: transitions.finish(USING, worker, children)) == {PRIMARY_KEY}
    rest = completed([*active.alone[10:], *active.children[10:]])
    assert found_by(lambda: transitions.finish(USING, worker, rest)) == {PRIMARY_KEY}
    assert not Job.objects.active().exists()


def test_a_failure_climbs_by_primary_key(worker, active):
    reports = [report_of(active.children[0], Failed("boom"))]
    assert found_by(lambda: transitions.finish(USING, worker, reports)) == {PRIMARY_KEY}


# What it looks for beside its turns


def test_the_next_delayed_job_is_the_first_of_its_index(active):
    assert found_by(lambda: transitions.next_due(USING)) == {f"{DELAYED}*"}
    Job.objects.filter(pk__in=list(Job.objects.delayed().values_list("pk", flat=True)[:3])).update(
        run_at=timezone.now() - HOUR
    )
    assert found_by(lambda: transitions.promote_due(USING)) == {f"{DELAYED}*", DELAYED, PRIMARY_KEY}


def test_a_heartbeat_reads_active_jobs_only(active):
    lease = Lease(USING, None, 1, {}, tell=lambda attempt, error: None)
    lease._register()
    assert found_by(lease._beat) <= {ACTIVE, f"{DELAYED}*", f"{WAITING}*"}  # MariaDB may take any that has the state


def test_maintenance_reads_only_what_it_may_have_to_do_with(engine, worker, active):
    if connection.vendor == "postgresql":  # elsewhere it isn't asked
        assert found_by(lambda: engine.has_chores(HOUR)) == {f"{ACTIVE}*", f"{REMOVAL}*"}
    kept = JobFactory(parent=active.children[0].parent, state=JobState.COMPLETED, remove_on_complete=True)
    Job.objects.filter(pk=kept.pk).update(removal_due=True)  # its parent has not ended
    tidied = found_by(lambda: transitions.tidy(USING), sorts=True)
    assert tidied & {REMOVAL, f"{REMOVAL}*"}
    assert tidied <= {REMOVAL, f"{REMOVAL}*", PRIMARY_KEY, CHILDREN}
    assert found_by(lambda: transitions.rescue_stalled(USING), sorts=True) <= {ACTIVE, f"{ACTIVE}*"}


def test_whether_anything_is_left_to_do_is_seen_without_reading_what_is_done(active):
    for queues in (["default", "other"], ["empty"], None):
        assert found_by(lambda queues=queues: has_work(USING, queues, Removals(USING)), sorts=True)


def test_locks_go_through_the_primary_key(engine, active):
    ids = [job.pk for job in active.alone]
    assert found_by(lambda: engine.lock_jobs(ids)) == {PRIMARY_KEY}


def test_parents_that_wait_are_found_by_their_state(active):
    found = found_by(lambda: check.find_in_parents(USING, None), sorts=True)
    assert found & (
        {PARENTS, f"{PARENTS}*"} if connection.vendor != "mysql" else {f"{DELAYED}*", f"{WAITING}*", f"{ACTIVE}*"}
    )


def test_children_are_counted_through_their_index(active):
    ids = [active.children[0].parent_id, active.alone[0].pk]
    assert found_by(lambda: list(check.miscounted(Job.objects.filter(pk__in=ids)))) == {PRIMARY_KEY, CHILDREN}


def test_how_far_a_flow_is_takes_its_root_and_the_index_of_flows(active):
    root = active.alone[0]
    assert found_by(lambda: progress_of(USING, root.pk)) == {PRIMARY_KEY, "conveyor_job_root"}


# Plans that are kept


@pytest.fixture(params=["never analyzed", "vacuumed"])
def session(request):
    """That has prepared nothing, and is not used after the test."""
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        if request.param == "vacuumed":  # whose planner knows for sure that there is nothing
            cursor.execute(f"TRUNCATE {JOB} CASCADE")
            cursor.execute(f"VACUUM ANALYZE {JOB}")
    yield
    connection.close()


@pytest.mark.only_on("postgresql", reason="elsewhere plans aren't kept")
def test_plans_that_were_made_for_an_empty_table_are_good_for_a_large_one(engine, worker, session):
    jobs = JobFactory.build_batch(3, state=JobState.ACTIVE, worker=worker)
    children = [report._replace(parent_id=new_id()) for report in completed(jobs)]
    claiming = Claiming(QUEUES, 10, dict.fromkeys(QUEUES, 3))
    with capturing() as sent:
        turn(USING, worker, completed(jobs), claiming)
        turn(USING, worker, [], claiming._replace(after={"busy": (0, 0, new_id())}))
        turn(USING, worker, children, None)
        transitions.next_due(USING)
        engine.has_chores(HOUR)
    fill(worker)
    assert indexes_of(map(plan_of, sent)) == {PRIMARY_KEY, WAITING, f"{DELAYED}*", f"{ACTIVE}*", f"{REMOVAL}*"}


# What people look at


@pytest.fixture
def history(db):
    """So many more finished jobs that going through hundreds of waiting ones is the better plan, too."""
    store_alike(new_ids(20_000), **COMPLETED)


def test_the_overview_reads_no_finished_jobs(history, active):
    since = timezone.now() - HOUR
    JobError.objects.create(job=active.alone[0], attempt=1, reason="boom", created_at=since)
    # parents that wait are few, and MariaDB has no index of their own to read them in order
    found = found_by(lambda: overview_queues.read_samples(USING, since), sorts=True)
    assert {ACTIVE, DELAYED} <= {index.rstrip("*") for index in found}
    samples = overview_queues.read_samples(USING, since)
    numbers = plans(lambda: overview_queues.read_queues(USING, samples, [], ()))
    # MariaDB counts the rows first, and takes the other index where a queue holds little besides
    rest = {"conveyor_job_job_id"} if connection.vendor == "mysql" else set()
    assert {index.rstrip("*") for plan in numbers for index in plan.found_by} - rest == {WAITING}
    flows = plans(lambda: overview_flows.read_flows(USING, samples))
    assert {CHILDREN, "conveyor_job_root", PRIMARY_KEY} <= {index for plan in flows for index in plan.found_by}
    for plan in [*numbers, *flows]:
        # the one row that numbers are selected beside
        assert len(plan.reads_all) <= ("bounded" in plan.shown), plan.shown
