"""A job's page: all of its row, its flow as a tree however large, and nothing unescaped."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone

from conveyor_django.admin import flow as flows
from conveyor_django.admin import job_page
from conveyor_django.models import Job, JobError, JobLog, QueueState
from tests.factories import JobFactory, WorkerProcessFactory
from tests.test_admin_actions import client_with

JOBS = "/admin/conveyor_django/job/"
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def page(admin_client):
    """Fetches the page of a job; its text is unescaped."""

    def get(job):
        response = admin_client.get(f"{JOBS}{job.pk}/change/")
        assert response.status_code == 200
        response.text_shown = unescape(response.content.decode())
        return response

    return get


def words(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.text_shown))


def nodes(response):
    return [row.job.pk for row in response.context["rows"]]


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
        ({"state": "waiting"}, "Waiting in queue default"),
        ({"state": "waiting", "queue_name": "pdf"}, "Waiting in queue pdf Queue paused"),
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
    assert re.search(rf'<a href="{JOBS}{child.pk}/change/">Through a child</a>', response.text_shown)
    assert "Why it failed Through a child no orders" in words(response)


def test_of_a_long_history_the_end_is_shown(page, monkeypatch):
    monkeypatch.setattr(job_page, "MAX_LINES", 3)
    monkeypatch.setattr(job_page, "MAX_ATTEMPTS", 2)
    job = JobFactory(state="failed", attempts_made=4)
    for number in range(1, 5):
        JobLog.objects.create(job=job, text=f"line {number}", created_at=timezone.now())
        JobError.objects.create(job=job, attempt=number, reason="boom", created_at=timezone.now())
    shown = words(page(job))
    assert "line 1" not in shown
    assert shown.index("line 2") < shown.index("line 4")
    assert "The last 3 lines." in shown
    assert "Attempt 2" not in shown
    assert "Earlier ones are not shown." in shown


def test_large_values_are_cut(page):
    job = JobFactory(state="completed", data={"text": "d" * 30_000}, return_value="r" * 19_000)
    shown = words(page(job)).replace("\xa0", " ")
    assert len(max(re.findall("d+", shown), key=len)) == 4 * 1024 - len('{\n  "text": "')
    assert "The first 4.0 KB of 29.3 KB." in shown
    assert "r" * 19_000 in shown


def test_a_flow_is_a_tree_in_declared_order(page):
    root = JobFactory(name="report", state="waiting-children", pending_children=2)
    fetch = JobFactory(name="fetch", state="waiting-children", parent=root)
    later = JobFactory(name="later", queue_name="pdf", parent=root)
    below = JobFactory(name="below", parent=fetch)
    for job in (root, fetch, later, below):
        response = page(job)
        assert nodes(response) == [root.pk, fetch.pk, below.pk, later.pk]
        rows = response.context["rows"]
        assert [row.level for row in rows] == [0, 1, 2, 1]
        assert [row.queue for row in rows] == ["default", "", "", "pdf"]
        assert [row.job.pk for row in rows if row.current] == [job.pk]
        html = response.content.decode()
        tree = html[html.index('<ul class="cv-tree">') :]
        tree = tree[: tree.index("</section>")]
        assert tree.count("<ul") == tree.count("</ul>") == 3
        assert tree.count("<li") == tree.count("</li>") == 4
        assert all(f"{JOBS}{node.pk}/change/" in tree for node in (root, fetch, later, below))
    assert "report › fetch › below" in " › ".join([step.name for _, step, _ in page(below).context["path"]] + ["below"])
    assert re.search(r"2 Waiting 2 Waiting-children", words(response))


def test_siblings_of_one_name_are_told_apart(page):
    root = JobFactory(state="waiting-children", pending_children=3)
    named = JobFactory(name="part", job_id="part-1", parent=root)
    twin = JobFactory(name="part", parent=root)
    single = JobFactory(name="other", parent=root)
    hints = {row.job.pk: row.hint for row in page(root).context["rows"]}
    assert hints == {root.pk: "", named.pk: "part-1", twin.pk: str(twin.pk)[-12:], single.pk: ""}


def test_a_job_without_a_flow_shows_none(page):
    assert "cv-flow" not in page(JobFactory()).text_shown


def test_the_page_costs_as_many_queries_for_a_small_flow_as_for_a_larger(page, django_assert_max_num_queries):
    small, large = chain(3), chain(60)
    page(small[0])
    counts = []
    for job in (small[1], large[30]):
        with django_assert_max_num_queries(15) as queries:
            page(job)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_of_a_wide_flow_the_first_and_the_job_itself_are_shown(page, django_assert_max_num_queries):
    root = JobFactory(state="waiting-children", pending_children=300)
    children = [JobFactory.build(name="part", parent=root) for _ in range(300)]
    Job.objects.bulk_create(children)
    page(root)
    with django_assert_max_num_queries(18):
        response = page(children[250])
    shown = nodes(response)
    assert len(shown) <= flows.MAX_ROWS
    assert shown[:3] == [root.pk, children[0].pk, children[1].pk]
    assert shown[-1] == children[250].pk
    assert f"{301 - len(shown)} more" in words(response)
    assert f"?root__exact={root.pk}" in response.text_shown


def test_a_flow_thousands_deep_is_shown_around_the_job(page):
    root = JobFactory.build(state="waiting-children")
    jobs = [root]
    while len(jobs) < 5_000:
        jobs.append(JobFactory.build(name=f"level-{len(jobs)}", state="waiting-children", parent=jobs[-1]))
    jobs.append(JobFactory.build(name="leaf", parent=jobs[-1]))
    Job.objects.bulk_create(jobs, batch_size=500)
    response = page(jobs[3_000])
    assert len(nodes(response)) <= flows.MAX_ROWS
    assert {jobs[0].pk, jobs[100].pk, jobs[2_999].pk, jobs[3_000].pk, jobs[3_001].pk} <= set(nodes(response))
    shown = words(response)
    assert "depth 3000" in shown
    assert "2993 levels" in shown
    assert f"{5_001 - len(nodes(response))} more" in shown
    assert response.text_shown.count("cv-indent-8") > 100
    assert response.text_shown.count("cv-gap") == 1
    assert page(jobs[0]).status_code == page(jobs[-1]).status_code == 200


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
