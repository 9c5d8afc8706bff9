"""Retry and cancel from the admin: who may, what happens, and what is said of it."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from conveyor_django.admin import bulk
from conveyor_django.models import Job
from tests.factories import JobFactory

JOBS = "/admin/conveyor_django/job/"


def client_with(*codenames, **kwargs):
    user = User.objects.create_user("-".join(codenames), is_staff=True)
    permissions = Permission.objects.filter(content_type__app_label="conveyor_django", codename__in=codenames)
    assert len(permissions) == len(codenames)
    user.user_permissions.set(permissions)
    client = Client(**kwargs)
    client.force_login(user)
    return client


def act(client, action, jobs, **extra):
    chosen = [str(job.pk) for job in jobs]
    data = {"action": action, "_selected_action": chosen, "index": 0, **extra}
    return client.post(JOBS + "?level=all", data, follow=True)


def messages(response):
    return [str(message) for message in response.context["messages"]]


def states(*jobs):
    return [Job.objects.get(pk=job.pk).state for job in jobs]


def test_retry_takes_the_finished_and_counts_the_others(admin_client):
    finished = [JobFactory(state=state) for state in ("failed", "cancelled", "completed")]
    others = [JobFactory(), JobFactory(state="active")]
    response = act(admin_client, "retry", [*finished, *others])
    assert messages(response) == ["3 jobs retried, 2 skipped because their state does not allow it"]
    assert states(*finished, *others) == ["waiting"] * 4 + ["active"]


def test_cancel_takes_the_unfinished_with_their_subtrees(admin_client):
    root = JobFactory(state="waiting-children")
    leaf = JobFactory(parent=root)
    done = JobFactory(state="completed")
    response = act(admin_client, "cancel", [root, done])
    assert messages(response) == ["1 job cancelled, 1 skipped because its state does not allow it"]
    assert states(root, leaf, done) == ["cancelled", "cancelled", "completed"]


def test_cancel_reaches_unfinished_jobs_far_below_a_failed_root(admin_client):
    root = JobFactory(state="failed")
    middle = JobFactory(state="failed", parent=root, pending_children=1)
    leaf = JobFactory(parent=middle)
    sibling = JobFactory(state="completed", parent=root)  # nothing below it, but its flow lives
    assert "/cancel/" in admin_client.get(f"{JOBS}{root.pk}/change/").content.decode()
    assert "/cancel/" not in admin_client.get(f"{JOBS}{sibling.pk}/change/").content.decode()
    response = act(admin_client, "cancel", [root, sibling])
    assert messages(response) == ["1 job cancelled, 1 skipped because its state does not allow it"]
    assert states(root, leaf) == ["failed", "cancelled"]


def test_a_job_that_refuses_does_not_keep_the_others(admin_client, monkeypatch):
    """As if one of them had been claimed between the look at its state and the transition."""
    jobs = [JobFactory(state="failed"), JobFactory(), JobFactory(state="failed")]
    monkeypatch.setattr(bulk, "RETRY", bulk.RETRY._replace(may_apply=lambda using, jobs: jobs))
    response = act(admin_client, "retry", jobs)
    assert messages(response) == ["2 jobs retried, 1 skipped because its state does not allow it"]
    assert LogEntry.objects.count() == 2


def test_a_job_that_is_gone_meanwhile_is_skipped(admin_client, monkeypatch):
    jobs = [JobFactory(state="failed"), JobFactory(state="failed")]

    def remove_one_of(using, found):
        found[0].delete()
        return [Job(pk=gone, name="gone"), *found[1:]]

    gone = jobs[0].pk
    monkeypatch.setattr(bulk, "RETRY", bulk.RETRY._replace(may_apply=remove_one_of))
    assert messages(act(admin_client, "retry", jobs)) == [
        "1 job retried, 1 skipped because its state does not allow it"
    ]


def test_takes_so_many_at_once_and_says_so(admin_client, monkeypatch):
    monkeypatch.setattr(bulk, "MAX_JOBS", 3)
    monkeypatch.setattr(bulk, "_CHUNK", 2)
    jobs = [JobFactory(state="failed") for _ in range(5)]
    response = act(admin_client, "retry", jobs[:1], select_across="1")
    assert messages(response) == ["3 jobs retried; one request takes 3 jobs, so do it again for the rest"]
    assert states(*jobs) == ["waiting"] * 3 + ["failed"] * 2


def test_each_job_gets_an_entry_in_the_history(admin_client, admin_user):
    jobs = [JobFactory(state="failed"), JobFactory(state="failed")]
    act(admin_client, "retry", jobs)
    act(admin_client, "cancel", jobs[:1])
    entries = LogEntry.objects.order_by("pk").values_list("object_id", "change_message", "user_id", "action_flag")
    assert sorted(entries[:2]) == sorted((str(job.pk), "Retried.", admin_user.pk, 2) for job in jobs)
    assert entries[2] == (str(jobs[0].pk), "Cancelled.", admin_user.pk, 2)
    history = admin_client.get(f"{JOBS}{jobs[0].pk}/history/").content.decode()
    assert "Retried." in history
    assert "Cancelled." in history


@pytest.mark.parametrize(
    ("verb", "before", "after"), [("retry", "failed", "waiting"), ("cancel", "waiting", "cancelled")]
)
def test_buttons_of_the_page(admin_client, verb, before, after):
    job = JobFactory(state=before)
    url = f"{JOBS}{job.pk}/{verb}/"
    assert f'action="{url}"' in admin_client.get(f"{JOBS}{job.pk}/change/").content.decode()
    response = admin_client.post(url, follow=True)
    assert response.redirect_chain == [(f"{JOBS}{job.pk}/change/", 302)]
    assert messages(response)[0].startswith("1 job")
    assert states(job) == [after]
    assert LogEntry.objects.get().object_id == str(job.pk)
    # once more: the state doesn't allow it any longer
    assert "0 jobs" in messages(admin_client.post(url, follow=True))[0]
    assert LogEntry.objects.count() == 1


@pytest.mark.parametrize("verb", ["retry", "cancel"])
def test_verbs_take_post_with_a_token_only(admin_user, verb):
    job = JobFactory(state="failed" if verb == "retry" else "waiting")
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    url = f"{JOBS}{job.pk}/{verb}/"
    for method in ("get", "head", "put", "delete", "options"):
        assert getattr(client, method)(url).status_code in (403, 405)
    assert client.post(url).status_code == 403
    assert states(job) == [job.state]
    page = client.get(f"{JOBS}{job.pk}/change/")
    token = page.context["csrf_token"]
    assert client.post(url, {"csrfmiddlewaretoken": str(token)}).status_code == 302
    assert states(job) != [job.state]


@pytest.mark.parametrize("verb", ["retry", "cancel"])
def test_a_viewer_can_do_nothing_by_any_url(verb):
    viewer = client_with("view_job")
    jobs = [JobFactory(state="failed"), JobFactory()]
    for job in jobs:
        assert viewer.post(f"{JOBS}{job.pk}/{verb}/").status_code == 403
        assert viewer.post(f"{JOBS}{job.pk}/change/", {"action": verb, "CHANGE_FORM-action": verb}).status_code == 403
    act(viewer, verb, jobs)
    assert states(*jobs) == ["failed", "waiting"]
    assert not LogEntry.objects.exists()


def test_each_verb_has_its_own_permission():
    failed, waiting = JobFactory(state="failed"), JobFactory()
    retrier = client_with("view_job", "retry_job")
    assert retrier.post(f"{JOBS}{waiting.pk}/cancel/").status_code == 403
    act(retrier, "cancel", [waiting])
    assert messages(act(retrier, "retry", [failed])) == ["1 job retried"]
    canceller = client_with("view_job", "cancel_job")
    assert messages(act(canceller, "cancel", [failed])) == ["1 job cancelled"]
    assert canceller.post(f"{JOBS}{failed.pk}/retry/").status_code == 403
    assert states(failed, waiting) == ["cancelled", "waiting"]


def test_who_may_not_view_may_not_act_and_strangers_are_asked_to_log_in(client):
    job = JobFactory(state="failed")
    assert client_with("retry_job").post(f"{JOBS}{job.pk}/retry/").status_code == 403
    assert "/login/" in client.post(f"{JOBS}{job.pk}/retry/").url
    assert states(job) == ["failed"]


def test_acting_on_a_job_that_is_gone(admin_client):
    job = JobFactory(state="failed")
    job.delete()
    assert admin_client.post(f"{JOBS}{job.pk}/retry/").status_code == 404
    assert admin_client.get(f"{JOBS}{job.pk}/change/", follow=True).redirect_chain == [(JOBS, 302)]
