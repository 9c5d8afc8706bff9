"""What a job waits for and what it holds up, as its page says it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from conveyor_django import Queue
from conveyor_django.admin import waits
from conveyor_django.admin.holds import holds_up
from conveyor_django.models import Job, QueueState
from tests.factories import JobFactory, WorkerProcessFactory
from tests.test_admin_actions import client_with, messages

JOBS = "/admin/conveyor_django/job/"

pytestmark = pytest.mark.django_db


def checks(job):
    return waits.waits_for(Job.objects.get(pk=job.pk), timezone.now())


def obstacles(job):
    return [(check.text, check.detail) for check in checks(job) if check.is_obstacle]


def others(job):
    return [check.text for check in checks(job) if not check.is_obstacle]


def pause(name):
    QueueState.objects.create(queue_name=name, paused_at=timezone.now())


@pytest.mark.parametrize("state", ["active", "completed", "failed", "cancelled"])
def test_a_job_that_runs_or_has_finished_waits_for_nothing(state):
    assert checks(JobFactory(state=state)) == []


def test_a_job_that_nothing_is_in_the_way_of():
    WorkerProcessFactory(host="web-1", pid=7, concurrency=4)
    job = JobFactory()
    assert obstacles(job) == []
    assert others(job) == ["No children, no delay", "A worker serves default", "First in line"]
    assert [check.detail for check in checks(job)][1] == "web-1:7, heard 0 s ago, 4 of 4 slots free"


def test_its_place_in_line():
    WorkerProcessFactory(queues=None)
    JobFactory(priority=-1)
    JobFactory(position=-5)
    JobFactory()
    JobFactory(queue_name="pdf")
    JobFactory(state="completed")
    job = JobFactory()
    JobFactory(priority=3)
    assert others(job)[-1] == "3 jobs are before it in line"


def test_a_place_far_back_is_counted_within_a_bound(monkeypatch):
    monkeypatch.setattr(waits, "MAX_COUNT", 2)
    job = [JobFactory() for _ in range(4)][-1]
    assert others(job)[-1] == "2+ jobs are before it in line"


def test_workers_that_are_gone_or_serve_others_do_not_count():
    now = timezone.now()
    WorkerProcessFactory(expires_at=now - timedelta(seconds=1))
    WorkerProcessFactory(dead_at=now)
    WorkerProcessFactory(queues=["pdf"])
    assert obstacles(JobFactory()) == [("No worker serves queue default", "")]


def test_slots_of_several_workers():
    one, _ = WorkerProcessFactory(), WorkerProcessFactory(queues=None)
    for _ in range(3):
        JobFactory(state="active", worker=one.pk)
    found = [check for check in checks(JobFactory()) if check.text == "2 workers serve default"]
    assert found[0].detail.endswith("5 of 8 slots free")


def test_a_paused_queue_and_a_delay():
    WorkerProcessFactory()
    pause("default")
    job = JobFactory(state="delayed", attempts_made=1, max_attempts=3, run_at=timezone.now() + timedelta(hours=2))
    (delay, detail), (paused, _) = obstacles(job)
    assert delay.startswith("Delayed until ")
    assert detail.startswith("in 1 h 59 min, for attempt 2 of 3")
    assert paused == "Queue default is paused"


def test_who_paused_a_queue_is_named():
    Queue("default").pause(by="mara")
    job = JobFactory()
    assert dict(obstacles(job))["Queue default is paused"].endswith(", by mara")
    Queue("default").resume()
    Queue("default").pause()
    assert "by" not in dict(obstacles(job))["Queue default is paused"]


def test_a_parent_waits_for_children_and_for_what_keeps_them():
    WorkerProcessFactory(queues=["reports", "pdf"])
    pause("pdf")
    root = JobFactory(state="waiting-children", queue_name="reports", pending_children=4)
    for state in ("completed", "active", "delayed"):
        JobFactory(state=state, queue_name="reports", parent=root)
    JobFactory(queue_name="pdf", parent=root)
    middle = JobFactory(state="waiting-children", queue_name="reports", pending_children=2, parent=root)
    JobFactory(queue_name="pdf", parent=middle)
    JobFactory(queue_name="nobody", parent=middle)
    found = dict(obstacles(root))
    assert found.pop("4 of 5 children are unfinished") == "1 waiting, 1 waiting-children, 1 delayed, 1 active"
    assert found.pop("Queue pdf is paused").endswith(", 2 jobs below it wait there")
    assert found.pop("No worker serves queue nobody") == "1 job below it waits there"
    assert found.pop("1 job below it is delayed") == ""
    assert not found
    assert others(root) == ["1 job below it runs", "A worker serves reports"]


def test_of_a_wide_level_the_newest_children_are_looked_at(monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(waits, "MAX_READ", 10)
    root = JobFactory(state="waiting-children", pending_children=1)
    Job.objects.bulk_create(JobFactory.build(state="completed", parent=root) for _ in range(50))
    JobFactory(parent=root)
    with django_assert_max_num_queries(6):
        (children, doing), *_ = obstacles(root)
    assert (children, doing) == ("1 of 10+ children is unfinished", "1 waiting")


def test_children_that_have_ended():
    WorkerProcessFactory()
    job = JobFactory()
    for _ in range(3):
        JobFactory(state="completed", parent=job)
    assert "Its 3 children have ended" in others(job)


def test_the_queue_is_resumed_from_the_page(admin_client):
    pause("pdf")
    job = JobFactory(queue_name="pdf")
    url = f"{JOBS}{job.pk}/change/"
    page = admin_client.get(url).content.decode()
    assert f'name="next" value="{url}"' in page
    data = {"queue": "pdf", "next": url}
    response = admin_client.post("/admin/conveyor_django/overview/resume/", data, follow=True)
    assert response.redirect_chain == [(url, 302)]
    assert messages(response) == ["Queue pdf is resumed."]
    assert not QueueState.objects.filter(paused_at__isnull=False).exists()
    assert "Resume queue" not in client_with("view_job").get(url).content.decode()


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", ""])
def test_nobody_is_sent_elsewhere(admin_client, elsewhere):
    pause("pdf")
    data = {"queue": "pdf", "next": elsewhere}
    response = admin_client.post("/admin/conveyor_django/overview/resume/", data)
    assert response["Location"] == "/admin/conveyor_django/overview/"


def held_up(job):
    hold = holds_up(job, job.parent)
    return hold and hold.text


def test_what_an_unfinished_job_holds_up():
    parent = JobFactory(state="waiting-children", pending_children=1)
    job = JobFactory(parent=parent)
    assert held_up(job) == "waits for it alone."
    parent.pending_children = 3
    assert held_up(job) == "waits for it and for 2 other children."
    assert held_up(JobFactory()) == "Nothing: no other job waits for it."


def test_a_parent_stays_failed_while_others_are():
    parent = JobFactory(state="failed", pending_children=1)
    job = JobFactory(parent=parent)
    for state in ("failed", "cancelled", "completed"):
        parent.failed_by = JobFactory(state=state, parent=parent).pk
    assert held_up(job) == "waits for it and stays failed while 2 other children are."


def test_what_a_failed_job_held_up():
    parent = JobFactory(state="failed")
    job = JobFactory(state="failed", parent=parent)
    assert held_up(job) is None  # it failed through another
    parent.failed_by = job.pk
    assert held_up(job) == "failed through it."
    ignoring = JobFactory(state="waiting-children", fail_parent_on_child_failure="ignore")
    JobFactory(parent=ignoring)
    assert held_up(JobFactory(state="failed", parent=ignoring)).startswith("goes on without it")
    assert held_up(JobFactory(state="completed", parent=parent)) is None
    assert held_up(JobFactory(state="failed")) is None
