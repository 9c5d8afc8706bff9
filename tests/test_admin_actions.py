"""The verbs on the admin's list of jobs: who may, what is asked, what happens, and what is said of it."""

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from conveyor_django import transitions
from conveyor_django.admin.actions import bulk, verbs
from conveyor_django.exceptions import TryAgain
from conveyor_django.ids import new_ids
from conveyor_django.models import Job
from tests.factories import JobFactory

JOBS = "/admin/conveyor_django/job/"
ACTIONS = {  # with the permission, and a state before and after it
    "retry": ("retry_job", "failed", "waiting"),
    "cancel": ("cancel_job", "waiting", "cancelled"),
    "promote": ("edit_job", "delayed", "waiting"),
    "change_priority": ("edit_job", "waiting", "waiting"),
    "remove": ("remove_job", "failed", None),
}


def client_with(*codenames, **kwargs):
    user = User.objects.create_user("-".join(codenames), is_staff=True)
    permissions = Permission.objects.filter(content_type__app_label="conveyor_django", codename__in=codenames)
    assert len(permissions) == len(codenames)
    user.user_permissions.set(permissions)
    client = Client(**kwargs)
    client.force_login(user)
    return client


def choose(client, action, jobs, **extra):
    """As the list posts it."""
    chosen = [str(job.pk) for job in jobs]
    data = {"action": action, "_selected_action": chosen, "index": 0, "select_across": "0", **extra}
    return client.post(JOBS + "?level=all", data, follow=True)


def act(client, action, jobs, **extra):
    """As the page that asks posts it."""
    chosen = [str(job.pk) for job in jobs]
    data = {"action": action, "_selected_action": chosen, "confirm": "yes", "priority": "-7", **extra}
    return client.post(JOBS + "?level=all", data, follow=True)


def messages(response):
    return [str(message) for message in response.context["messages"]]


def states(*jobs):
    found = dict(Job.objects.filter(pk__in=[job.pk for job in jobs]).values_list("pk", "state"))
    return [found.get(job.pk) for job in jobs]


def many(number, **fields):
    return Job.objects.bulk_create(JobFactory.build_batch(number, **fields))


# It asks


@pytest.mark.parametrize("action", ACTIONS)
def test_it_asks_before_it_does_anything(admin_client, action):
    job = JobFactory(state=ACTIONS[action][1], priority=3)
    response = choose(admin_client, action, [job])
    assert response.status_code == 200
    assert "1 job" in response.context["title"]
    page = response.content.decode()
    assert f'<input type="hidden" name="_selected_action" value="{job.pk}">' in page
    assert f'<input type="hidden" name="action" value="{action}">' in page
    assert f'href="{JOBS}?level=all"' in page  # the way back
    assert ("cv-button--danger-main" in page) == (action in ("cancel", "remove"))
    assert states(job) == [job.state]
    assert Job.objects.get(pk=job.pk).priority == 3
    assert not LogEntry.objects.exists()


def test_it_asks_with_the_number_and_says_what_is_left_alone(admin_client):
    jobs = [JobFactory(state="failed"), JobFactory(state="completed"), JobFactory(state="active")]
    page = choose(admin_client, "retry", jobs)
    assert page.context["title"] == "Retry 3 jobs?"
    assert "1 of them has not finished and is left alone." in page.content.decode()
    assert "left alone" not in choose(admin_client, "retry", jobs[:2]).content.decode()


def test_it_counts_no_further_than_its_bound(admin_client, monkeypatch):
    monkeypatch.setattr("conveyor_django.admin.actions.list_actions.MAX_COUNT", 2)
    jobs = [JobFactory(state="failed") for _ in range(3)]
    assert choose(admin_client, "retry", jobs[:2]).context["title"] == "Retry 2 jobs?"
    assert choose(admin_client, "retry", jobs).context["title"] == "Retry more than 2 jobs?"


# What happens


def test_retry_takes_the_finished_and_counts_the_others_by_reason(admin_client):
    finished = [JobFactory(state=state) for state in ("failed", "cancelled", "completed")]
    others = [JobFactory(), JobFactory(state="active"), JobFactory(state="active")]
    response = act(admin_client, "retry", [*finished, *others])
    assert messages(response) == ["3 jobs retried; 2 skipped: still active; 1 skipped: still waiting."]
    assert states(*finished, *others) == ["waiting"] * 4 + ["active"] * 2


def test_retry_says_what_went_along(admin_client):
    root = JobFactory(state="failed")
    child = JobFactory(state="failed", parent=root)
    Job.objects.filter(pk=root.pk).update(failed_by=child.pk)
    assert messages(act(admin_client, "retry", [child])) == ["1 job retried, and 1 more along with it."]
    assert states(root, child) == ["waiting-children", "waiting"]


def test_cancel_takes_the_unfinished_with_their_subtrees(admin_client):
    root = JobFactory(state="waiting-children")
    leaf = JobFactory(parent=root)
    done = JobFactory(state="completed")
    response = act(admin_client, "cancel", [root, done])
    assert messages(response) == ["2 jobs cancelled; 1 skipped: already completed."]
    assert states(root, leaf, done) == ["cancelled", "cancelled", "completed"]


def test_cancel_reaches_unfinished_jobs_far_below_a_failed_root(admin_client):
    root = JobFactory(state="failed")
    middle = JobFactory(state="failed", parent=root, pending_children=1)
    leaf = JobFactory(parent=middle)
    sibling = JobFactory(state="completed", parent=root)  # nothing below it, but its flow lives
    assert "/cancel/" in admin_client.get(f"{JOBS}{root.pk}/change/").content.decode()
    assert "/cancel/" not in admin_client.get(f"{JOBS}{sibling.pk}/change/").content.decode()
    response = act(admin_client, "cancel", [root, sibling])
    assert messages(response) == ["1 job cancelled; 1 skipped: already completed."]
    assert states(root, leaf) == ["failed", "cancelled"]


def test_cancelling_a_parent_with_its_children_is_no_failure_of_the_children(admin_client, monkeypatch):
    """Though they are dealt with in another chunk."""
    monkeypatch.setattr(bulk, "CHUNK", 1)
    leaf_id, root_id = new_ids(2)
    root = JobFactory(id=root_id, state="waiting-children")
    leaf = JobFactory(id=leaf_id, parent=root)
    assert messages(act(admin_client, "cancel", [leaf, root])) == ["2 jobs cancelled."]
    assert states(leaf, root) == ["cancelled", "cancelled"]
    assert Job.objects.get(pk=root.pk).failed_by is None


def test_run_now(admin_client):
    jobs = [JobFactory(state="delayed"), JobFactory()]
    assert messages(act(admin_client, "promote", jobs)) == ["1 job waits for a worker now; 1 skipped: not delayed."]
    assert states(*jobs) == ["waiting", "waiting"]
    assert Job.objects.get(pk=jobs[0].pk).run_at is None


def test_change_priority(admin_client):
    jobs = [JobFactory(), JobFactory(state="active"), JobFactory(state="completed")]
    response = act(admin_client, "change_priority", jobs)
    assert messages(response) == ["Priority of 2 jobs changed; 1 skipped: already completed."]
    assert [Job.objects.get(pk=job.pk).priority for job in jobs] == [-7, -7, 0]


@pytest.mark.parametrize("bad", ["", "high", "1.5", "9" * 30, "-3000000000", "1e3", "\x00"])
def test_a_priority_that_is_none_is_refused_beside_the_field(admin_client, bad):
    job = JobFactory(priority=3)
    response = act(admin_client, "change_priority", [job], priority=bad)
    assert response.status_code == 200
    assert response.context["question"].form.errors["priority"]
    assert 'id="id_priority_error"' in response.content.decode()
    assert Job.objects.get(pk=job.pk).priority == 3


def test_remove_takes_what_is_below_and_spares_what_runs(admin_client):
    leaf_id, runs_id, root_id, busy_id = new_ids(4)  # children before parents, as flows have them
    root, busy = JobFactory(id=root_id, state="failed"), JobFactory(id=busy_id, state="waiting-children")
    leaf = JobFactory(id=leaf_id, state="completed", parent=root)
    runs = JobFactory(id=runs_id, state="active", parent=busy)
    response = act(admin_client, "remove", [root, busy, runs])
    assert messages(response) == ["2 jobs removed; 1 skipped: a job below is active; 1 skipped: still active."]
    assert states(root, leaf, busy, runs) == [None, None, "waiting-children", "active"]


def test_children_that_went_with_their_parent_are_counted_once(admin_client, monkeypatch):
    monkeypatch.setattr(bulk, "CHUNK", 1)
    leaf_id, root_id = new_ids(2)
    root = JobFactory(id=root_id, state="waiting-children")
    leaf = JobFactory(id=leaf_id, parent=root)
    assert messages(act(admin_client, "remove", [leaf, root])) == ["2 jobs removed."]


def test_a_job_that_is_gone_or_changed_meanwhile_does_not_keep_the_others(admin_client, monkeypatch):
    jobs = [JobFactory(state="failed") for _ in range(3)]

    def late(using, ids):
        jobs[0].remove()
        Job.objects.get(pk=jobs[1].pk).retry()
        return transitions.retry_some(using, ids)

    monkeypatch.setattr(verbs, "RETRY", verbs.RETRY._replace(do=late))
    response = act(admin_client, "retry", jobs)
    assert messages(response) == ["1 job retried; 1 skipped: no longer there; 1 skipped: still waiting."]
    assert LogEntry.objects.get().object_id == str(jobs[2].pk)


def test_jobs_that_others_keep_changing_are_skipped(admin_client, monkeypatch):
    def busy(using, ids):
        raise TryAgain

    monkeypatch.setattr(verbs, "RETRY", verbs.RETRY._replace(do=busy))
    job = JobFactory(state="failed")
    assert messages(act(admin_client, "retry", [job])) == ["0 jobs retried; 1 skipped: changed meanwhile."]


@pytest.mark.parametrize("bad", ["x", "", "\x00", "1"])
def test_what_is_no_id_is_refused(admin_client, bad):
    response = admin_client.post(JOBS, {"action": "retry", "_selected_action": [bad], "index": 0}, follow=True)
    assert "Nothing was done" in messages(response)[0]


# All that match


def test_all_that_match_are_taken_and_no_others(admin_client):
    many(1_200, state="failed", queue_name="mine")
    other = JobFactory(state="failed", queue_name="other")
    url = f"{JOBS}?level=all&queue_name__exact=mine"
    first = str(Job.objects.filter(queue_name="mine").first().pk)
    chosen = {"action": "retry", "_selected_action": [first], "select_across": "1"}
    page = admin_client.post(url, {**chosen, "index": 0})
    assert page.context["title"] == "Retry 1,200 jobs?"
    assert dict(page.context["question"].hidden) == chosen | {"_selected_action": first}
    response = admin_client.post(url, {**chosen, "confirm": "yes"}, follow=True)
    assert messages(response) == ["1,200 jobs retried."]
    assert set(Job.objects.filter(queue_name="mine").values_list("state", flat=True)) == {"waiting"}
    assert states(other) == ["failed"]
    entry = LogEntry.objects.get()  # above a thousand, one for all
    assert (entry.object_repr, entry.change_message, entry.object_id) == ("1,200 jobs", "Retried.", None)
    assert "1,200 jobs" in admin_client.get("/admin/").content.decode()


def test_takes_so_many_at_once_and_says_so(admin_client, monkeypatch):
    monkeypatch.setattr(bulk, "MAX_JOBS", 3)
    monkeypatch.setattr(bulk, "CHUNK", 2)
    jobs = [JobFactory(state="failed") for _ in range(5)]
    page = choose(admin_client, "retry", jobs[:1], select_across="1")
    assert "One request takes 3 jobs: do it again for the rest." in page.content.decode()
    response = act(admin_client, "retry", jobs[:1], select_across="1")
    assert messages(response) == ["3 jobs retried; one request takes 3 jobs, so do it again for the rest."]
    assert sorted(states(*jobs)) == ["failed"] * 2 + ["waiting"] * 3


@pytest.mark.parametrize("action", ACTIONS)
def test_as_many_queries_for_ten_as_for_five_hundred(admin_client, action):
    """Some of which refuse."""
    permission, before, after = ACTIONS[action]
    refused = "active" if action != "change_priority" and action != "cancel" else "completed"
    ContentType.objects.get_for_model(Job)  # which the log of the first would look up
    counts = []
    for number in (10, 400):
        jobs = [*many(number, state=before), *many(number // 4, state=refused)]
        chosen = {"action": action, "_selected_action": [str(job.pk) for job in jobs], "confirm": "yes"}
        with CaptureQueriesContext(connection) as queries:
            response = admin_client.post(JOBS + "?level=all", {**chosen, "priority": "5"})
        assert response.status_code == 302
        # one bulk insert, which SQLite takes in pieces
        counts.append(len([query for query in queries if "django_admin_log" not in query["sql"]]))
    assert counts[0] == counts[1] < 30


def test_as_many_queries_for_many_parents_that_stay_failed_as_for_few(admin_client):
    counts = []
    for number in (3, 60):
        pairs = []
        for _ in range(number):
            one_id, other_id, parent_id = new_ids(3)
            parent = JobFactory(id=parent_id, state="failed")
            one = JobFactory(id=one_id, state="failed", parent=parent)
            other = JobFactory(id=other_id, state="failed", parent=parent, failed_reason=f"of {other_id}")
            Job.objects.filter(pk=parent_id).update(failed_by=one_id)
            pairs.append((parent, one, other))
        with CaptureQueriesContext(connection) as queries:
            act(admin_client, "retry", [one for _, one, _ in pairs])
        counts.append(len(queries))
        for parent, one, other in pairs:
            parent.refresh_from_db()
            assert (parent.state, parent.failed_by) == ("failed", other.pk)
            assert parent.failed_reason == f"child {other.pk} failed: of {other.pk}"
            assert states(one) == ["waiting"]
    assert counts[1] <= counts[0] + 2  # the list that is shown afterwards names what is above


# Who may, and what is kept of it


def test_each_job_gets_an_entry_in_the_history(admin_client, admin_user):
    jobs = [JobFactory(state="failed"), JobFactory(state="failed")]
    act(admin_client, "retry", jobs)
    act(admin_client, "cancel", jobs[:1])
    entries = LogEntry.objects.order_by("pk").values_list("object_id", "change_message", "user_id", "action_flag")
    assert sorted(entries[:2]) == sorted((str(job.pk), "Retried.", admin_user.pk, CHANGE) for job in jobs)
    assert entries[2] == (str(jobs[0].pk), "Cancelled.", admin_user.pk, CHANGE)
    history = admin_client.get(f"{JOBS}{jobs[0].pk}/history/").content.decode()
    assert "Retried." in history
    assert "Cancelled." in history
    act(admin_client, "remove", jobs[:1])
    assert LogEntry.objects.filter(action_flag=DELETION, change_message="Removed.").get().object_id == str(jobs[0].pk)


@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_is_for_who_has_its_permission(action):
    permission, before, after = ACTIONS[action]
    job = JobFactory(state=before)
    others = {permission for permission, _, _ in ACTIONS.values()} - {permission}
    stranger = client_with("view_job", *others)
    for response in (choose(stranger, action, [job]), act(stranger, action, [job])):
        assert "title" not in response.context or "1 job" not in response.context["title"]
    assert states(job) == [before]
    assert Job.objects.get(pk=job.pk).priority == 0
    allowed = client_with("view_job", permission)
    act(allowed, action, [job])
    assert states(job) == [after]
    assert after is None or Job.objects.get(pk=job.pk).priority == (-7 if action == "change_priority" else 0)


def test_a_viewer_is_offered_no_action():
    JobFactory()
    page = client_with("view_job").get(JOBS).content.decode()
    assert 'name="action"' not in page
