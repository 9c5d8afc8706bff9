"""The page on which the data of a waiting job are edited."""

import json
import uuid

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from conveyor_django.models import Job
from tests.factories import JobFactory
from tests.test_admin_actions import JOBS, client_with, messages

DATA = {"b": [1, 1.5, None, True], "a": "é\u202e\x7f\U000e0001", "big": 2**53 - 1}


def url(job):
    return f"{JOBS}{job.pk}/edit/"


def change(job):
    return f"{JOBS}{job.pk}/change/"


def form_of(client, job):
    page = client.get(url(job))
    assert page.status_code == 200
    return {name: page.context["question"].form[name].value() for name in ("data", "shown")}


def stored(job):
    return Job.objects.get(pk=job.pk).data


def errors(response):
    assert response.status_code == 200
    return response.context["question"].form.errors


@pytest.mark.parametrize("state", ["waiting", "delayed"])
def test_data_are_changed(admin_client, admin_user, state):
    job = JobFactory(state=state, data={"n": 1})
    new = json.dumps({"n": 2, "list": [1, {"x": None}]})
    response = admin_client.post(url(job), {**form_of(admin_client, job), "data": new}, follow=True)
    assert response.redirect_chain == [(change(job), 302)]
    assert messages(response) == ["The data were changed."]
    assert stored(job) == {"n": 2, "list": [1, {"x": None}]}
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.user_id, entry.change_message) == (str(job.pk), admin_user.pk, "Changed the data.")


def test_lines_end_in_two_characters_when_they_come_back(admin_client):
    job = JobFactory(data=["x"] * 70_000)  # 7 characters a line, and one more
    assert "too large" in messages(admin_client.get(url(job), follow=True))[0]


@pytest.mark.parametrize("data", [DATA, {}, [], None, "text", 0, 1.0, False, "</textarea><script>", [[[]]]])
def test_what_is_saved_as_it_was_shown_stays_as_it_is(admin_client, data):
    job = JobFactory(data=data)
    page = admin_client.get(url(job))
    assert "<script>alert" not in page.content.decode()
    admin_client.post(url(job), form_of(admin_client, job))
    assert LogEntry.objects.exists()
    assert json.dumps(stored(job), sort_keys=True) == json.dumps(data, sort_keys=True)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("", "required"),
        ("{", "not JSON"),
        ("{'a': 1}", "not JSON"),
        ('{"a": 1} x', "not JSON"),
        ('{"a": NaN}', "no NaN"),
        ("[Infinity]", "no Infinity"),
        ("[-Infinity]", "no -Infinity"),
        ("1e999", "data"),
        ('{"a": 1, "a": 2}', "same key twice"),
        ('{"a": "\\u0000"}', "data"),
        ('["\\ud800"]', "data"),
        ("1" + "0" * 400, "data"),
        ("1" * 5_000, "not JSON"),
        ("[" * 60 + "]" * 60, "data"),
        ("[" * 100_000 + "]" * 100_000, "nested too deep"),
        ('"' + "x" * 600_000 + '"', "at most"),
    ],
)
def test_bad_input_is_refused_beside_the_field_and_writes_nothing(admin_client, bad, said):
    job = JobFactory(data={"n": 1})
    response = admin_client.post(url(job), {**form_of(admin_client, job), "data": bad})
    assert said in str(errors(response)["data"])
    assert 'id="id_data_error"' in response.content.decode()
    assert stored(job) == {"n": 1}
    assert not LogEntry.objects.exists()


def test_larger_data_than_a_job_may_have(admin_client, settings):
    settings.CONVEYOR = {"MAX_DATA_BYTES": 100}
    job = JobFactory(data={"n": 1})
    response = admin_client.post(url(job), {**form_of(admin_client, job), "data": json.dumps("x" * 200)})
    assert "the limit is 100" in str(errors(response)["data"])


@pytest.mark.parametrize("state", ["active", "completed", "failed", "cancelled"])
def test_data_of_a_job_that_does_not_wait(admin_client, state):
    job = JobFactory(data={"n": 1})
    form = form_of(admin_client, job)
    job = JobFactory(state=state, data={"n": 1})
    for response in (admin_client.get(url(job), follow=True), admin_client.post(url(job), form, follow=True)):
        assert messages(response) == ["Only the data of a job that waits can be edited."]
    assert url(job) not in admin_client.get(change(job)).content.decode()


@pytest.mark.parametrize("other", [{"n": 2}, {"n": 1.0}, {"n": True}, {}])
def test_data_that_changed_since_they_were_shown_are_kept(admin_client, other):
    job = JobFactory(data={"n": 1})
    form = form_of(admin_client, job)
    Job.objects.get(pk=job.pk).update_data(other)
    response = admin_client.post(url(job), {**form, "data": '{"n": 3}'})
    assert "changed since" in str(errors(response))
    assert response.context["question"].form["shown"].value() == form["shown"]  # still refused, if posted once more
    assert stored(job) == other
    assert not LogEntry.objects.exists()


def test_a_job_that_is_claimed_before_the_lock_is_refused(admin_client, monkeypatch):
    job = JobFactory(data={"n": 1})
    form = form_of(admin_client, job)

    def why_not(found):
        found.cancel()
        return ""

    monkeypatch.setattr("conveyor_django.admin.actions.edit._why_not", why_not)
    response = admin_client.post(url(job), {**form, "data": "{}"}, follow=True)
    assert messages(response) == ["The data were not changed: the job has moved on."]
    assert stored(job) == {"n": 1}


@pytest.mark.parametrize("data", [{"password": "hunter2"}, [{"url": "https://u:hunter2@h"}], "token=hunter2"])
def test_data_with_hidden_values_cannot_be_edited(admin_client, data):
    job = JobFactory(data=data)
    form = form_of(admin_client, JobFactory(data={}))
    for response in (admin_client.get(url(job), follow=True), admin_client.post(url(job), form, follow=True)):
        assert "some of them are hidden" in messages(response)[0]
        assert "hunter2" not in response.content.decode()
    assert stored(job) == data


def test_data_that_are_too_large_for_the_page(admin_client):
    job = JobFactory(data=["x" * 600_000])
    assert "too large" in messages(admin_client.get(url(job), follow=True))[0]


def test_it_takes_both_permissions():
    job = JobFactory(data={"n": 1})
    for codenames in [("view_job", "edit_job"), ("view_job", "view_payload"), ("edit_job", "view_payload")]:
        client = client_with(*codenames)
        assert client.get(url(job)).status_code == client.post(url(job), {"data": "{}"}).status_code == 403
        assert "view_job" not in codenames or url(job) not in client.get(change(job)).content.decode()
    editor = client_with("view_job", "edit_job", "view_payload")
    assert url(job) in editor.get(change(job)).content.decode()
    editor.post(url(job), {**form_of(editor, job), "data": "2"})
    assert stored(job) == 2


def test_methods_tokens_and_strangers(admin_user, admin_client):
    job = JobFactory(data={"n": 1})
    for method in ("put", "patch", "delete", "options"):
        assert getattr(admin_client, method)(url(job)).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(admin_user)
    assert strict.post(url(job), form_of(strict, job)).status_code == 403
    assert Client().get(url(job)).url.startswith("/admin/login/")
    assert admin_client.get(f"{JOBS}{uuid.uuid4()}/edit/").status_code == 404
