"""The page on which a queue is cleaned or drained."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from conveyor_django.admin.actions import clean
from conveyor_django.models import Job, QueueState
from tests.factories import JobFactory
from tests.test_admin_actions import client_with, messages, states

QUEUES = "/admin/conveyor_django/queuestate/"
CLEAN = QUEUES + "clean/"
ASKED = {"queue": "pdf", "what": "completed", "age": "day"}
SURE = {**ASKED, "confirm": "yes"}


@pytest.fixture
def jobs():
    old = timezone.now() - timedelta(days=2)
    return [
        JobFactory(queue_name="pdf", state="completed", finished_at=old),
        JobFactory(queue_name="pdf", state="completed"),
        JobFactory(queue_name="pdf", state="failed", finished_at=old),
        JobFactory(queue_name="other", state="completed", finished_at=old),
        JobFactory(queue_name="pdf"),
        JobFactory(queue_name="pdf", state="active"),
    ]


def test_it_asks_with_the_number_and_then_cleans(admin_client, admin_user, jobs):
    assert f'href="{CLEAN}"' in admin_client.get(QUEUES).content.decode()
    assert 'value="pdf"' in admin_client.get(f"{CLEAN}?queue=pdf").content.decode()
    page = admin_client.post(CLEAN, ASKED)
    assert page.context["title"] == "Remove 1 job of the queue?"
    assert "Queue pdf: Completed, over a day ago." in page.content.decode()
    assert None not in states(*jobs)
    again = dict(page.context["question"].hidden)
    response = admin_client.post(CLEAN, {**again, "confirm": "yes"}, follow=True)
    assert messages(response) == ["1 job removed."]
    assert states(*jobs) == [None, "completed", "failed", "completed", "waiting", "active"]
    entry = LogEntry.objects.get()
    assert (entry.object_repr, entry.user_id) == ("pdf", admin_user.pk)
    assert "1 job removed" in entry.change_message
    assert entry.get_admin_url() is None


def test_it_drains(admin_client, jobs):
    QueueState.objects.create(queue_name="pdf")
    chosen = {**SURE, "what": "waits", "age": "0"}
    assert admin_client.post(CLEAN, {**ASKED, "what": "waits", "age": "0"}).context["title"].startswith("Remove 1 job")
    assert messages(admin_client.post(CLEAN, chosen, follow=True)) == ["1 job removed."]
    assert states(*jobs) == ["completed", "completed", "failed", "completed", None, "active"]
    assert "Cleaned" in admin_client.get(f"{QUEUES}pdf/history/").content.decode()


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("queue", ""),
        ("queue", "x" * 300),
        ("queue", "a\x00b"),
        ("what", "active"),
        ("what", "waiting"),
        ("what", "x"),
        ("age", "x"),
        ("age", "-1"),
    ],
)
def test_bad_input_is_refused_beside_its_field(admin_client, jobs, field, bad):
    response = admin_client.post(CLEAN, {**SURE, field: bad})
    assert response.status_code == 200
    assert list(response.context["question"].form.errors) == [field]
    assert None not in states(*jobs)


def test_an_age_of_what_waits_is_refused(admin_client, jobs):
    response = admin_client.post(CLEAN, {**SURE, "what": "waits"})
    assert list(response.context["question"].form.errors) == ["age"]
    assert None not in states(*jobs)


def test_nothing_to_clean(admin_client, jobs):
    response = admin_client.post(CLEAN, {**ASKED, "age": "quarter"}, follow=True)
    assert messages(response) == ["Nothing was done: there are no such jobs."]
    assert messages(admin_client.post(CLEAN, {**SURE, "age": "quarter"}, follow=True)) == ["0 jobs removed."]
    assert not LogEntry.objects.exists()


def test_takes_so_many_at_once_and_says_so(admin_client, monkeypatch):
    monkeypatch.setattr(clean, "MAX_JOBS", 2)
    Job.objects.bulk_create(JobFactory.build_batch(3, queue_name="pdf", state="completed"))
    page = admin_client.post(CLEAN, {**ASKED, "age": "0"})
    assert page.context["title"] == "Remove more than 2 jobs of the queue?"
    response = admin_client.post(CLEAN, {**SURE, "age": "0"}, follow=True)
    assert "do it again for the rest" in messages(response)[0]


def test_it_is_for_who_may_remove_and_see(jobs):
    for codenames in [
        ("view_queuestate", "view_job", "retry_job", "cancel_job", "edit_job"),
        ("view_queuestate", "remove_job"),
        ("view_job", "remove_job"),
    ]:
        client = client_with(*codenames)
        assert client.get(CLEAN).status_code == client.post(CLEAN, SURE).status_code == 403
        assert "view_queuestate" not in codenames or CLEAN not in client.get(QUEUES).content.decode()
    assert Client().post(CLEAN, SURE).url.startswith("/admin/login/")
    assert None not in states(*jobs)
    cleaner = client_with("view_queuestate", "view_job", "remove_job")
    assert cleaner.post(CLEAN, SURE).status_code == 302
    assert states(jobs[0]) == [None]


def test_methods_and_tokens(admin_client, admin_user, jobs):
    for method in ("put", "patch", "delete", "options"):
        assert getattr(admin_client, method)(CLEAN).status_code == 405
    admin_client.get(CLEAN, SURE)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(admin_user)
    assert strict.post(CLEAN, SURE).status_code == 403
    assert None not in states(*jobs)
