"""The list of jobs goes from page to page by ids, whatever its filters, and says how many there are if it knows."""

import pytest
from django.core.cache import cache

from conveyor_django.admin import keyset
from conveyor_django.admin.jobs import JobAdmin
from conveyor_django.ids import new_ids
from conveyor_django.models import Job
from tests.factories import JobFactory
from tests.test_admin_actions import client_with

JOBS = "/admin/conveyor_django/job/"
NEWER = JOBS + "newer/"


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(JobAdmin, "list_per_page", 4)


def store(count, **fields):
    return Job.objects.bulk_create(
        Job(id=pk, root_id=pk, name="job", queue_name="q", **{"state": "waiting", **fields}) for pk in new_ids(count)
    )


def page(client, query):
    cl = client.get(JOBS + query).context["cl"]
    return [job.pk for job in cl.result_list], cl.strip


def walk(client, query, way):
    found, seen = [], set()
    while query:
        assert query not in seen
        seen.add(query)
        rows, strip = page(client, query)
        found.append(rows)
        query = getattr(strip, way)
    return found


@pytest.mark.parametrize("count", [0, 1, 4, 5, 8, 11])
def test_all_pages_have_each_job_once_both_ways(admin_client, small_pages, count):
    newest_first = [job.pk for job in store(count)][::-1]
    older = walk(admin_client, "?", "older")
    assert [pk for rows in older for pk in rows] == newest_first
    _, strip = page(admin_client, f"?before={newest_first[-1]}" if newest_first else "?")
    back = walk(admin_client, strip.newer, "newer") if strip.newer else []
    assert {pk for rows in back for pk in rows} == set(newest_first if back else [])
    for rows in back:
        assert rows == sorted(rows, reverse=True)


def test_pages_keep_the_filters(admin_client, small_pages):
    wanted = store(6, state="failed", finished_at="2026-01-01T00:00Z")
    store(6)
    pages = walk(admin_client, "?state__exact=failed", "older")
    assert [pk for rows in pages for pk in rows] == [job.pk for job in wanted][::-1]


def test_a_page_looks_no_further_than_it_may(admin_client, small_pages, monkeypatch):
    monkeypatch.setattr(keyset, "LOOK", 5)
    [job] = store(1, state="failed", finished_at="2026-01-01T00:00Z")
    store(12)
    rows, strip = page(admin_client, "?state__exact=failed")
    assert rows == []
    assert "There may be more behind" in strip.stopped()
    pages = walk(admin_client, "?state__exact=failed", "older")
    assert [pk for rows in pages for pk in rows] == [job.pk]
    assert len(pages) == 3


@pytest.mark.parametrize("query", ["?before=nonsense", "?after=", "?before=1&after=2", "?p=3", "?all="])
def test_what_is_no_page_leads_to_the_first_or_is_left_out(admin_client, query):
    JobFactory()
    answer = admin_client.get(JOBS + query, follow=True)
    assert answer.status_code == 200


def test_all_that_match_are_not_only_the_older_ones(small_pages):
    jobs = store(9, state="failed", finished_at="2026-01-01T00:00Z")
    post = {
        "action": "retry",
        "_selected_action": [str(jobs[0].pk)],
        "select_across": "1",
        "index": 0,
        "confirm": "yes",
    }
    client_with("view_job", "retry_job").post(f"{JOBS}?before={jobs[3].pk}", post)
    assert set(Job.objects.values_list("state", flat=True)) == {"waiting"}


def test_how_many_came_since(admin_client):
    [first] = store(1)
    assert admin_client.get(NEWER, {"after": first.pk}).json() == {"count": 0, "text": ""}
    store(2)
    store(1, state="failed", finished_at="2026-01-01T00:00Z")
    answer = admin_client.get(NEWER, {"after": first.pk, "state__exact": "waiting"})
    assert answer.json() == {"count": 2, "text": "2 newer"}
    again = admin_client.get(
        NEWER, {"after": first.pk, "state__exact": "waiting"}, headers={"if-none-match": answer["ETag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert client_with("view_queuestate").get(NEWER, {"after": first.pk}).status_code == 403


def test_chips_are_links_with_numbers(admin_client):
    store(2)
    store(1, state="failed", finished_at="2026-01-01T00:00Z")
    cache.clear()
    _, strip = page(admin_client, "?state__exact=failed&queue_name__exact=q")
    chips = {str(chip.label): chip for chip in strip.chips()}
    assert (chips["All"].number, chips["Waiting"].number, chips["Failed"].number) == ("3", "2", "1")
    assert [label for label, chip in chips.items() if chip.is_current] == ["Failed"]
    assert chips["All"].query == "?queue_name__exact=q"


def test_the_filter_that_is_too_narrow_is_named(admin_client):
    store(2)
    _, strip = page(admin_client, "?queue_name__exact=q&state__exact=failed")
    assert (strip.drop().label, strip.drop().query) == ("state", "?queue_name__exact=q")
