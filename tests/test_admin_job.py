"""A job's page: all of its row, its place in a flow however large, and nothing unescaped."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import urljoin

import pytest
from django.utils import timezone

from conveyor_django.admin import attempts, job_page, neighbours
from conveyor_django.models import Job, JobError, JobLog, QueueState
from tests.factories import JobFactory, WorkerProcessFactory
from tests.test_admin_actions import client_with

JOBS = "/admin/conveyor_django/job/"
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def page(admin_client):
    """Fetches the page of a job; its text is unescaped."""

    def get(job, query=""):
        response = admin_client.get(f"{JOBS}{job.pk}/change/{query}")
        assert response.status_code == 200
        response.text_shown = unescape(response.content.decode())
        return response

    return get


def words(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.text_shown))


def chain(length):
    """A root and below it a line of jobs; returned from the top."""
    jobs = [JobFactory(name="level-0", state="waiting-children")]
    while len(jobs) < length:
        last = len(jobs) == length - 1
        jobs.append(
            JobFactory(name=f"level-{len(jobs)}", state="waiting" if last else "waiting-children", parent=jobs[-1])
        )
    return jobs


def test_shows_the_row(page):
    worker = WorkerProcessFactory(host="reports-1", pid=4711)
    job = JobFactory(
        name="send-report",
        queue_name="reports",
        state="active",
        worker=worker.pk,
        data={"name": "Äpfel"},
        progress={"done": 64},
        backoff={"type": "exponential", "delay": 5, "max_delay": 86400, "jitter": 0.0},
        timeout=60,
        max_attempts=3,
        job_id="monthly",
    )
    shown = words(page(job))
    for part in (
        "s, attempt 1 of 3, in queue reports",
        '{ "name": "Äpfel" }',
        '"done": 64',
        "exponential from 5 s",
        "Timeout 1 min 0 s",
        "Worker reports-1:4711",
        "Stalls 0 of 1",
        f"Id {job.pk}",
        "job_id monthly",
        "None yet. It is written when the job completes.",
    ):
        assert part in shown, part


@pytest.mark.parametrize(("value", "shown"), [(None, "null"), (0, "0"), ("", '""'), ([1], "[ 1 ]"), (False, "false")])
def test_shows_a_result_of_any_kind(page, value, shown):
    assert re.search(
        rf"Result \S+ bytes? {re.escape(shown)} ", words(page(JobFactory(state="completed", return_value=value)))
    )


@pytest.mark.parametrize(
    ("fields", "headline"),
    [
        ({"state": "waiting"}, "Waiting added "),
        ({"state": "waiting", "queue_name": "pdf"}, "What it waits for Queue pdf is paused"),
        ({"state": "delayed"}, "Delayed until "),
        ({"state": "completed"}, "Completed ran "),
        ({"state": "cancelled"}, "Cancelled in queue default"),
    ],
)
def test_the_headline_says_what_matters_in_a_state(page, fields, headline):
    QueueState.objects.create(queue_name="pdf", paused_at=timezone.now())
    assert headline in words(page(JobFactory(**fields)))


def test_a_failure_shows_reason_traceback_attempts_and_log(page):
    now = timezone.now()
    job = JobFactory(state="failed", failed_reason="KeyError: 'iban'", stacktrace="Traceback, the last")
    for number, stacktrace in enumerate(["Traceback, the first", "Traceback, the last"], 1):
        reason = f"KeyError: number {number}"
        started = now - timedelta(seconds=30)
        JobError.objects.create(
            job=job, attempt=number, reason=reason, stacktrace=stacktrace, started_at=started, created_at=now
        )
    JobLog.objects.create(job=job, text="34 lines", created_at=now)
    response = page(job)
    shown = words(response)
    for part in ("Why it failed KeyError: 'iban'", "Attempt 1", "Traceback, the first", "30 s", "34 lines"):
        assert part in shown
    assert shown.count("Traceback, the last") == 1  # the newest attempt shows it
    assert shown.index("Attempt 2") < shown.index("Attempt 1")


def test_a_traceback_without_an_attempt_is_shown_too(page):
    assert "Traceback, lone" in words(page(JobFactory(state="failed", stacktrace="Traceback, lone")))


def test_a_failure_through_a_child_leads_there(page):
    parent = JobFactory(state="failed")
    child = JobFactory(state="failed", parent=parent)
    Job.objects.filter(pk=parent.pk).update(failed_by=child.pk, failed_reason=f"child {child.pk} failed: no orders")
    response = page(parent)
    assert re.search(rf'Through a child: <a href="{JOBS}{child.pk}/change/">{child.name}</a>', response.text_shown)
    assert f"Why it failed Through a child: {child.name} no orders" in words(response)


def test_of_a_long_history_the_end_is_shown(page, monkeypatch):
    monkeypatch.setattr(job_page, "MAX_LINES", 3)
    monkeypatch.setattr(attempts, "MAX_ATTEMPTS", 2)
    job = JobFactory(state="failed", attempts_made=4)
    for number in range(1, 5):
        JobLog.objects.create(job=job, text=f"line {number}", created_at=timezone.now())
        JobError.objects.create(job=job, attempt=number, reason="boom", created_at=timezone.now())
    response = page(job)
    shown = words(response)
    assert "line 1" not in shown
    assert shown.index("line 2") < shown.index("line 4")
    assert "The last 3 lines." in shown
    assert "Attempt 2" not in shown
    assert "Earlier ones are not shown." in shown
    earlier = re.search(r'"(\?log=\d+)#cv-log">Earlier', response.text_shown)[1]
    shown = words(page(job, earlier))
    assert "line 1" in shown
    assert "line 2" not in shown
    assert "Earlier" not in shown.replace("Earlier ones", "")
    for odd in ("?log=x", "?log=-1", "?log=" + "9" * 40):
        assert "line 4" in words(page(job, odd))


def test_large_values_are_cut(page):
    job = JobFactory(state="completed", data={"text": "d" * 30_000}, return_value="r" * 19_000)
    shown = words(page(job)).replace("\xa0", " ")
    assert len(max(re.findall("d+", shown), key=len)) == 4 * 1024 - len('{\n  "text": "')
    assert "The first 4.0 KB of 29.3 KB." in shown
    assert "r" * 19_000 in shown


def test_a_large_value_is_downloaded_whole_and_without_secrets(page, admin_client):
    job = JobFactory(data={"text": "d" * 30_000, "password": "hunter2"})
    url = re.search(r'href="([^"]*)">Download', page(job).text_shown)[1]
    response = admin_client.get(urljoin(f"{JOBS}{job.pk}/change/", url))
    assert response["Content-Disposition"] == f'attachment; filename="{job.pk}-data.json"'
    assert response.json() == {"text": "d" * 30_000, "password": "***"}
    for user in (client_with("view_job"), client_with("view_payload")):
        assert user.get(f"{JOBS}{job.pk}/data.json").status_code == 403
    assert admin_client.post(f"{JOBS}{job.pk}/data.json").status_code == 405
    assert admin_client.get(f"{JOBS}{JobFactory.build().pk}/data.json").status_code == 404


def test_attempts_that_went_well_or_run_are_shown_as_well(page):
    done = JobFactory(state="completed", attempts_made=2)
    JobError.objects.create(job=done, attempt=1, reason="boom", created_at=timezone.now())
    shown = words(page(done))
    assert shown.index("Attempt 2 It completed.") < shown.index("Attempt 1 boom")
    worker = WorkerProcessFactory(host="reports-1", pid=4711)
    shown = words(page(JobFactory(state="active", worker=worker.pk, progress=64)))
    assert "Attempt 1 It runs. reports-1:4711" in shown
    assert "Runs on worker reports-1:4711 for" in shown
    assert "64 % done" in shown


def test_says_where_in_its_flow_a_job_stands(page):
    root = JobFactory(name="report", state="waiting-children")
    middle = JobFactory(name="collect", state="waiting-children", pending_children=3, parent=root)
    first, second, third = [JobFactory(name=f"part-{n}", parent=middle) for n in range(3)]
    response = page(second)
    assert "report › collect › part-1" in " › ".join(
        [*(step.name for _, step, _ in response.context["path"]), "part-1"]
    )
    assert "part-1 2 of 3 Previous Next Whole flow" in words(response)
    assert f'href="{JOBS}{first.pk}/change/" rel="prev"' in response.text_shown
    assert f'href="{JOBS}{third.pk}/change/" rel="next"' in response.text_shown
    assert "1 of 3 Next Whole flow" in words(page(first))
    assert "3 of 3 Previous Whole flow" in words(page(third))
    assert "Whole flow" in words(page(root))
    assert "Whole flow" not in words(page(JobFactory()))


def test_a_place_is_counted_within_a_bound(page, monkeypatch):
    monkeypatch.setattr(neighbours, "MAX_COUNT", 3)
    root = JobFactory(state="waiting-children", pending_children=5)
    children = [JobFactory(name=f"part-{n}", parent=root) for n in range(5)]
    assert "part-2 3 of 3+ Previous" in words(page(children[2]))
    assert "part-3 Previous" in words(page(children[3]))


def test_the_path_to_a_job_thousands_of_levels_down(page):
    jobs = [JobFactory.build(name="top", state="waiting-children")]
    while len(jobs) < 2_999:
        jobs.append(JobFactory.build(name=f"level-{len(jobs)}", state="waiting-children", parent=jobs[-1]))
    jobs.append(JobFactory.build(name="leaf", parent=jobs[-1]))
    Job.objects.bulk_create(jobs, batch_size=500)
    response = page(jobs[-1])
    path = [step.name for _, step, _ in response.context["path"]]
    assert path == ["top", *(f"level-{n}" for n in range(2_993, 2_999))]
    assert "top 2992 levels" in words(response)


def test_as_many_queries_for_a_small_flow_as_for_a_larger(page, django_assert_max_num_queries):
    small, large = chain(3), chain(9)
    Job.objects.bulk_create(JobFactory.build(state="completed", parent=large[7]) for _ in range(1_000))
    page(small[0])
    counts = []
    for job in (small[2], large[8]):
        with django_assert_max_num_queries(27) as queries:
            page(job)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_nothing_on_the_page_is_unescaped(page):
    root = JobFactory(name=EVIL + "a", queue_name=EVIL + "b", state="failed", failed_reason=EVIL + "c")
    job = JobFactory(
        name=EVIL + "d",
        queue_name=EVIL + "e",
        job_id=EVIL + "f",
        state="failed",
        failed_reason=EVIL + "g",
        stacktrace=EVIL + "h",
        data={EVIL + "i": "</pre>" + EVIL + "j"},
        progress=EVIL + "k",
        backoff={"type": EVIL + "l", "delay": 1},
        parent=root,
    )
    done = JobFactory(state="completed", return_value=EVIL + "m", parent=root)
    JobError.objects.create(job=job, attempt=1, reason=EVIL + "n", stacktrace=EVIL + "o", created_at=timezone.now())
    JobLog.objects.create(job=job, text=EVIL + "p", created_at=timezone.now())
    html = "".join(page(shown).content.decode() for shown in (root, job, done))
    assert EVIL not in html
    for mark in "abcdefghijklmnop":
        assert f"&lt;script&gt;alert(1)&lt;/script&gt;{mark}" in html, mark
    assert "style=" not in html
    assert "<style" not in html


def test_data_and_results_are_shown_to_those_who_may_see_them():
    data, result = {"order_id": 4711}, "paid by Ann"
    job = JobFactory(state="completed", data=data, return_value=result)
    html = client_with("view_job").get(f"{JOBS}{job.pk}/change/").content.decode()
    assert "4711" not in html
    assert "paid by Ann" not in html
    assert "You may not see the data." in html
    assert "You may not see the result." in html
    html = client_with("view_job", "view_payload").get(f"{JOBS}{job.pk}/change/").content.decode()
    assert "4711" in html
    assert "paid by Ann" in html
    assert "You may not" not in html


@pytest.mark.parametrize("pk", ["00000000-0000-0000-0000-000000000000", "nonsense", "1"])
def test_an_id_of_no_job_leads_back_to_the_list(admin_client, pk):
    response = admin_client.get(f"{JOBS}{pk}/change/", follow=True)
    assert response.redirect_chain[-1] == (JOBS, 302)
    assert "does not exist" in response.content.decode()


def test_what_an_open_page_asks_for_and_is_gone_leaves_no_message(admin_client):
    gone = f"{JOBS}01a222f4-9acc-7bed-9d12-a399540003e8/change/"
    assert admin_client.get(gone, headers={"x-conveyor-live": "yes"}).status_code == 404
    assert "does not exist" not in admin_client.get(JOBS).content.decode()
    assert "does not exist" in admin_client.get(gone, follow=True).content.decode()


def test_the_link_to_earlier_lines_has_a_plain_number(admin_client, settings):
    settings.USE_THOUSAND_SEPARATOR = True
    job = JobFactory()
    lines = [JobLog(pk=100_000 + n, job=job, text=f"line {n}", created_at=timezone.now()) for n in range(300)]
    JobLog.objects.bulk_create(lines)
    html = admin_client.get(f"{JOBS}{job.pk}/change/").content.decode()
    assert re.search(r"\?log=(\S+?)#", html)[1] == "100100"
