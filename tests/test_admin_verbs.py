"""The verbs of a job's and a flow's page: each URL, who may, what it asks, does and says."""

import uuid
from uuid import UUID

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from conveyor_django.admin import buttons
from conveyor_django.admin.flow import reasons
from conveyor_django.ids import new_ids
from conveyor_django.models import Job
from tests.factories import JobFactory
from tests.test_admin_actions import JOBS, client_with, messages, states

VERBS = {  # with the permission, a state in which it does something, the state after it, and one that refuses
    "retry": ("retry_job", "failed", "waiting", "active"),
    "retry-failed": ("retry_job", "failed", "waiting", "active"),
    "retry-subtree": ("retry_job", "completed", "waiting", "active"),
    "cancel": ("cancel_job", "waiting", "cancelled", "completed"),
    "promote": ("edit_job", "delayed", "waiting", "waiting"),
    "priority": ("edit_job", "waiting", "waiting", "failed"),
    "remove": ("remove_job", "failed", None, "active"),
}
DIRECT = ("retry", "promote")
SURE = {"confirm": "yes", "priority": "5"}

each_verb = pytest.mark.parametrize("verb", VERBS)


def url(job, verb):
    return f"{JOBS}{job.pk}/{verb}/"


def change(job):
    return f"{JOBS}{job.pk}/change/"


@each_verb
def test_it_does_it_once_confirmed_and_says_so(admin_client, admin_user, verb):
    permission, before, after, _ = VERBS[verb]
    job = JobFactory(state=before)
    if verb not in DIRECT:
        page = admin_client.post(url(job, verb))
        assert page.status_code == 200
        assert "1 " in page.context["title"]
        assert f'href="{change(job)}"' in page.content.decode()
        assert states(job) == [before]
        assert not LogEntry.objects.exists()
    response = admin_client.post(url(job, verb), {} if verb in DIRECT else SURE, follow=True)
    assert response.redirect_chain == [(change(job) if after else JOBS, 302)]
    assert states(job) == [after]
    assert messages(response)[0].startswith(("1 job", "Priority of 1 job"))
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.user_id) == (str(job.pk), admin_user.pk)
    assert entry.get_change_message()


@each_verb
@pytest.mark.parametrize("data", [{}, SURE])
def test_in_a_state_that_refuses_it_does_nothing_and_says_why(admin_client, verb, data):
    permission, _, _, refused = VERBS[verb]
    job = JobFactory(state=refused)
    response = admin_client.post(url(job, verb), data, follow=True)
    assert response.redirect_chain == [(change(job), 302)]
    (message,) = messages(response)
    assert message.startswith(("Nothing was done", "0 jobs", "Priority of 0 jobs"))
    assert states(job) == [refused]
    assert not LogEntry.objects.exists()


@each_verb
def test_it_is_for_who_has_its_permission(verb):
    permission, before, after, _ = VERBS[verb]
    job = JobFactory(state=before)
    others = {permission for permission, *_ in VERBS.values()} - {permission}
    stranger, blind = client_with("view_job", "view_payload", *others), client_with(permission)
    assert f'action="{url(job, verb)}"' not in stranger.get(change(job)).content.decode()
    for client in (stranger, blind):
        for data in ({}, SURE):
            assert client.post(url(job, verb), data).status_code == 403
    assert Client().post(url(job, verb), SURE).url.startswith("/admin/login/")
    assert states(job) == [before]
    assert client_with("view_job", permission).post(url(job, verb), SURE).status_code == 302
    assert states(job) == [after]


@each_verb
def test_it_takes_post_with_a_token_only(admin_user, verb):
    job = JobFactory(state=VERBS[verb][1])
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    for method in ("get", "head", "put", "patch", "delete", "options"):
        assert getattr(client, method)(url(job, verb)).status_code in (
            (405,) if method in ("get", "head") else (403, 405)
        )
    assert client.post(url(job, verb), SURE).status_code == 403
    assert states(job) == [job.state]
    token = str(client.get(change(job)).context["csrf_token"])
    assert client.post(url(job, verb), {**SURE, "csrfmiddlewaretoken": token}).status_code == 302


@each_verb
def test_of_a_job_that_is_not_there(admin_client, verb):
    assert admin_client.post(f"{JOBS}{uuid.uuid4()}/{verb}/", SURE).status_code == 404
    assert not LogEntry.objects.exists()


@each_verb
@pytest.mark.parametrize(
    ("asked", "is_taken"),
    [
        ("/admin/", True),
        ("/admin/conveyor_django/job/?level=all", True),
        ("https://example.org/", False),
        ("//example.org/", False),
        ("javascript:alert(1)", False),
        ("http:///example.org", False),
        ("\\\\example.org", False),
    ],
)
def test_it_goes_on_to_a_page_of_this_site_only(admin_client, verb, asked, is_taken):
    _, before, after, _ = VERBS[verb]
    job = JobFactory(state=before)
    if verb not in DIRECT:
        page = admin_client.post(url(job, verb), {"next": asked}).content.decode()
        assert ('name="next"' in page) == is_taken
        assert "javascript:" not in page
        assert "example.org" not in page
    response = admin_client.post(url(job, verb), {**SURE, "next": asked})
    assert response.status_code == 302
    assert response.url == (asked if is_taken else change(job) if after else JOBS)


# What each reaches


@pytest.fixture
def flow():
    """A root that failed through a child that failed through two of its three."""
    *ids, middle_id, root_id = new_ids(6)  # children before parents, as flows have them
    root = JobFactory(id=root_id, name="report", state="failed", pending_children=1)
    middle = JobFactory(id=middle_id, name="statements", state="failed", parent=root)
    failed = [JobFactory(id=ids.pop(), state="failed", parent=middle) for _ in range(2)]
    done = JobFactory(id=ids.pop(), state="completed", parent=middle)
    waits = JobFactory(id=ids.pop(), name="chart", parent=root)
    Job.objects.filter(pk=root.pk).update(failed_by=middle.pk)
    Job.objects.filter(pk=middle.pk).update(failed_by=failed[0].pk)
    return root, middle, failed, done, waits


def test_what_was_cancelled_is_retried_with_what_failed_and_the_numbers_say_so(admin_client, flow):
    root, middle, failed, *_ = flow
    Job.objects.filter(pk=failed[1].pk).update(state="cancelled")
    assert "Retry 2 failed or cancelled" in admin_client.get(f"{JOBS}{root.pk}/flow/").content.decode()
    assert admin_client.post(url(root, "retry-failed")).context["title"] == "Retry 2 failed or cancelled jobs?"
    Job.objects.filter(pk=failed[0].pk).update(state="cancelled")
    assert "Retry 2 failed or cancelled" in admin_client.get(f"{JOBS}{root.pk}/flow/").content.decode()


def test_the_button_counts_more_than_the_reasons_read(admin_client, flow, monkeypatch):
    monkeypatch.setattr(reasons, "MAX_READ", 2)
    assert "Retry 2 failed<" in admin_client.get(f"{JOBS}{flow[0].pk}/flow/").content.decode()


@pytest.mark.parametrize("top", [0, 1])
def test_retry_what_failed_takes_all_of_the_tree_and_their_parents_reopen(admin_client, flow, top):
    root, middle, failed, done, waits = flow
    page = admin_client.post(url(flow[top], "retry-failed"))
    assert page.context["title"] == "Retry 2 failed jobs?"
    response = admin_client.post(url(flow[top], "retry-failed"), SURE, follow=True)
    assert messages(response) == ["2 jobs retried, and 2 more along with them."]
    assert states(root, middle, *failed, done, waits) == [
        *("waiting-children", "waiting-children", "waiting", "waiting", "completed", "waiting")
    ]
    assert LogEntry.objects.get().change_message == "2 jobs retried, and 2 more along with them."
    assert Job.objects.get(pk=root.pk).pending_children == 2


def test_run_again_with_all_below_leaves_the_unfinished_alone(admin_client, flow):
    root, middle, failed, done, waits = flow
    page = admin_client.post(url(middle, "retry-subtree"))
    assert page.context["title"] == "Run 4 finished jobs again?"
    admin_client.post(url(root, "retry-subtree"), SURE)
    assert states(root, middle, *failed, done, waits) == ["waiting-children"] * 2 + ["waiting"] * 4
    assert Job.objects.get(pk=middle.pk).pending_children == 3


def test_cancel_says_how_many_are_unfinished(admin_client, flow):
    root, *_, waits = flow
    assert admin_client.post(url(root, "cancel")).context["title"] == "Cancel 1 job?"
    response = admin_client.post(url(root, "cancel"), SURE, follow=True)
    assert messages(response) == ["1 job cancelled."]
    assert states(root, waits) == ["failed", "cancelled"]


def test_remove_takes_the_tree_and_is_refused_while_something_runs(admin_client, flow):
    root, middle, *_ = flow
    assert admin_client.post(url(root, "remove")).context["title"] == "Remove 6 jobs?"
    runs = JobFactory(id=UUID(int=1), state="active", parent=middle)
    for data in ({}, SURE):
        response = admin_client.post(url(root, "remove"), data, follow=True)
        assert "active" in messages(response)[0]
    runs.cancel()
    response = admin_client.post(url(root, "remove"), SURE, follow=True)
    assert messages(response) == ["7 jobs removed."]
    assert not Job.objects.exists()


def test_the_way_back_from_a_verb_is_where_it_was_found(admin_client, flow):
    root, middle, failed, *_ = flow
    pages = [admin_client.get(change(job)) for job in failed]
    assert any(page.context["next_url"] for page in pages)  # of a sibling
    assert not any('name="next"' in page.content.decode() for page in pages)
    flow_page = f"{JOBS}{root.pk}/flow/"
    assert f'name="next" value="{flow_page}"' in admin_client.get(flow_page).content.decode()


def test_what_is_removed_is_not_gone_back_to(admin_client, flow):
    root, middle, failed, *_ = flow
    for job, above in ((failed[0], change(middle)), (root, JOBS)):
        response = admin_client.post(url(job, "remove"), {**SURE, "next": f"{JOBS}{job.pk}/flow/"}, follow=True)
        assert response.redirect_chain == [(above, 302)]
        assert "removed" in messages(response)[0]


def test_a_retry_says_why_the_parent_stays_failed(admin_client, flow):
    _, middle, failed, *_ = flow
    response = admin_client.post(url(failed[0], "retry"), follow=True)
    assert messages(response) == ["1 job retried. Its parent statements stays failed: 1 other child has failed."]
    response = admin_client.post(url(failed[1], "retry"), follow=True)
    assert messages(response) == ["1 job retried, and 2 more along with it."]


@pytest.mark.parametrize("bad", ["", "high", "1.5", "9" * 30, "3000000000", "\x00"])
def test_a_priority_that_is_none_is_refused_beside_the_field(admin_client, bad):
    job = JobFactory(priority=3)
    assert 'value="3"' in admin_client.post(url(job, "priority")).content.decode()
    response = admin_client.post(url(job, "priority"), {"confirm": "yes", "priority": bad})
    assert response.status_code == 200
    assert 'id="id_priority_error"' in response.content.decode()
    assert Job.objects.get(pk=job.pk).priority == 3
    admin_client.post(url(job, "priority"), {"confirm": "yes", "priority": "-1"})
    assert Job.objects.get(pk=job.pk).priority == -1


def test_more_than_it_counts(admin_client, flow, monkeypatch):
    root, middle, *_ = flow
    monkeypatch.setattr("conveyor_django.admin.actions.job_verbs.MAX_COUNT", 1)
    assert admin_client.post(url(root, "remove")).context["title"] == "Remove more than 1 jobs?"
    for data in ({}, SURE):
        for top in (root, middle):
            response = admin_client.post(url(top, "retry-failed"), data, follow=True)
            assert "retryjobs" in messages(response)[0]
    assert states(middle) == ["failed"]


@pytest.mark.parametrize("verb", ["cancel", "remove", "retry-subtree"])
@pytest.mark.parametrize("data", [{}, SURE])
def test_as_many_queries_for_a_large_tree_as_for_a_small_one(admin_client, verb, data):
    before = {"cancel": "waiting", "remove": "completed", "retry-subtree": "completed"}[verb]
    counts = []
    for number in (5, 300):
        is_done = before == "completed"
        children = JobFactory.build_batch(number, state=before)
        pending = 0 if is_done else number
        root = JobFactory(state=before if is_done else "waiting-children", pending_children=pending)
        for child in children:
            child.parent, child.root_id, child.depth = root, root.pk, 1
        Job.objects.bulk_create(children)
        with CaptureQueriesContext(connection) as queries:
            admin_client.post(url(root, verb), data)
        counts.append(len(queries))
    assert counts[0] == counts[1] < 30


# The buttons


@pytest.mark.parametrize(
    ("state", "main", "more"),
    [
        ("failed", ["Retry"], ["Add a copy", "Remove", "History"]),
        ("completed", ["Retry"], ["Add a copy", "Remove", "History"]),
        ("waiting", ["Edit data", "Change priority", "Cancel job"], ["Add a copy", "Remove", "History"]),
        ("delayed", ["Run now", "Edit data", "Change priority", "Cancel job"], ["Add a copy", "Remove", "History"]),
        ("active", ["Cancel job"], ["Change priority", "Add a copy", "Remove", "History"]),
    ],
)
def test_buttons_suit_the_state(admin_client, state, main, more):
    job = JobFactory(state=state)
    page = admin_client.get(change(job))
    assert [button.label for button in page.context["buttons"].main] == main
    assert [button.label for button in page.context["buttons"].more] == more
    assert page.content.decode().count("cv-button--main") <= 1


def test_a_viewer_is_offered_the_history_alone():
    page = client_with("view_job").get(change(JobFactory()))
    assert [button.label for button in page.context["buttons"].main] == []
    assert [button.label for button in page.context["buttons"].more] == ["History"]


def test_buttons_of_a_job_with_children(admin_client, flow):
    page = admin_client.get(change(flow[0]))
    assert [button.label for button in page.context["buttons"].main] == ["Retry", "Cancel flow"]
    assert [button.label for button in page.context["buttons"].more] == [
        *("Retry what failed below", "Run again with all below", "Add a copy", "Remove with all below", "History")
    ]


def test_buttons_of_a_flow(rf, admin_user, flow):
    job_admin = admin.site.get_model_admin(Job)
    request = rf.get("/")
    request.user = admin_user
    found = buttons.for_flow(job_admin, request, flow[0], 2, 0)
    assert [(button.label, button.kind) for button in found.main] == [
        *(("Retry 2 failed", "main"), ("Cancel flow", "danger"))
    ]
    assert [button.label for button in found.more] == ["Run the whole flow again", "Remove flow"]
    assert [button.label for button in buttons.for_flow(job_admin, request, flow[0], 0, 0).main] == ["Cancel flow"]
