"""Time presets and the search in data: what they find, who may, and how far they look."""

from datetime import timedelta
from uuid import RFC_4122, UUID

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from conveyor_django.admin import filters, keyset, search
from conveyor_django.ids import first_id_at, new_ids
from tests.alike import emptied_after, store_alike
from tests.factories import JobFactory
from tests.plans import PRIMARY_KEY, capturing, plan_of
from tests.test_admin_actions import client_with
from tests.test_plans import STATISTICS

JOBS = "/admin/conveyor_django/job/"
LARGE_COLUMNS = ("data", "return_value", "progress", "stacktrace")


def rows(response):
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


def notes(response):
    return response.context["cl"].notes


def added(ago, **fields):
    """A job with the id, and the times, of one that was added so long ago."""
    then = timezone.now() - ago
    return JobFactory(id=first_id_at(then), created_at=then, **fields)


def store(ids, **fields):
    store_alike(ids, name="job", queue_name="default", state="waiting", **fields)


@pytest.mark.parametrize(
    ("preset", "minutes"), [("15min", 15), ("hour", 60), ("day", 24 * 60), ("week", 7 * 24 * 60), (None, None)]
)
def test_presets_of_when_jobs_were_added(admin_client, preset, minutes):
    old = added(timedelta(days=400))
    if preset is None:
        assert rows(admin_client.get(JOBS)) == [old]
        return
    before = added(timedelta(minutes=minutes, seconds=30))
    within = added(timedelta(minutes=minutes, seconds=-30))
    now = JobFactory()
    assert rows(admin_client.get(JOBS, {"added": preset})) == [now, within]
    assert before.pk < within.pk < now.pk


def test_presets_of_when_jobs_finished_ask_for_nothing_else(admin_client):
    long_ago, just_now = timezone.now() - timedelta(days=2), timezone.now()
    added(timedelta(days=31), state="completed", finished_at=long_ago)
    late = added(timedelta(days=30), name="late", state="failed", finished_at=just_now)
    JobFactory()  # unfinished
    assert rows(admin_client.get(JOBS, {"finished": "hour"})) == [late]
    assert rows(admin_client.get(JOBS, {"finished": "day", "added": "week"})) == []
    assert len(rows(admin_client.get(JOBS, {"finished": "week"}))) == 2


def test_recently_finished_jobs_are_looked_for_among_the_newest(admin_client, monkeypatch):
    finished = [JobFactory(state="completed") for _ in range(4)]
    monkeypatch.setattr(filters, "MAX_FINISHED", 3)
    response = admin_client.get(JOBS, {"finished": "hour"})
    assert rows(response) == finished[:0:-1]
    assert notes(response) == ["Finished ones were looked for among the 3 newest jobs."]
    assert "Finished ones were looked for among the 3 newest jobs." in response.content.decode()
    assert notes(admin_client.get(JOBS)) == []


@pytest.mark.parametrize("query", ["added=never", "finished=%27", "added=hour&finished=hour&q=data.a:1&level=all&p=1"])
def test_odd_presets_do_no_harm(admin_client, query):
    assert admin_client.get(f"{JOBS}?{query}").status_code == 200


def test_other_lookups_by_time_are_refused(admin_client):
    assert admin_client.get(f"{JOBS}?created_at__gte=2020-01-01").status_code == 400
    assert admin_client.get(f"{JOBS}?pk__gte={first_id_at(timezone.now())}").status_code == 400


TELLS_TYPES = pytest.mark.only_on("postgresql", "sqlite", reason="to MariaDB a number is equal to its text")
DATA = {
    "order_id": 42,
    "name": "Ann Ø",
    "paid": True,
    "open": False,
    "note": None,
    "price": 9.5,
    "customer": {"name": "Ann", "tags": ["new", "big"], "2fa": "on"},
    "with space": 1,
    "%s": "%s",
    "größe": "XL",
    "empty": "",
    "exact": "42",
    "quote": 'O\'Hara "x"',
}


@pytest.mark.parametrize(
    "term",
    [
        "data.order_id:42",
        " data.order_id: 42 ",
        "data.name:Ann Ø",
        'data.name:"Ann Ø"',
        "data.paid:true",
        "data.open:false",
        "data.note:null",
        "data.price:9.5",
        'data.customer.name:"Ann"',
        "data.customer.tags.1:big",
        "data.customer.2fa:on",
        "data.with space:1",
        "data.%s:%s",
        "data.größe:XL",
        "data.empty:",
        'data.exact:"42"',
        'data.quote:O\'Hara "x"',
    ],
)
def test_finds_values_in_data(admin_client, term):
    parent = JobFactory(state="waiting-children")
    wanted = JobFactory(data=DATA, parent=parent)
    JobFactory(data=dict.fromkeys(DATA, "else"))
    JobFactory(data=None)
    JobFactory(data=[42, "order_id"])
    assert rows(admin_client.get(JOBS, {"q": term})) == [wanted]


@pytest.mark.parametrize(
    "term",
    [
        "data.order_id:43",
        "data.order_id:4",
        pytest.param('data.order_id:"42"', marks=TELLS_TYPES),
        pytest.param("data.exact:42", marks=TELLS_TYPES),
        "data.note:false",
        "data.name:Ann",
        "data.name:ann ø",
        "data.customer:Ann",
        "data.gone:null",
        "data.name:%",
        "data.gone:42' OR '1'='1",
        "data.a') OR 1=1 --:42",
        "data.a' = '1' OR 'x:x",
        "data.order_id__isnull:false",
        "data.order_id__gte:0",
        "data._connector:OR",
    ],
)
def test_finds_no_other_values(admin_client, term):
    JobFactory(data=DATA)
    response = admin_client.get(JOBS, {"q": term})
    assert rows(response) == []
    assert "Looked for in the data" in notes(response)[0]


@pytest.mark.parametrize(
    "term",
    [
        "data.:1",
        "data.password:hunter2",
        "data.customer.api_key.id:1",
        "data..a:1",
        "data.a.:1",
        'data.a"b:1',
        "data.a\\b:1",
        "data.-1:1",
        "data.1_0:1",
        "data.٣:1",
        "data.1234567890:1",
        'data.a:"\\u0000"',
        'data.a:"\\ud800"',
        "data.a:[1]",
        'data.a:{"b": 1}',
        "data.a:1e999",
        "data.a:9223372036854775808",
        "data.a:" + "9" * 900,
        "data.a:" + "x" * 2_000,
        "data." + "a." * 40 + "a:1",
        "data." + "a" * 100_000 + ":1",
    ],
)
def test_odd_searches_in_data_are_refused(admin_client, term):
    JobFactory(data=DATA)
    response = admin_client.get(JOBS, {"q": term})
    assert rows(response) == []
    assert "can't be searched for" in notes(response)[0]


@pytest.mark.parametrize(
    "term",
    [
        "data.a:NaN",
        "data.a:-Infinity",
        "data.a:" + "[" * 900,
        "data.a:'",
        "data.a:%00",
        "x" * 100_000,
        "data.a",
        "data:1",
    ],
)
def test_other_odd_searches_find_nothing(admin_client, term):
    JobFactory(data=DATA)
    assert rows(admin_client.get(JOBS, {"q": term})) == []


def test_a_name_that_begins_like_a_path_is_found(admin_client):
    job = JobFactory(name="data.import")
    assert rows(admin_client.get(JOBS, {"q": "data.im"})) == [job]


def test_values_are_parameters(admin_client):
    evil = "x'); DROP TABLE conveyor_django_job; --"
    with capturing() as sent:
        admin_client.get(JOBS, {"q": f"data.{evil.replace('.', '')}:{evil}"})
    asked = [each for each in sent if any("DROP TABLE" in str(value) for value in each.params)]
    assert asked
    assert not any("DROP" in each.statement for each in sent)


def test_only_who_may_see_data_searches_in_it():
    job = JobFactory(data={"order_id": 42}, name="data.order_id:42")
    response = client_with("view_job").get(JOBS, {"q": "data.order_id:42"})
    assert rows(response) == []
    assert notes(response) == ["You may not search in the data."]
    assert rows(client_with("view_job", "view_payload").get(JOBS, {"q": "data.order_id:42"})) == [job]


def test_an_action_on_all_that_match_needs_the_same_permission():
    job = JobFactory(data={"pin": 1234}, state="failed")
    post = {"action": "retry", "_selected_action": [str(job.pk)], "select_across": "1", "index": 0, "confirm": "yes"}
    client_with("view_job", "retry_job").post(JOBS + "?q=data.pin:1234", post)
    job.refresh_from_db()
    assert job.state == "failed"
    client_with("view_job", "retry_job", "view_payload").post(JOBS + "?q=data.pin:1234", post)
    job.refresh_from_db()
    assert job.state == "waiting"


def test_data_is_read_of_the_newest_jobs_that_the_filters_leave(admin_client, monkeypatch):
    failed = [JobFactory(data={"a": 1}, state="failed") for _ in range(3)]
    for _ in range(5):
        JobFactory(data={"a": 1})
    monkeypatch.setattr(search, "MAX_READ", 2)
    response = admin_client.get(JOBS, {"q": "data.a:1", "state__exact": "failed"})
    assert rows(response) == failed[:0:-1]
    assert notes(response) == [
        "Looked for in the data of the 2 newest jobs that the filters leave of the 50,000 newest."
    ]


def test_data_are_looked_for_among_the_newest_of_all_where_no_index_finds_fewer(admin_client, monkeypatch):
    old = [JobFactory(data={"a": 1}, queue_name="rare", state=state) for state in ("failed", "waiting")]
    old.append(JobFactory(data={"a": 1}, queue_name="rare", parent=JobFactory(state="completed"), state="completed"))
    for _ in range(5):
        JobFactory(state="completed")
    monkeypatch.setattr(search, "LOOK", 5)
    found = {
        "queue_name__exact=rare": [],
        "state__exact=failed": [],
        "state__exact=waiting": [old[1]],
        f"root__exact={old[2].root_id}": [old[2]],
    }
    for query, expected in found.items():
        assert rows(admin_client.get(f"{JOBS}?q=data.a:1&level=all&{query}")) == expected


def test_the_list_is_not_asked_for_newer_ones_while_data_are_searched(admin_client):
    JobFactory(data={"a": 1})
    assert "cv-newer" in admin_client.get(JOBS).content.decode()
    assert 'id="cv-newer"' not in admin_client.get(JOBS, {"q": "data.a:1"}).content.decode()


def test_an_id_that_no_job_has_is_looked_for_as_a_name_is(admin_client, monkeypatch):
    unknown = str(new_ids(1)[0])
    old = [JobFactory(job_id=unknown), JobFactory()]
    for _ in range(5):
        JobFactory()
    monkeypatch.setattr(keyset, "LOOK", 3)
    assert rows(admin_client.get(JOBS, {"q": unknown})) == []
    assert rows(admin_client.get(JOBS, {"q": str(old[1].pk)})) == [old[1]]
    assert rows(admin_client.get(JOBS, {"q": unknown, "state__exact": "waiting"})) == old[:1]
    assert rows(admin_client.get(JOBS, {"q": str(old[1].pk), "state__exact": "failed"})) == []


@emptied_after
def test_queries_are_as_many_for_ten_thousand_jobs(admin_client, django_assert_max_num_queries):
    urls = [JOBS + query for query in ("?added=hour", "?finished=hour", "?q=data.order_id:42&added=day")]
    store(new_ids(10), data={"order_id": 42})
    admin_client.get(JOBS)  # the content types are cached from here
    counts = []
    for more in (1, 10_000, 5_000):
        store(new_ids(more), data={"order_id": 43})
        for url in urls:
            cache.clear()  # the numbers of the states are kept for some seconds
            with django_assert_max_num_queries(16) as queries:
                assert admin_client.get(url).status_code == 200
            counts.append(len(queries))
            read = [query["sql"].partition(" FROM ")[0] for query in queries if "short_reason" in query["sql"]]
            assert read
            for column in ("data", "return_value", "progress", "stacktrace"):
                assert not any(connection.ops.quote_name(column) in columns for columns in read)
    assert counts[3:6] == counts[6:]
    assert counts[:2] == counts[3:5]  # a search in data says besides how far it looked


@pytest.mark.django_db(transaction=True)  # MySQL's ANALYZE commits
@pytest.mark.parametrize("statistics", STATISTICS)
@pytest.mark.parametrize(
    ("level", "indexes"),
    [("all", {PRIMARY_KEY}), ("roots", {PRIMARY_KEY, "conveyor_job_parent"})],  # MariaDB's has no parent, then the id
)
def test_the_primary_key_finds_what_was_added_lately(admin_client, statistics, level, indexes):
    long_ago = first_id_at(timezone.now() - timedelta(days=400)).int
    store(UUID(int=long_ago + number) for number in range(5_000))
    store(new_ids(50))
    with connection.cursor() as cursor:
        for statement in STATISTICS[statistics]:
            cursor.execute(statement)
    cache.clear()
    with capturing() as sent:
        assert len(rows(admin_client.get(JOBS, {"added": "hour", "level": level}))) == 50
    found = [plan_of(each) for each in sent if " >= " in each.statement]
    assert len(found) == 7  # to count the newest, those of each state with an index, and to show
    indexes = {*indexes, *(f"conveyor_job_{state}" for state in ("waiting", "delayed", "active", "parents", "failed"))}
    for plan in found:
        assert plan.found_by, plan.shown
        assert {index.rstrip("*") for index in plan.found_by} <= indexes, plan.shown  # of one state: the whole index
        assert (plan.reads_all, plan.sorts) == ([], []), plan.shown


def test_the_first_id_of_a_moment_is_below_all_that_are_made_from_then_on():
    before = timezone.now()
    made = new_ids(2)
    assert first_id_at(before) < made[0]
    assert first_id_at(timezone.now() + timedelta(minutes=1)) > made[1]
    assert (first_id_at(before).version, first_id_at(before).variant) == (7, RFC_4122)
