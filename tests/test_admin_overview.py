"""The overview of the admin: what it says, what it costs, who may see it and who may pause queues there."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from django.urls import path
from django.utils import timezone

from conveyor_django import Queue
from conveyor_django.admin import overview_flows, overview_page, overview_queues
from conveyor_django.models import Job, JobError, QueueMinute, QueueState, WorkerProcess
from conveyor_django.states import UNFINISHED
from tests.alike import emptied_after
from tests.factories import JobFactory, WorkerProcessFactory
from tests.test_admin import EVIL
from tests.test_admin_actions import client_with

OVERVIEW = "/admin/conveyor_django/overview/"
LIVE, PAUSE, RESUME = (f"{OVERVIEW}{name}/" for name in ("live", "pause", "resume"))
SEES = ("view_job", "view_queuestate", "view_workerprocess")

pytestmark = pytest.mark.django_db


def text(response):
    """What is read, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", response.content.decode())).split())


def queue_line(response, name):
    [found] = [queue for queue in response.context["queues"] if queue["name"] == name]
    return {state: shown for state, _label, _count, shown in found["cells"]}, found


def lines(response):
    return [(line.icon, line.name, line.text) for line in response.context["attention"]]


def fail(job):
    """As an attempt that failed leaves it."""
    JobError.objects.create(job=job, attempt=1, reason="boom", created_at=job.finished_at)
    return job


def flow(*states, **kwargs):
    left = sum(state in UNFINISHED for state in states)
    root = JobFactory(**{"name": "monthly-report", "state": "waiting-children", "pending_children": left, **kwargs})
    return root, [JobFactory(parent=root, state=state, queue_name="pdf") for state in states]


# What it says


def test_it_is_one_click_from_the_index(admin_client):
    for page in ("/admin/", "/admin/conveyor_django/", "/admin/conveyor_django/job/"):
        assert f'href="{OVERVIEW}"' in admin_client.get(page).content.decode()


def test_a_queue_says_how_many_jobs_are_in_each_state_and_how_long_the_oldest_waits(admin_client):
    now = timezone.now()
    JobFactory(queue_name="emails", created_at=now - timedelta(minutes=4, seconds=12))
    JobFactory(queue_name="emails", priority=-1, created_at=now - timedelta(seconds=3))
    JobFactory(queue_name="emails", created_at=now - timedelta(hours=9), run_at=now - timedelta(minutes=1))
    JobFactory(queue_name="emails", state="active")
    JobFactory(queue_name="emails", state="delayed")
    JobFactory(queue_name="emails", state="completed")
    flow("active", queue_name="emails")
    fail(JobFactory(queue_name="emails", state="failed"))
    response = admin_client.get(OVERVIEW)
    counts, line = queue_line(response, "emails")
    assert counts == {"waiting": "3", "active": "1", "delayed": "1", "waiting-children": "1", "failed": "1"}
    assert line["oldest"].startswith("4 min 1")
    assert "oldest 4 min 1" in text(response)
    figures = {str(label): value for label, value, *_ in response.context["figures"]}
    rates = {"Finished per minute": "0", "Waited, median": "–"}  # no worker has counted anything
    assert figures == {"Waiting": "3", "Active": "2", "Failed": "1", **rates}


def test_rates_and_times_are_those_that_workers_counted(admin_client):
    last_minute = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=1)
    spreads = {"waited": {"30": 40}, "ran": {"20": 36, "40": 4}}
    QueueMinute.objects.create(queue_name="pdf", minute=last_minute, completed=39, failed=1, **spreads)
    response = admin_client.get(OVERVIEW)
    _, line = queue_line(response, "pdf")
    assert (line["per_minute"], line["failure_rate"]) == ("40", "2.5 %")
    assert line["waited_median"] == "2.3 s"
    assert line["ran_median"] == "0.1 s"
    assert line["ran_most"] != line["ran_median"]
    assert len(line["sparkline"].ticks) == 1
    figures = {str(label): (value, note, below) for label, value, note, below in response.context["figures"]}
    assert figures["Finished per minute"] == ("40", "", "40 in the last hour")
    assert figures["Failed"][1] == "2.5 %"
    assert figures["Waited, median"][0] == "2.3 s"


def test_who_paused_a_queue_is_named(admin_client, admin_user):
    JobFactory(queue_name="pdf")
    admin_client.post(f"{OVERVIEW}pause/", {"queue": "pdf"})
    assert f"paused by {admin_user} for" in text(admin_client.get(OVERVIEW))


def test_failed_are_jobs_that_failed_by_themselves_in_the_window(admin_client):
    now = timezone.now()
    fail(JobFactory(state="failed", finished_at=now - timedelta(minutes=5)))
    fail(JobFactory(state="failed", finished_at=now - timedelta(hours=5)))
    fail(JobFactory(state="failed", finished_at=now - timedelta(days=5)))
    fail(JobFactory(state="failed", failed_by=JobFactory(state="failed").pk))
    JobError.objects.create(job=JobFactory(), attempt=1, reason="retried since", created_at=now)
    assert queue_line(admin_client.get(OVERVIEW), "default")[0]["failed"] == "1"
    assert queue_line(admin_client.get(OVERVIEW + "?window=day"), "default")[0]["failed"] == "2"
    assert queue_line(admin_client.get(OVERVIEW + "?window=%00"), "default")[0]["failed"] == "1"


def test_workers_are_live_late_or_gone_and_leave_after_an_hour(admin_client):
    now = timezone.now()
    live = WorkerProcessFactory(host="web-1", queues=["pdf", "emails"])
    JobFactory(state="active", worker=live.pk)
    WorkerProcessFactory(host="web-2", queues=None, heartbeat_at=now - timedelta(seconds=14))
    WorkerProcessFactory(host="web-3", heartbeat_at=now - timedelta(minutes=2))
    WorkerProcessFactory(host="web-4", dead_at=now)
    WorkerProcessFactory(host="web-5", heartbeat_at=now - timedelta(hours=2), dead_at=now - timedelta(hours=2))
    response = admin_client.get(OVERVIEW)
    seen = [(row["host"], row["queues"], row["running"]) for row in response.context["workers"]]
    assert seen[:2] == [("web-1", "pdf, emails", "1 / 4"), ("web-2", "every queue", "0 / 4")]
    assert [host for host, *_ in seen] == ["web-1", "web-2", "web-3", "web-4"]
    assert response.context["workers_summary"] == "1 live, 1 late, 2 gone"
    assert "of 8 slots" in text(response)


def test_flows_in_progress_are_the_newest_that_are_unfinished(admin_client, monkeypatch):
    root, _ = flow("completed", "completed", "active", "failed", "waiting")
    last_step, _ = flow("completed", name="last-step", state="active")
    flow("completed", state="completed")
    JobFactory(state="active", name="no flow")
    response = admin_client.get(OVERVIEW)
    newest, older = response.context["flows"]
    assert (newest["root"], older["root"]) == (last_step, root)
    assert (older["progress"], older["share"]) == ("3 of 6", "50 %")
    assert "1 failed" in older["signs"][0]
    assert "not started" not in text(response)
    widths = re.findall(r'<rect class="cv-(\w+)" x="[\d.]+%" width="([\d.]+)%"', response.content.decode())
    assert ("completed", "33.33") in widths
    monkeypatch.setattr(overview_flows, "MAX_FLOWS", 1)
    assert "Older ones are not shown" in text(admin_client.get(OVERVIEW))


def test_per_cents_are_rounded_down_and_a_large_flow_is_counted_no_further(admin_client, monkeypatch):
    flow(*["completed"] * 5, "waiting")
    assert admin_client.get(OVERVIEW).context["flows"][0]["share"] == "71 %"
    monkeypatch.setattr(overview_flows, "MAX_COUNT", 3)
    [row] = admin_client.get(OVERVIEW).context["flows"]
    assert (row["progress"], row["share"], row["bar"]) == ("more than 3 jobs", "", [])


def test_what_needs_attention(admin_client):
    root, children = flow("failed", "failed", "completed", state="failed")
    for child in children[:2]:
        fail(child)
    fail(JobFactory(state="failed"))  # in no flow
    JobFactory(queue_name="slow")
    JobFactory(queue_name="lonely")
    QueueState.objects.create(queue_name="slow", paused_at=timezone.now() - timedelta(minutes=3))
    QueueState.objects.create(queue_name="empty", paused_at=timezone.now())
    WorkerProcessFactory(queues=["slow"])
    WorkerProcessFactory(host="web-3", pid=990, heartbeat_at=timezone.now() - timedelta(minutes=2))
    response = admin_client.get(OVERVIEW)
    found = lines(response)
    assert [(icon, name) for icon, name, _ in found] == [
        ("failed", "monthly-report"),
        ("late", "lonely"),
        ("paused", "slow"),
        ("gone", "web-3:990"),
    ]
    assert found[0][2] == "2 jobs failed"
    assert found[2][2].startswith("paused for 3 min 0 s; 1 job waits")
    assert f'href="/admin/conveyor_django/job/{root.pk}/flow/">See and retry' in response.content.decode()


def test_only_the_first_lines_of_what_needs_attention(admin_client):
    for number in range(7):
        JobFactory(queue_name=f"lonely-{number}")
    response = admin_client.get(OVERVIEW)
    assert len(lines(response)) == 5
    assert "and 2 more" in text(response)


def test_nothing_needs_attention(admin_client):
    JobFactory(state="completed")
    WorkerProcessFactory()
    assert "cv-attention" not in admin_client.get(OVERVIEW).content.decode()


def test_counts_are_capped(admin_client, monkeypatch):
    monkeypatch.setattr(overview_queues, "MAX_COUNT", 3)
    monkeypatch.setattr(overview_page, "MAX_COUNT", 3)
    for _ in range(5):
        JobFactory()
        JobFactory(state="delayed")
    counts, _ = queue_line(admin_client.get(OVERVIEW), "default")
    assert (counts["waiting"], counts["delayed"], counts["active"]) == ("3+", "3+", "0")


def test_the_first_visit(admin_client, monkeypatch):
    words = text(admin_client.get(OVERVIEW))
    for said in ("No jobs yet", "Tables are migrated", "No worker has reported yet", "No worker runs"):
        assert said in words
    assert "None was found" not in words  # the tests' own app has processors
    monkeypatch.setattr(overview_page, "registered_queues", list)
    assert "None was found in 8 apps." in text(admin_client.get(OVERVIEW))
    WorkerProcessFactory(host="web-1")
    words = text(admin_client.get(OVERVIEW))
    assert "No worker has reported yet" not in words
    assert "web-1" in words
    JobFactory(state="completed")
    assert "No jobs yet" not in text(admin_client.get(OVERVIEW))


def test_nothing_is_unescaped_and_nothing_inline(admin_client):
    JobFactory(name=EVIL, queue_name=EVIL + "1")
    flow("failed", "waiting", name=EVIL + "2", queue_name=EVIL + "3")
    fail(Job.objects.get(state="failed"))
    QueueState.objects.create(queue_name=EVIL + "1", paused_at=timezone.now())
    WorkerProcessFactory(host=EVIL + "6", queues=[EVIL + "7", "\u202eevil"])
    for url in (OVERVIEW, LIVE):
        html = admin_client.get(url).content.decode()
        assert EVIL not in html
        assert html.count("&lt;script&gt;alert(1)") > 5
        assert "\u202e" not in html
        for inline in ("style=", "<style", " onclick", "javascript:"):
            assert inline not in html


def test_a_queue_is_served_however_many_workers_serve_others(admin_client):
    JobFactory(queue_name="pdf")
    long = timezone.now() + timedelta(minutes=5)
    WorkerProcess.objects.bulk_create(WorkerProcessFactory.build_batch(120, queues=["emails"], expires_at=long))
    WorkerProcessFactory(queues=["pdf"])
    response = admin_client.get(OVERVIEW)
    assert lines(response) == []
    assert len(response.context["workers"]) == 100
    assert "Only the first 100 workers." in text(response)
    assert "121 live" in text(response)
    assert "No worker" not in text(admin_client.get(Job.objects.get().get_admin_url()))


def test_failed_attempts_of_long_ago_are_no_reason_for_a_bound(admin_client, monkeypatch):
    monkeypatch.setattr(overview_queues, "MAX_FAILURES", 3)
    old = timezone.now() - timedelta(days=3)
    for _ in range(3):
        fail(JobFactory(state="failed", queue_name="pdf", finished_at=old))
    fail(JobFactory(state="failed", queue_name="pdf"))
    figures = {str(label): (value, note) for label, value, note, _ in admin_client.get(OVERVIEW).context["figures"]}
    assert figures["Failed"] == ("1", "")
    for _ in range(3):
        fail(JobFactory(state="failed", queue_name="pdf"))
    figures = {str(label): value for label, value, *_ in admin_client.get(OVERVIEW).context["figures"]}
    assert figures["Failed"] == "3+"


@pytest.fixture
def other_site(settings):
    """`/ops/`, with all that the default site shows of ours."""
    site = AdminSite("ops")
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label == "conveyor_django":
            site.register(model, type(model_admin))
    settings.ROOT_URLCONF = (path("admin/", admin.site.urls), path("ops/", site.urls))
    return site


def test_links_stay_in_their_site(admin_client, other_site):
    flow("failed", "waiting", queue_name="reports")
    fail(Job.objects.get(state="failed"))
    WorkerProcessFactory()
    page = admin_client.get(OVERVIEW.replace("admin", "ops", 1)).content.decode()
    links = re.findall(r'href="(/[^"]*/conveyor_django/[^"]*)"', page)
    assert {link.split("/")[1] for link in links if "/static/" not in link} == {"ops"}
    for part in ("/flow/", "/workerprocess/", "queue_name__exact"):
        assert any(part in link for link in links)


def test_what_is_not_registered_has_no_link(admin_client, other_site):
    flow("failed", "waiting", queue_name="reports")
    fail(Job.objects.get(state="failed"))
    WorkerProcessFactory()
    for model in (WorkerProcess, Job):
        other_site.unregister(model)
        with override_settings(ROOT_URLCONF=(path("admin/", admin.site.urls), path("ops/", other_site.urls))):
            response = admin_client.get(OVERVIEW.replace("admin", "ops", 1))
            assert response.status_code == 200
            assert f"/ops/conveyor_django/{model._meta.model_name}/" not in response.content.decode()


# What it costs


def populate(number):
    """Rows as they are after a while; each kind grows with the number, but not the number of queues."""
    root = JobFactory(state="waiting-children")
    kinds = {"waiting": 5, "delayed": 1, "active": 1, "completed": 10, "failed": 2}
    new = []
    for state, share in kinds.items():
        for n in range(max(1, number * share // 20)):
            parent = root if n % 2 else None
            new.append(JobFactory.build(state=state, parent=parent, queue_name=f"queue-{n % 3}"))
    root.pending_children = sum(job.parent == root and job.state in UNFINISHED for job in new)
    root.save()
    Job.objects.bulk_create(new)
    failed = [job for job in new if job.state == "failed"]
    JobError.objects.bulk_create(
        JobError(job=job, attempt=1, reason="boom", created_at=job.finished_at) for job in failed
    )


@emptied_after
def test_queries_do_not_grow_with_the_rows(admin_client):
    admin_client.get(OVERVIEW)
    counts = []
    for number in (10, 10_000):
        populate(number)
        WorkerProcessFactory()
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert admin_client.get(LIVE).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[1] <= 21


# Who may see it


@pytest.mark.parametrize("missing", SEES)
def test_one_has_to_be_allowed_to_see_all_of_it(missing):
    client = client_with(*(name for name in SEES if name != missing))
    assert client.get(OVERVIEW).status_code == 403
    assert client.get(LIVE).status_code == 403
    assert OVERVIEW not in client.get("/admin/").content.decode()


def test_a_viewer_sees_it_and_is_offered_no_buttons():
    client = client_with(*SEES)
    JobFactory(queue_name="pdf")
    QueueState.objects.create(queue_name="pdf", paused_at=timezone.now())
    response = client.get(OVERVIEW)
    assert "pdf" in text(response)
    for url in (PAUSE, RESUME, 'name="queue"'):
        assert url not in response.content.decode()
    for url in (PAUSE, RESUME):
        assert client.post(url, {"queue": "pdf"}).status_code == 403
    assert Queue("pdf").is_paused()


def test_without_login_there_is_nothing(client):
    for url in (OVERVIEW, LIVE, PAUSE):
        assert client.get(url).status_code == 302


def test_it_has_no_pages_to_add_or_change_anything(admin_client):
    for url in ("add/", "x/change/", "x/delete/"):
        assert admin_client.get(OVERVIEW + url).status_code == 404
    assert admin_client.post(OVERVIEW).status_code == 403
    assert admin_client.post(LIVE).status_code == 403


# Pause and resume


def test_pause_and_resume_are_done_said_and_logged():
    client = client_with(*SEES, "pause_queue")
    JobFactory(queue_name="pdf / <b>")
    assert PAUSE in client.get(OVERVIEW).content.decode()
    response = client.post(PAUSE, {"queue": "pdf / <b>"}, follow=True)
    assert Queue("pdf / <b>").is_paused()
    assert [str(message) for message in response.context["messages"]] == ["Queue pdf / <b> is paused."]
    response = client.post(RESUME, {"queue": "pdf / <b>"}, follow=True)
    assert not Queue("pdf / <b>").is_paused()
    assert [str(message) for message in response.context["messages"]] == ["Queue pdf / <b> is resumed."]
    entries = LogEntry.objects.order_by("pk").values_list("object_id", "change_message")
    assert [object_id for object_id, _ in entries] == ["pdf / <b>"] * 2
    assert ["Paused" in entries[0][1], "Resumed" in entries[1][1]] == [True, True]


def test_what_is_so_already_is_said_and_not_logged(admin_client):
    response = admin_client.post(RESUME, {"queue": "pdf"}, follow=True)
    assert "Queue pdf was not paused." in text(response)
    Queue("pdf").pause()
    since = QueueState.objects.get().paused_at
    response = admin_client.post(PAUSE, {"queue": "pdf"}, follow=True)
    assert "Queue pdf was paused already." in text(response)
    assert QueueState.objects.get().paused_at == since
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("url", [PAUSE, RESUME])
def test_it_takes_post_with_a_token_and_the_name_of_a_queue(admin_client, admin_user, url):
    assert admin_client.get(url).status_code == 405
    for name in ("", "\x00", "x" * 300):
        assert admin_client.post(url, {"queue": name}).status_code == 404
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(admin_user)
    assert strict.post(url, {"queue": "pdf"}).status_code == 403
    assert not QueueState.objects.exists()


# Refreshing


def test_the_live_part_is_sent_once_and_again_when_it_has_changed(admin_client):
    JobFactory(state="delayed", queue_name="pdf")
    first = admin_client.get(LIVE)
    assert "csrf" not in first.content.decode()  # it would be new each time
    again = admin_client.get(LIVE, headers={"if-none-match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    JobFactory(state="delayed", queue_name="pdf")
    changed = admin_client.get(LIVE, headers={"if-none-match": first["ETag"]})
    assert changed.status_code == 200
    assert changed["ETag"] != first["ETag"]
