"""The lists of the admin: what they show, what they cost, and that nothing in them is unescaped."""

from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from conveyor_django.admin import counts
from conveyor_django.models import QueueState
from tests.factories import JobFactory, WorkerProcessFactory

JOBS = "/admin/conveyor_django/job/"
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def viewer(client):
    """A client whose user may look at everything of the package, and do nothing."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="conveyor_django", codename__startswith="view_")
    )
    client.force_login(user)
    return client


def rows(response):
    return list(response.context["cl"].result_list)


def text(response):
    return unescape(response.content.decode())


def family(job_id=None):
    """A flow of three levels: monthly-report, render-statements, render-statement."""
    root = JobFactory(name="monthly-report", state="waiting-children")
    middle = JobFactory(name="render-statements", state="waiting-children", parent=root)
    return root, middle, JobFactory(name="render-statement", queue_name="pdf", job_id=job_id, parent=middle)


def test_shows_roots_newest_first_and_all_on_demand(admin_client):
    root, middle, leaf = family()
    later = JobFactory()
    assert rows(admin_client.get(JOBS)) == [later, root]
    assert rows(admin_client.get(JOBS + "?level=all")) == [later, leaf, middle, root]
    assert rows(admin_client.get(JOBS + "?level=roots")) == [later, root]


def test_a_row_says_state_name_queue_attempts_and_times(admin_client):
    started = timezone.now() - timedelta(minutes=10)
    job = JobFactory(
        name="send-invoice",
        queue_name="emails",
        state="failed",
        max_attempts=3,
        created_at=started,
        started_at=started,
        finished_at=started + timedelta(seconds=104),
        failed_reason="SMTPServerDisconnected: closed\nmore",
    )
    html = text(admin_client.get(JOBS))
    for words in ("Failed", "send-invoice", "emails", "1 / 3", "0.0 s", "1 min 44 s", "SMTPServerDisconnected"):
        assert words in html
    assert "closed\nmore" not in html
    assert 'class="cv-state cv-failed"' in html
    assert 'href="#cv-icon-failed"' in html
    assert reverse("admin:conveyor_django_job_change", args=[job.pk]) in html


def test_a_child_names_its_path(admin_client):
    _, _, leaf = family()
    JobFactory(name="deep", parent=JobFactory(name="deeper", parent=leaf, state="waiting-children"))
    leaf.pending_children = 1
    leaf.save()
    html = text(admin_client.get(JOBS + "?level=all"))
    assert "in monthly-report › render-statements" in html
    assert "in monthly-report › … › deeper" in html


def test_a_parent_that_failed_through_a_child_shows_what_went_wrong_there(admin_client):
    parent = JobFactory(state="failed", started_at=None, attempts_made=0)
    child = JobFactory(state="failed", parent=parent)
    reason = f"child {child.pk} failed: child {child.pk} failed: KeyError: 'iban'"
    type(parent).objects.filter(pk=parent.pk).update(failed_by=child.pk, failed_reason=reason)
    html = text(admin_client.get(JOBS))
    assert "Through a child:</b> KeyError: 'iban'" in html
    assert str(child.pk) not in html


def test_filters_by_state_and_queue(admin_client):
    failed = JobFactory(state="failed", queue_name="pdf")
    waiting = JobFactory(queue_name="emails")
    assert rows(admin_client.get(JOBS + "?state__exact=failed")) == [failed]
    response = admin_client.get(JOBS + "?queue_name__exact=emails")
    assert rows(response) == [waiting]
    choices = [choice for _, choice in response.context["cl"].filter_specs[-1].lookup_choices]
    assert {"emails", "pdf"} <= set(choices)


def test_a_queue_that_is_only_paused_or_only_asked_for_can_be_filtered_by(admin_client):
    QueueState.objects.create(queue_name="quiet", paused_at=timezone.now())
    response = admin_client.get(JOBS + "?queue_name__exact=unheard-of")
    choices = [choice for choice, _ in response.context["cl"].filter_specs[-1].lookup_choices]
    assert {"quiet", "unheard-of"} <= set(choices)


def test_jobs_of_one_flow_can_be_listed(admin_client):
    root, middle, leaf = family()
    JobFactory()
    assert rows(admin_client.get(f"{JOBS}?root__exact={root.pk}")) == [leaf, middle, root]


@pytest.mark.parametrize("query", ["render-statement", "render-sta", "no-147", "{leaf.pk}", " {leaf.pk} "])
def test_search_finds_jobs_inside_flows(admin_client, query):
    *_, leaf = family(job_id="no-147")
    found = rows(admin_client.get(JOBS, {"q": query.format(leaf=leaf)}))
    assert leaf in found
    assert all(job.name.startswith("render-statement") for job in found)


@pytest.mark.parametrize("query", ["statement", "147", "00000000-0000-0000-0000-000000000000", "%", "_"])
def test_search_is_not_by_substring(admin_client, query):
    family(job_id="no-147")
    assert rows(admin_client.get(JOBS, {"q": query})) == []


@pytest.mark.parametrize(
    "query",
    [
        "data__secret__startswith=a",
        "failed_reason__iregex=(a%2B)%2B$",
        "parent__parent__name=x",
        "state__exact=%00",
        "queue_name__exact=%00",
    ],
)
def test_urls_reach_no_other_lookups(admin_client, query):
    assert admin_client.get(f"{JOBS}?{query}").status_code == 400


@pytest.mark.parametrize("query", ["q=%00", "p=x", "p=99999", "root__exact=x", "o=1.2.-3", "_facets=True"])
def test_odd_urls_do_no_harm(admin_client, query):
    JobFactory()
    assert admin_client.get(f"{JOBS}?{query}", follow=True).status_code == 200


def test_queries_do_not_grow_with_the_rows(admin_client, django_assert_num_queries, django_assert_max_num_queries):
    admin_client.get(JOBS)  # the content types are cached from here
    statements = []
    for more in (1, 10):
        for _ in range(more):
            family()
            JobFactory(state="failed")
        cache.clear()  # the numbers of the states are kept for some seconds
        with django_assert_max_num_queries(14) as queries:
            response = admin_client.get(JOBS + "?level=all")
        statements.append(len(queries))
        assert len(rows(response)) == (4 if more == 1 else 44)
    assert statements[0] == statements[1]


def test_reads_no_large_columns(admin_client, django_assert_max_num_queries):
    JobFactory(state="failed")
    with django_assert_max_num_queries(16) as queries:
        admin_client.get(JOBS)
    for column in ("data", "return_value", "progress", "stacktrace"):
        assert not any(f'"{column}"' in query["sql"] or f"`{column}`" in query["sql"] for query in queries)


def test_counts_are_capped(admin_client, monkeypatch):
    monkeypatch.setattr(counts, "LOOK", 3)
    for _ in range(5):
        JobFactory()
    JobFactory(state="delayed")
    cache.clear()
    found = {str(chip.label): chip.number for chip in admin_client.get(JOBS).context["cl"].strip.chips()}
    assert found == {
        "All": "3+",
        "Active": "0",  # its index says so
        "Waiting": "3+",
        "Waiting-children": "0",
        "Delayed": "1",
        "Failed": "0",
        "Completed": "",  # not among the newest: nothing is known of others
        "Cancelled": "",
    }


def test_says_when_there_is_nothing(admin_client):
    assert "No jobs yet." in text(admin_client.get(JOBS))
    assert "No jobs match." in text(admin_client.get(JOBS + "?state__exact=failed"))


def test_nothing_in_the_lists_is_unescaped(admin_client):
    parent = JobFactory(name=EVIL + "1", state="waiting-children")
    JobFactory(name=EVIL + "2", queue_name=EVIL + "3", failed_reason=EVIL + "4", state="failed", parent=parent)
    JobFactory(parent=parent)
    QueueState.objects.create(queue_name=EVIL + "5", paused_at=timezone.now())
    WorkerProcessFactory(host=EVIL + "6", queues=[EVIL + "7"])
    for url in (JOBS + "?level=all", "/admin/conveyor_django/queuestate/", "/admin/conveyor_django/workerprocess/"):
        html = admin_client.get(url).content.decode()
        assert EVIL not in html
        assert "&lt;script&gt;alert(1)" in html


@pytest.mark.parametrize("url", [JOBS, "/admin/conveyor_django/queuestate/", "/admin/conveyor_django/workerprocess/"])
def test_pages_hold_no_inline_style_or_script(admin_client, url):
    JobFactory(state="failed", failed_reason="boom")
    WorkerProcessFactory()
    QueueState.objects.create(queue_name="pdf")
    html = admin_client.get(url).content.decode()
    assert "style=" not in html
    assert "<style" not in html
    assert "conveyor_django/admin.css" in html


def test_workers_are_alive_or_gone(admin_client):
    WorkerProcessFactory(host="here", queues=["pdf", "emails"])
    long_ago = timezone.now() - timedelta(minutes=20)
    gone = WorkerProcessFactory(host="away", pid=99, queues=None, heartbeat_at=long_ago)
    html = text(admin_client.get("/admin/conveyor_django/workerprocess/"))
    for words in ("Alive", "Gone", "pdf, emails", "every queue", "away:99", "20 min"):
        assert words in html
    assert "away" in text(admin_client.get(f"/admin/conveyor_django/workerprocess/{gone.pk}/change/"))


def test_queues_are_paused_or_running(admin_client):
    QueueState.objects.create(queue_name="pdf", paused_at=timezone.now())
    QueueState.objects.create(queue_name="emails")
    html = text(admin_client.get("/admin/conveyor_django/queuestate/"))
    assert "Paused" in html
    assert "Running" in html


def test_a_viewer_sees_all_and_is_offered_nothing(viewer):
    job = JobFactory(state="failed")
    WorkerProcessFactory()
    for model in ("job", "queuestate", "workerprocess"):
        assert viewer.get(f"/admin/conveyor_django/{model}/").status_code == 200
    assert 'name="action"' not in text(viewer.get(JOBS))
    html = text(viewer.get(f"{JOBS}{job.pk}/change/"))
    assert "/retry/" not in html
    assert "/cancel/" not in html


@pytest.mark.parametrize("model", ["job", "queuestate", "workerprocess"])
def test_not_even_a_superuser_adds_changes_or_deletes(admin_client, model):
    job = JobFactory()
    worker = WorkerProcessFactory()
    QueueState.objects.create(queue_name="pdf")
    pk = {"job": job.pk, "queuestate": "pdf", "workerprocess": worker.pk}[model]
    for url in ("add/", f"{pk}/change/", f"{pk}/delete/"):
        assert admin_client.post(f"/admin/conveyor_django/{model}/{url}", {"name": "x"}).status_code == 403
    assert admin_client.get(f"/admin/conveyor_django/{model}/add/").status_code == 403
    response = admin_client.post(
        f"/admin/conveyor_django/{model}/",
        {"action": "delete_selected", "_selected_action": [str(pk)], "post": "yes"},
        follow=True,
    )
    assert "No action selected" in text(response) or 'name="action"' not in text(response)
    for row in (job, worker):
        row.refresh_from_db()
