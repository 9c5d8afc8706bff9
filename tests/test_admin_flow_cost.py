"""What the page of a flow costs: as many statements for 100,000 jobs as for 100, and none reads the whole table."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conveyor_django import FlowJob, FlowProducer
from conveyor_django.admin.flow import sources
from conveyor_django.ids import new_id, new_ids
from conveyor_django.models import Job

from .alike import emptied_after, store_alike
from .plans import PRIMARY_KEY, capturing, plan_of
from .test_admin_flow import key, live, url

pytestmark = emptied_after
THOUSANDS = [1_000, pytest.param(100_000, marks=pytest.mark.only_on("postgresql"))]


def big_flow(size):
    """One parent; a few failed, some run, the others have completed."""
    children = [FlowJob("child", "q") for _ in range(size)]
    root = Job.objects.get(pk=FlowProducer().add(FlowJob("root", "q", children=children)).job.id)
    ids = list(root.children.order_by("pk").values_list("pk", flat=True))
    now = timezone.now()
    Job.objects.filter(parent=root).exclude(pk__in=ids[:30]).update(state="completed", started_at=now, finished_at=now)
    Job.objects.filter(pk__in=ids[:5]).update(state="failed", finished_at=now, failed_reason="boom")
    for pk in ids[5:8]:
        Job.objects.filter(pk=pk).update(state="active", worker=new_id(), started_at=now)
    Job.objects.filter(pk=root.pk).update(pending_children=25)
    return root


def requests(root):
    groups = [key(root, state) for state in ("failed", "active", "waiting", "completed")]
    kid = root.children.filter(state="completed").first()
    views = [url(root, query) for query in ("", "?view=all", "?view=failed")]
    return [*views, url(kid), live(root, key(root), *groups)]


@pytest.mark.parametrize("size", THOUSANDS)
def test_statements_are_as_many_for_a_small_flow_as_for_a_big_one(admin_client, monkeypatch, size):
    monkeypatch.setattr(sources, "SMALL", 50)
    counts = []
    for root in (big_flow(100), big_flow(size)):
        counts.append([])
        for path in requests(root):
            with CaptureQueriesContext(connection) as sent:
                assert admin_client.get(path).status_code == 200
            counts[-1].append(len(sent))
    assert counts[0] == counts[1]
    assert max(counts[0]) < 35


@pytest.mark.only_on("postgresql")
@pytest.mark.parametrize("small", [50, 2_000])
def test_no_statement_reads_the_whole_table(admin_client, monkeypatch, small):
    monkeypatch.setattr(sources, "SMALL", small)
    root = big_flow(1_000)
    now = timezone.now()
    done = {"state": "completed", "started_at": now, "finished_at": now}
    store_alike(new_ids(30_000), name="old", queue_name="q", **done)
    with connection.cursor() as cursor:
        # earlier tests' rows, taken back, leave indexes of mostly empty pages, and those cost more than the whole table
        cursor.execute("VACUUM (FULL, ANALYZE) conveyor_django_job")
    paths = requests(root)  # asks for a child itself
    with capturing() as sent:
        for path in paths:
            assert admin_client.get(path).status_code == 200
    plans = [plan_of(one) for one in sent if one.statement.startswith("SELECT")]
    assert len(plans) > 20
    # a statement of nothing but subqueries is of one row, whichever
    steps = [
        step for plan in plans for step in plan.reads_all if "Index Only Scan" not in step or PRIMARY_KEY not in step
    ]
    assert steps == []
