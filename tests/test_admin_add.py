"""The page on which a job is added by hand."""

import json

import pytest
from django.contrib.admin.models import ADDITION, LogEntry

from conveyor_django import Queue, processor
from conveyor_django.models import Job
from tests.factories import JobFactory
from tests.helpers import add, job, node
from tests.test_admin_actions import JOBS, client_with, messages

pytestmark = pytest.mark.django_db
NEW = f"{JOBS}new/"
EMPTY = {
    "name": "mail",
    "queue": "letters",
    "data": '{"to": 7}',
    "delay": "",
    "priority": "",
    "attempts": "",
    "job_id": "",
}


def copy(job):
    return f"{JOBS}{job.pk}/copy/"


def fields_of(response):
    assert response.status_code == 200
    form = response.context["question"].form
    return {name: form[name].value() for name in form.fields}


def errors(client, url=NEW, **fields):
    response = client.post(url, {**EMPTY, **fields})
    assert response.status_code == 200
    assert not Job.objects.filter(name="mail", queue_name="letters").exists()
    return response.context["question"].form.errors


def test_a_job_is_added_as_code_would_add_it(admin_client, admin_user):
    response = admin_client.post(NEW, EMPTY, follow=True)
    new = Job.objects.get()
    same = Queue("letters").add("mail", {"to": 7})
    assert response.redirect_chain == [(f"{JOBS}{new.pk}/change/", 302)]
    assert messages(response) == ["The job was added."]
    for name in ("name", "queue_name", "data", "state", "priority", "max_attempts", "job_id", "run_at", "depth"):
        assert getattr(new, name) == getattr(same, name)
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.user_id, entry.action_flag) == (str(new.pk), admin_user.pk, ADDITION)


def test_options_are_what_they_say(admin_client):
    admin_client.post(NEW, {**EMPTY, "delay": "90.5", "priority": "-3", "attempts": "5", "job_id": "order-7"})
    new = Job.objects.get()
    assert (new.state, new.priority, new.max_attempts, new.job_id) == ("delayed", -3, 5, "order-7")
    assert (new.run_at - new.created_at).total_seconds() == pytest.approx(90.5, abs=1)


def test_options_left_empty_are_the_processors(admin_client):
    processor("letters", "mail", attempts=4, priority=9)(lambda job: None)
    admin_client.post(NEW, EMPTY)
    new = Job.objects.get()
    assert (new.max_attempts, new.priority) == (4, 9)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "", "required"),
        ("name", "x" * 256, "at most"),
        ("name", "a\x00b", "ull characters"),
        ("queue", "", "required"),
        ("queue", "x" * 256, "at most"),
        ("data", "{", "not JSON"),
        ("data", '{"a": NaN}', "not JSON"),
        ("data", "[" * 100_000, "nested too deep"),
        ("delay", "-1", "delay"),
        ("delay", "nan", "number"),
        ("delay", "1e300", "delay"),
        ("priority", "1.5", "whole number"),
        ("priority", "9" * 12, "priority"),
        ("attempts", "0", "attempts"),
        ("job_id", "x" * 256, "job_id"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_added(admin_client, field, value, words):
    found = errors(admin_client, **{field: value})
    assert list(found) == [field]
    assert words in found.as_text()
    assert not LogEntry.objects.exists()


def test_a_job_id_that_is_taken_adds_nothing(admin_client):
    JobFactory(queue_name="letters", job_id="order-7")
    assert errors(admin_client, job_id="order-7") == {"job_id": ["A job of this queue has it already."]}
    admin_client.post(NEW, {**EMPTY, "queue": "other", "job_id": "order-7"})
    assert Job.objects.count() == 2


def test_names_that_have_a_processor_are_offered(admin_client):
    processor("letters", "mail")(lambda job: None)
    processor("pdf")(lambda job: None)
    html = admin_client.get(NEW).content.decode()
    for known in ("mail", "letters", "pdf"):
        assert f'<option value="{known}"></option>' in html
    assert 'list="id_name_known"' in html
    assert 'id="id_name_known"' in html
    assert 'name="queue" value="default"' in html


# A copy


def test_a_copy_stands_alone(admin_client):
    add(node("root", node("child", data={"n": [1, None]}, job_id="c", attempts=3, priority=5, queue="pdf")))
    child = job("child")
    fields = fields_of(admin_client.get(copy(child)))
    assert json.loads(fields["data"]) == {"n": [1, None]}
    admin_client.post(copy(child), {name: "" if value is None else value for name, value in fields.items()})
    new = Job.objects.exclude(pk__in=[child.pk, child.root_id]).get()
    assert (new.name, new.queue_name, new.data, new.state) == ("child", "pdf", {"n": [1, None]}, "waiting")
    assert (new.parent_id, new.root_id, new.job_id) == (None, new.pk, None)
    assert (new.max_attempts, new.priority) == (3, 5)


def test_a_finished_one_is_copied_too(admin_client):
    done = JobFactory(state="completed", data={"n": 1})
    assert json.loads(fields_of(admin_client.get(copy(done)))["data"]) == {"n": 1}


@pytest.mark.parametrize("data", [{"password": "hunter2"}, ["x" * 600_000]])
def test_what_is_masked_or_too_large_is_not_copied(admin_client, data):
    response = admin_client.get(copy(JobFactory(data=data)))
    assert fields_of(response)["data"] == ""
    assert "hunter2" not in response.content.decode()
    assert "Its data are not copied" in response.content.decode()


# Who may


@pytest.mark.parametrize(
    ("permissions", "may_add", "may_copy"),
    [
        (["view_job"], False, False),
        (["view_job", "view_payload", "edit_job", "retry_job"], False, False),
        (["add_job"], False, False),
        (["add_job", "view_job"], True, False),
        (["add_job", "view_payload", "view_job"], True, True),
    ],
)
def test_it_is_a_permission_of_its_own(permissions, may_add, may_copy):
    client, old = client_with(*permissions), JobFactory()
    for url, may in ((NEW, may_add), (copy(old), may_copy)):
        assert client.get(url).status_code == (200 if may else 403)
        assert client.post(url, EMPTY).status_code == (302 if may else 403)
    assert Job.objects.count() == 1 + may_add + may_copy
    if "view_job" in permissions:
        assert ("Add a job" in client.get(JOBS).content.decode()) == may_add
        assert ("Add a copy" in client.get(f"{JOBS}{old.pk}/change/").content.decode()) == may_copy


def test_only_a_post_adds(admin_client):
    assert admin_client.put(NEW).status_code == 405
    admin_client.get(NEW, EMPTY)
    assert not Job.objects.exists()
    assert admin_client.get(f"{JOBS}01a222f4-9acc-7bed-9d12-a399540003e8/copy/").status_code == 404
