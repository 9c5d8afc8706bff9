"""The export of the list: what is in it and for whom, that it can't act, and that it is never held whole."""

import csv
import io
import json
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conveyor_django.admin import export
from conveyor_django.ids import new_ids
from conveyor_django.models import Job
from tests.alike import emptied_after, store_alike
from tests.factories import JobFactory
from tests.test_admin_actions import client_with

JOBS = "/admin/conveyor_django/job/"
LEAN = ["data", "return_value"]


def sent(response):
    assert response.status_code == 200
    assert response.streaming
    return b"".join(response).decode()


def exported(client, kind, query=""):
    """Records, whatever the format."""
    text = sent(client.get(f"{JOBS}export/{kind}/{query}"))
    return json.loads(text) if kind == "json" else list(csv.DictReader(io.StringIO(text, newline="")))


def ids(records):
    return [record["id"] for record in records]


def own_queries(queries):
    return [query["sql"] for query in queries if "short_reason" in query["sql"]]


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_holds_what_the_list_shows_with_the_same_filters(admin_client, kind):
    root = JobFactory()
    child = JobFactory(state="failed", parent=root, queue_name="pdf")
    old = JobFactory(state="failed", queue_name="pdf", finished_at=timezone.now() - timedelta(days=2), data={"a": 1})
    assert ids(exported(admin_client, kind)) == [str(old.pk), str(root.pk)]
    assert ids(exported(admin_client, kind, "?level=all")) == [str(job.pk) for job in (old, child, root)]
    for query in ("?level=all&state__exact=failed&finished=hour", f"?root__exact={root.pk}&queue_name__exact=pdf"):
        assert ids(exported(admin_client, kind, query)) == [str(child.pk)]
    for query in ("?q=data.a:1", f"?q={old.pk}", f"?q={old.name}"):
        assert ids(exported(admin_client, kind, query)) == [str(old.pk)]


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_the_links_keep_the_filter(admin_client, kind):
    response = admin_client.get(JOBS + "?q=%22%3E%3Cb%3E&level=all&state__exact=failed&p=1")
    link = f'href="export/{kind}/?level=all&amp;q=%22%3E%3Cb%3E&amp;state__exact=failed"'
    assert link in response.content.decode()


def test_a_record_of_each_format(admin_client):
    reason = "KeyError at redis://user:hunter2@cache"
    data = {"order_id": 42, "password": "hunter2", "note": "Ø"}
    job = JobFactory(name="send", state="failed", job_id="no-1", failed_reason=reason, data=data, max_attempts=3)
    [record] = exported(admin_client, "json")
    assert list(record) == [*export._FIELDS, "failed_reason", "data", "return_value"]
    assert record | {"created_at": "", "started_at": "", "finished_at": ""} == {
        "id": str(job.pk),
        "name": "send",
        "job_id": "no-1",
        "queue_name": "default",
        "state": "failed",
        "parent_id": None,
        "root_id": str(job.pk),
        "depth": 0,
        "priority": 0,
        "attempts_made": 1,
        "max_attempts": 3,
        "created_at": "",
        "run_at": None,
        "started_at": "",
        "finished_at": "",
        "failed_reason": "KeyError at redis://***@cache",
        "data": {"order_id": 42, "password": "***", "note": "Ø"},
        "return_value": None,
    }
    [row] = exported(admin_client, "csv")
    assert list(row) == list(record)
    assert (row["id"], row["job_id"], row["parent_id"]) == (str(job.pk), "no-1", "")
    assert row["finished_at"] == job.finished_at.isoformat()
    assert json.loads(row["data"]) == record["data"]


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_without_the_permission_data_and_results_are_neither_sent_nor_read(kind):
    JobFactory(data={"order_id": 42}, state="completed", return_value="paid")
    client = client_with("view_job")
    with CaptureQueriesContext(connection) as queries:
        text = sent(client.get(f"{JOBS}export/{kind}/"))
    for word in ("order_id", "paid", "return_value", '"data"'):
        assert word not in text
    for column in LEAN:
        assert not any(connection.ops.quote_name(column) in sql for sql in own_queries(queries))
    assert "order_id" in sent(client_with("view_job", "view_payload").get(f"{JOBS}export/{kind}/"))


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_who_may_not_see_jobs_may_not_export_them(client, kind):
    url = f"{JOBS}export/{kind}/"
    assert client.get(url).status_code == 302  # to the login
    assert client_with("view_payload").get(url).status_code == 403
    assert client_with("view_job").post(url).status_code == 405


def test_there_are_no_other_formats(admin_client):
    assert admin_client.get(JOBS + "export/xls/", follow=True).redirect_chain[-1][0] == JOBS


@pytest.mark.parametrize("query", ["?data__a=1", "?state__exact=%00", "?created_at__gte=x"])
def test_other_lookups_are_refused(admin_client, query):
    assert admin_client.get(f"{JOBS}export/csv/{query}").status_code == 400


@pytest.mark.parametrize("query", ["?root__exact=x", "?p=99999", "?p=x"])
def test_odd_urls_do_no_harm(admin_client, query):
    JobFactory()
    assert admin_client.get(f"{JOBS}export/csv/{query}", follow=True).status_code == 200


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_an_export_of_nothing_is_whole(admin_client, kind):
    text = sent(admin_client.get(f"{JOBS}export/{kind}/"))
    assert (text.startswith("id,name,") and text.count("\n") == 1) if kind == "csv" else json.loads(text) == []


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1+1", "\uff1d1+1", "\uff20x"])
def test_no_cell_is_a_formula(admin_client, text):
    JobFactory(name=text, job_id=text, queue_name=text, state="failed", failed_reason=text, data=text)
    [row] = exported(admin_client, "csv")
    for column in ("name", "job_id", "queue_name", "failed_reason"):
        assert row[column].lstrip() in (f"'{text}", f"'{text.strip()}"), column
    assert row["data"] == json.dumps(text)
    [record] = exported(admin_client, "json")
    assert record["name"] == text


@pytest.mark.parametrize("start", ["\t", "\n", "\r\n"])
def test_no_cell_begins_with_what_a_spreadsheet_skips(start):
    assert export._cell("failed_reason", f"{start}=1+1") == f"'{start}=1+1"


def test_cells_are_told_apart_whatever_is_in_them(admin_client):
    text = 'a,"b"\r\n;c\x1b[31m\u202ed'
    JobFactory(state="failed", failed_reason=f"x {text}", data={text: text})
    raw = sent(admin_client.get(JOBS + "export/csv/"))
    [row] = csv.DictReader(io.StringIO(raw, newline=""))
    assert row["failed_reason"] == 'x a,"b"\r\n;c\\x1b[31m\\u202ed'
    assert "\x1b" not in raw
    assert "\u202e" not in raw
    assert sent(admin_client.get(JOBS + "export/json/")).isascii()


@pytest.mark.parametrize("kind", ["csv", "json"])
@pytest.mark.parametrize("size", [3, 5, 100])
def test_rows_are_read_while_they_are_sent(admin_client, monkeypatch, kind, size):
    monkeypatch.setattr(export, "CHUNK_WITH_PAYLOAD", size)
    jobs = [JobFactory() for _ in range(10)]
    with CaptureQueriesContext(connection) as queries:
        response = admin_client.get(f"{JOBS}export/{kind}/")
        before = len(own_queries(queries))
        parts = iter(response)
        text = b"".join(next(parts) for _ in range(2 if kind == "csv" else 1)).decode()
        read = own_queries(queries)[before:]
        assert len(read) == 1
        assert str(jobs[-1].pk) in text
        assert (str(jobs[0].pk) in text) == (size > 10)
        JobFactory()  # one that comes meanwhile
        Job.objects.filter(pk=jobs[0].pk).delete() if size < 10 else None
        text += b"".join(parts).decode()
        read = own_queries(queries)[before:]
    assert len(read) == {3: 4, 5: 2, 100: 1}[size]
    assert all(f"LIMIT {size}" in sql and "OFFSET" not in sql for sql in read)
    left = jobs[1:] if size < 10 else jobs
    records = json.loads(text) if kind == "json" else list(csv.DictReader(io.StringIO(text, newline="")))
    assert ids(records) == [str(job.pk) for job in reversed(left)]


@emptied_after
def test_ten_thousand_jobs_are_ten_queries_and_never_held_together():
    store_alike(new_ids(10_000), name="job", queue_name="default", state="waiting")
    with CaptureQueriesContext(connection) as queries:
        response = client_with("view_job").get(JOBS + "export/json/")
        before = len(own_queries(queries))
        parts = list(response)
    assert len(own_queries(queries)) - before == 11  # one more finds that there are no others
    assert len(parts) == 11
    assert max(map(len, parts)) < sum(map(len, parts)) / 9
    assert len(json.loads(b"".join(parts))) == 10_000


@pytest.mark.django_db(transaction=True)
def test_an_asgi_server_is_sent_chunks_too(monkeypatch):
    monkeypatch.setattr(export, "CHUNK_WITH_PAYLOAD", 2)
    jobs = [JobFactory() for _ in range(5)]
    user = User.objects.create_superuser("mara")

    async def fetch():
        client = AsyncClient()
        await client.aforce_login(user)
        response = await client.get(JOBS + "export/json/")
        assert response.is_async
        return [part async for part in response]

    parts = async_to_sync(fetch)()
    assert len(parts) == 4
    assert ids(json.loads(b"".join(parts))) == [str(job.pk) for job in reversed(jobs)]
