"""The page of a flow: what it says, who sees it, what it costs, and what its rows say while it is open."""

import re
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conveyor_django import Queue
from conveyor_django.admin.flow import sources
from conveyor_django.admin.flow.nodes import key_of
from conveyor_django.admin.flow.reasons import reasons_of
from conveyor_django.ids import new_id, new_ids
from conveyor_django.models import Job

from .factories import JobFactory, WorkerProcessFactory
from .test_admin import EVIL
from .test_admin_actions import client_with
from .test_admin_flow_outline import parent
from .test_admin_overview import text

pytestmark = pytest.mark.django_db
JOBS = "/admin/conveyor_django/job/"


def url(job, query=""):
    return f"{JOBS}{job.pk}/flow/{query}"


def live(job, *keys):
    return f"{JOBS}{job.pk}/flow/live/?keys={','.join(keys)}"


def names(response):
    return [row.name for row in response.context["rows"]]


def key(job, state=None):
    return key_of(job.pk) + (f".{state}" if state else "")


# What it says


def test_the_head_counts_and_leads_to_the_jobs(admin_client):
    root, _ = parent("completed", "failed", "active", "waiting")
    response = admin_client.get(url(root))
    assert "2 of 5 finished, 40 %" in text(response)
    counts = {count.state: count for count in response.context["counts"]}
    assert {state: count.text for state, count in counts.items()} == {
        **{"completed": "1", "failed": "1", "active": "1", "waiting-children": "1", "waiting": "1"}
    }
    listed = admin_client.get(counts["failed"].url)
    assert [job.name for job in listed.context["cl"].result_list] == ["parent-1"]


def test_a_row_says_what_is_in_its_way(admin_client):
    root, [failed, waits, paused, runs, retried] = parent("failed", "waiting", "waiting", "active", "active")
    Job.objects.filter(pk=paused.pk).update(queue_name="pdf")
    Job.objects.filter(pk=runs.pk).update(progress=64)
    Job.objects.filter(pk=retried.pk).update(attempts_made=3, progress="far")
    Queue("pdf").pause()
    rows = {row.name: row for row in admin_client.get(url(root)).context["rows"]}
    assert (rows[waits.name].word, rows[waits.name].queue) == ("No worker", "")
    assert (rows[paused.name].word, rows[paused.name].queue) == ("Queue paused", "pdf")
    assert rows[runs.name].share == 64
    assert (rows[retried.name].share, rows[retried.name].note) == (None, "3 attempts")
    assert "ValueError: boom" in rows[failed.name].reason
    WorkerProcessFactory(queues=["default"])
    assert {row.name: row for row in admin_client.get(url(root)).context["rows"]}[waits.name].word == "Waiting"


def test_siblings_of_one_name_are_told_apart(admin_client):
    root, _ = parent("waiting")
    twins = [JobFactory(name="twin", parent=root, job_id=job_id) for job_id in ("first", None)]
    Job.objects.filter(pk=root.pk).update(pending_children=3)
    hints = {row.key: row.hint for row in admin_client.get(url(root)).context["rows"]}
    assert hints[key(twins[0])] == "first"
    assert hints[key(twins[1])] == str(twins[1].pk)[-12:]
    assert hints[key(root)] == ""


def test_reasons_that_differ_in_digits_are_one():
    root, _ = parent("waiting")
    said = ["no page 17", "no page 4\nmore", "no page 512", "no room", *(f"odd {letter}" for letter in "abcde")]
    now = timezone.now()
    for n, reason in enumerate(said):
        JobFactory(parent=root, state="failed", failed_reason=reason, finished_at=now - timedelta(seconds=n))
    through = JobFactory(parent=root, state="failed", failed_by=new_id(), name="above")
    found = reasons_of("default", root.pk)
    assert found.rows[0][0] == 3
    assert found.rows[0][1].startswith("no page ")
    assert (len(found.rows), found.others, found.itself) == (5, 2, 9)
    assert found.through == [(1, "above")]
    assert found.first != through.pk
    assert Job.objects.get(pk=found.first).failed_reason == "odd e"


def test_the_first_that_failed_is_shown_however_many_failed(admin_client):
    root, failed = parent(*["failed"] * 45)
    Job.objects.filter(pk=failed[40].pk).update(finished_at=timezone.now() - timedelta(hours=1))
    response = admin_client.get(url(root))
    link = response.context["first_failed"]
    assert link == url(failed[40])
    [current] = [row for row in admin_client.get(link).context["rows"] if row.is_current]
    assert current.name == failed[40].name


def test_without_a_script_it_is_a_nested_list_of_links(admin_client):
    root, _ = parent(name="root")
    part, _ = parent("failed", "waiting", name="part", above=root)
    html = admin_client.get(url(root)).content.decode()
    rows = html[html.index('<ul class="cv-ftree"') : html.index('<div id="cv-rest"')]
    assert rows.count("<ul") == rows.count("</ul>") == 3
    assert rows.count("<li") == rows.count("</li>") == 4
    toggle = re.search(rf'href="([^"]*)" id="cv-{key(part)}"', rows)[1]
    assert "part-0" not in names(admin_client.get(url(root, toggle)))
    for job in Job.objects.all():
        assert f'href="{JOBS}{job.pk}/change/"' in rows


def test_a_list_is_whole_when_a_job_in_the_middle_has_gone(admin_client, monkeypatch):
    root, _ = parent(name="root")
    part, [child] = parent("failed", name="part", above=root)
    real = sources.Whole.get

    def get(self, ids):
        Job.objects.filter(pk=child.pk).update(parent=None)
        Job.objects.filter(pk=part.pk).delete()
        return real(self, ids)

    monkeypatch.setattr(sources.Whole, "get", get)
    html = admin_client.get(url(root)).content.decode()
    assert html.count("<ul") == html.count("</ul>")
    assert len(re.findall("<li[ >]", html)) == html.count("</li>")
    Job.objects.filter(pk=root.pk).update(pending_children=0, state="waiting")


@pytest.mark.parametrize("page", ["flow", "live", "job"])
@pytest.mark.parametrize("small", [0, 2_000])
def test_a_flow_that_goes_while_it_is_read_is_not_found(admin_client, monkeypatch, small, page):
    monkeypatch.setattr(sources, "SMALL", small)
    root, children = parent(*["failed"] * 25)
    end = {"state": "failed", "finished_at": timezone.now()}
    Job.objects.filter(pk=root.pk).update(**end, failed_by=children[3].pk)
    path = {"flow": url(root), "live": live(root, key(root)), "job": f"{JOBS}{children[3].pk}/change/"}[page]
    real = CaptureQueriesContext(connection)
    with real:
        assert admin_client.get(path).status_code == 200
    asked = [sent for sent in real.captured_queries if "conveyor_django_job" in sent["sql"]]
    for spared in range(len(asked)):
        left = [spared]

        def vanish(execute, sql, params, many, context, left=left):
            result = execute(sql, params, many, context)
            if "conveyor_django_job" in sql and sql.startswith("SELECT"):
                left[0] -= 1
                if left[0] == -1:
                    for jobs in (Job.objects.filter(depth__gt=0), Job.objects.all()):
                        jobs._raw_delete("default")
            return result

        with transaction.atomic(), connection.execute_wrapper(vanish):
            status = admin_client.get(path).status_code
            transaction.set_rollback(True)
        assert status in (200, 302, 404)


def test_a_finished_flow_says_what_it_took_and_is_not_live(admin_client):
    root, _ = parent("waiting")
    now = timezone.now()
    Job.objects.filter(parent=root).update(state="completed", finished_at=now)
    Job.objects.filter(pk=root.pk).update(
        state="completed", pending_children=0, created_at=now - timedelta(seconds=872), finished_at=now
    )
    response = admin_client.get(url(root))
    assert "Took 14 min 32 s" in text(response)
    assert "data-ended" in response.content.decode()
    assert "cv-now" not in response.content.decode()


# Who sees what


def test_a_job_alone_has_no_flow_and_an_unknown_one_is_not_found(admin_client):
    job = JobFactory()
    assert admin_client.get(url(job)).url == f"{JOBS}{job.pk}/change/"
    for path in (f"{JOBS}{new_id()}/flow/", f"{JOBS}{new_id()}/flow/live/", f"{JOBS}x/flow/"):
        assert admin_client.get(path).status_code in (404, 302)
    assert admin_client.get(f"{JOBS}{new_id()}/flow/").status_code == 404


def test_it_needs_the_permission_to_see_jobs_and_is_only_read(admin_client):
    root, _ = parent("waiting")
    stranger, viewer = client_with("view_queuestate"), client_with("view_job")
    for path in (url(root), live(root, key(root))):
        assert stranger.get(path).status_code == 403
        assert Client().get(path).status_code == 302
        assert viewer.get(path).status_code == 200
        assert admin_client.post(path).status_code == 405


def test_names_and_reasons_are_escaped_and_payload_is_not_there(admin_client):
    root, _ = parent("waiting", name=EVIL)
    JobFactory(
        **{"name": EVIL, "queue_name": EVIL, "job_id": EVIL, "state": "failed", "failed_reason": EVIL, "parent": root},
        data={"card": "4111"},
    )
    JobFactory(parent=root, state="failed", failed_reason="password=hunter2", stacktrace="secret trace")
    for path in (url(root), live(root, key(root)), url(root, f"?open={EVIL}&fold={EVIL}&top={EVIL}&view={EVIL}")):
        html = admin_client.get(path).content.decode()
        assert EVIL not in html
        assert "4111" not in html
        assert "secret trace" not in html


# While it is open


def test_live_gives_the_rows_that_were_asked_for(admin_client):
    root, children = parent("active", "waiting", "failed")
    other, _ = parent("waiting", name="other")
    response = admin_client.get(
        live(root, key(children[0]), key(other), key_of(new_id()), "junk", "\x00", "é", ".failed")
    )
    assert names(response) == [children[0].name]
    assert other.name not in response.content.decode()
    gone = children[1]
    Job.objects.filter(pk=gone.pk).delete()
    Job.objects.filter(pk=root.pk).update(pending_children=1)
    assert names(admin_client.get(live(root, key(root), key(gone)))) == [root.name]
    assert names(admin_client.get(live(root))) == []


@pytest.mark.parametrize("small", [0, 2_000])
def test_live_brings_groups_that_have_come_up(admin_client, monkeypatch, small):
    monkeypatch.setattr(sources, "SMALL", small)
    root, children = parent(*["waiting"] * 25)
    Job.objects.filter(pk=children[3].pk).update(state="failed", finished_at=timezone.now())
    Job.objects.filter(pk=root.pk).update(pending_children=24)
    assert names(admin_client.get(live(root, key(root), key(root, "waiting")))) == [root.name, "1 failed", "24 waiting"]
    failed_only = live(root, key(root), key(root, "failed"), key(root, "waiting")) + "&view=failed"
    assert names(admin_client.get(failed_only)) == [root.name, "1 failed"]
    other, _ = parent(*["waiting"] * 25, name="other")
    assert names(admin_client.get(live(root, key(other, "waiting")))) == []


@pytest.mark.parametrize("small", [0, 2_000])
def test_live_says_what_emptied(admin_client, monkeypatch, small):
    monkeypatch.setattr(sources, "SMALL", small)
    root, _ = parent(*["completed"] * 25)
    keys = [key(root), key(root, "active"), key(root, "completed")]
    assert names(admin_client.get(live(root, *keys))) == [root.name, "0 active", "25 completed"]


def test_live_is_304_while_nothing_is_new(admin_client):
    root, [child] = parent("waiting")
    Job.objects.update(state="completed", finished_at=timezone.now(), pending_children=0)
    first = admin_client.get(live(root, key(root), key(child)))
    again = admin_client.get(live(root, key(root), key(child)), headers={"if-none-match": first["ETag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    Job.objects.filter(pk=child.pk).update(state="failed", failed_reason="boom")
    again = admin_client.get(live(root, key(root), key(child)), headers={"if-none-match": first["ETag"]})
    assert again.status_code == 200


def test_live_takes_only_so_many_keys(admin_client):
    root, _ = parent("waiting")
    keys = [key(root)] * 2 + [key_of(pk) for pk in new_ids(600)] + [key(root)]
    assert names(admin_client.get(live(root, *keys))) == [root.name] * 2
