"""How far a flow is, on a site's own pages: the right numbers for few queries, and nothing for strangers."""

import time
from datetime import timedelta
from types import SimpleNamespace
from unittest import mock
from uuid import uuid4

import pytest
from django.contrib import admin
from django.core import signing
from django.core.exceptions import ImproperlyConfigured
from django.template import Context, Template, TemplateSyntaxError
from django.test import modify_settings
from django.urls import include, path, reverse
from django.utils.html import format_html

from conveyor_django import progress
from conveyor_django.ids import new_ids
from conveyor_django.models import Job
from conveyor_django.progress import MAX_AGE, Progress, Stage, progress_of, read_token, token_of
from conveyor_django.states import JobState

from .factories import JobFactory
from .helpers import USING, add, fail, finish, job, node, start

urlpatterns = [path("admin/", admin.site.urls), path("conveyor/", include("conveyor_django.urls"))]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

SECRET = "s3cret"


def shown(text="{% flow_progress job %}", **context):
    return Template("{% load conveyor_django %}" + text).render(Context(context))


def address(root, using=USING):
    return reverse("conveyor_django:flow_progress", args=[token_of(using, root.pk)])


def family(**opts):
    """A root and its three children."""
    add(node("root", node("a"), node("b"), node("c"), data={"key": SECRET}, **opts))
    return job("root")


def many(count):
    """A flow of that many jobs, none of which has begun."""
    root, *children = new_ids(count)[::-1]
    fields = {"queue_name": "q", "name": "job", "root_id": root}
    waits = {"state": JobState.WAITING_CHILDREN, "pending_children": count - 1}
    jobs = [Job(id=root, **waits, **fields)]
    jobs += [Job(id=pk, state=JobState.WAITING, parent_id=root, depth=1, **fields) for pk in children]
    Job.objects.bulk_create(jobs, batch_size=500)
    return jobs[0]


# The numbers


def test_from_waiting_to_completed():
    root = family()
    seen = []

    def look():
        found = progress_of(USING, root.pk)
        seen.append((str(found.stage), found.done, found.percent))

    look()
    start("a")
    look()
    for name in ("a", "b", "c", "root"):
        finish(name)
        look()
    assert seen == [
        ("waiting", 0, 0),
        ("running", 0, 0),
        ("running", 1, 25),
        ("running", 2, 50),
        ("running", 3, 75),
        ("completed", 0, 100),
    ]


def test_a_failed_flow_counts_what_was_completed():
    root = family()
    finish("a")
    fail("b")
    assert progress_of(USING, root.pk) == Progress(Stage.FAILED, 1, 4)


def test_a_cancelled_flow_has_failed():
    root = family()
    root.cancel()
    assert progress_of(USING, root.pk) == Progress(Stage.FAILED, 0, 4)


def test_an_ignored_failure_is_a_step_that_is_done():
    root = family(policy="ignore")
    fail("a")
    assert progress_of(USING, root.pk) == Progress(Stage.RUNNING, 1, 4)


def test_a_removed_flow_is_gone():
    root = family()
    root.remove()
    assert progress_of(USING, root.pk) == Progress(Stage.GONE)


@pytest.mark.parametrize(("done", "total", "percent"), [(205, 214, 95), (999, 1000, 99), (4, 4, 99), (0, 0, 0)])
def test_per_cents_are_rounded_down_and_100_means_completed(done, total, percent):
    assert Progress(Stage.RUNNING, done, total).percent == percent


@pytest.mark.parametrize(("total", "seconds"), [(0, 2), (1, 2), (14_999, 2), (15_000, 3), (100_000, 20), (250_000, 30)])
def test_large_flows_are_looked_at_less_often(total, seconds):
    assert Progress(Stage.RUNNING, 0, total).interval == seconds


@pytest.mark.parametrize("count", [2, 1_000])
def test_two_queries_whatever_the_size(count, django_assert_num_queries):
    root = many(count)
    with django_assert_num_queries(2):
        assert progress_of(USING, root.pk) == Progress(Stage.WAITING, 0, count)
    with django_assert_num_queries(2):
        shown(job=root)


def test_a_large_flow_is_counted_once_for_all_who_look(django_assert_num_queries):
    root = family()
    with mock.patch.object(progress, "ROWS_A_SECOND", 1 / 5):  # then these are many
        first = progress_of(USING, root.pk)
        finish("a")
        with django_assert_num_queries(1):
            assert progress_of(USING, root.pk) == first
        root.cancel()
        assert progress_of(USING, root.pk) == Progress(Stage.FAILED, 1, 4)  # the last numbers aren't old ones


def test_a_completed_flow_is_not_counted(django_assert_num_queries):
    root = JobFactory(state="completed")
    with django_assert_num_queries(1):
        progress_of(USING, root.pk)


# The token


def test_a_token_names_one_flow():
    root = family()
    assert read_token(token_of(USING, root.pk)) == (USING, root.pk)


def test_only_tokens_of_ours_are_answered(client, settings):
    root = family()
    token = token_of(USING, root.pk)
    elsewhere = signing.dumps([USING, str(root.pk)], salt="another")
    assert client.get(f"/conveyor/progress/{token}/").status_code == 200
    for wrong in (str(root.pk), token[:-1], token + "A", f"x{token}", elsewhere, "x", "a:b:c"):
        assert client.get(f"/conveyor/progress/{wrong}/").status_code == 404, wrong
    settings.SECRET_KEY = "another"
    assert client.get(f"/conveyor/progress/{token}/").status_code == 404


def test_a_body_that_was_exchanged_is_no_token(client):
    mine, other = token_of(USING, family().pk), token_of(USING, uuid4())
    forged = other.split(":")[0] + ":" + mine.split(":", 1)[1]
    assert client.get(f"/conveyor/progress/{forged}/").status_code == 404


@pytest.mark.parametrize(("age", "status"), [(MAX_AGE - timedelta(minutes=1), 200), (MAX_AGE * 1.01, 404)])
def test_a_token_is_good_for_a_while(client, age, status):
    url = address(family())
    with mock.patch("django.core.signing.time.time", return_value=time.time() + age.total_seconds()):
        assert client.get(url).status_code == status


@pytest.mark.parametrize("value", [["gone", str(uuid4())], [USING, "no id"]])
def test_what_was_signed_and_leads_nowhere_is_not_found(client, value):
    token = signing.dumps(value, salt=progress.SALT)
    assert client.get(f"/conveyor/progress/{token}/").status_code == 404


# The answer


def test_it_says_how_far_and_nothing_else(client):
    root = family()
    fail("a", SECRET)
    response = client.get(address(root))
    assert response.json() == {"stage": "failed", "percent": "0", "done": "0", "total": "4", "interval": 2}
    assert response["Cache-Control"] == "private, no-cache"
    assert SECRET not in response.content.decode()


@modify_settings(MIDDLEWARE={"append": "django.contrib.auth.middleware.LoginRequiredMiddleware"})
def test_the_token_is_the_permission(client):
    url = address(family())
    assert client.get(url).status_code == 200
    assert client.head(url).status_code == 200
    assert client.post(url).status_code == 405


def test_what_has_not_changed_is_not_sent_again(client):
    root = family()
    first = client.get(address(root))
    again = client.get(address(root), headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    finish("a")
    changed = client.get(address(root), headers={"If-None-Match": first["ETag"]})
    assert changed.json()["percent"] == "25"


def test_a_removed_flow_is_told_as_gone(client):
    root = family()
    url = address(root)
    root.remove()
    assert client.get(url).status_code == 410


# The tag


@pytest.mark.parametrize(
    ("bring", "stage", "value"),
    [
        ([], "waiting", 0),
        ([(finish, "a")], "running", 25),
        ([(fail, "a")], "failed", 0),
        ([(finish, name) for name in ("a", "b", "c", "root")], "completed", 100),
    ],
)
def test_it_is_right_without_a_script(bring, stage, value):
    root = family()
    for step, name in bring:
        step(name)
    html = shown(job=root)
    assert f'data-stage="{stage}"' in html
    assert f'<progress max="100" value="{value}"' in html
    visible = [line for line in html.splitlines() if f'data-stages="{stage}"' in line]
    hidden = [line for line in html.splitlines() if "data-stages=" in line and stage not in line.split(">")[0]]
    assert visible
    assert not any(" hidden>" in line for line in visible)
    assert all(" hidden>" in line for line in hidden)


def test_a_child_shows_its_flow():
    family()
    finish("a")
    html = shown(job=job("a"))
    assert "1 of 4 steps done" in html
    assert "25 %" in html


def test_a_single_job_has_no_steps():
    assert " of 1 steps" not in shown(job=JobFactory(state="active"))


def test_no_job_is_no_bar():
    assert shown(job=None).strip() == shown().strip() == ""


def test_a_job_that_was_removed_is_gone():
    root = family()
    root.remove()
    root.pk = root.root_id
    assert 'data-stage="gone"' in shown(job=root)


def test_words_are_the_pages_and_escaped():
    text = """{% flow_progress job running=word url=url link="Open" steps='"{done}"/{total} {x} {done.y}' help_url="/h/"
        failed_note=note %}"""
    family()
    finish("a")
    note = format_html("<i>{}</i>", "safe")
    html = shown(text.replace("\n", ""), job=job("root"), word='<b>"Mine"', url="/report/?a=1&b=2", note=note)
    assert ">&lt;b&gt;&quot;Mine&quot;<" in html
    assert "<b>" not in html
    assert '<a href="/report/?a=1&amp;b=2">Open</a>' in html
    assert '<i>safe</i> <a href="/h/">Ask for help</a>' in html
    assert 'data-text="&quot;{done}&quot;/{total} {x} {done.y}"' in html
    assert ">&quot;1&quot;/4 {x} {done.y}<" in html


def test_it_holds_nothing_of_the_job_but_its_token():
    root = family()
    fail("a", SECRET)
    html = shown(job=root)
    for part in (SECRET, "root<", str(root.pk)):
        assert part not in html


def test_nothing_is_inline():
    html = shown(job=family())
    assert not [part for part in ("style=", "<style", "onload", "onclick", "javascript:") if part in html]
    assert html.count("<script ") == html.count("></script>") == 1


def test_a_nonce_is_used_where_there_is_one():
    root = family()
    assert "nonce" not in shown(job=root)
    assert shown(job=root, csp_nonce="n0").count('nonce="n0"') == 2
    assert shown(job=root, request=SimpleNamespace(csp_nonce="n1")).count('nonce="n1"') == 2


def test_a_word_that_is_unknown_is_an_error():
    with pytest.raises(TemplateSyntaxError, match="flow_progress has no runing; it has waiting, "):
        shown("{% flow_progress job runing='x' %}", job=family())


@pytest.mark.urls("tests.urls")
def test_urls_that_were_forgotten_are_told():
    with pytest.raises(ImproperlyConfigured, match=r'include\("conveyor_django.urls"\)'):
        shown(job=family())


# The way to the admin


def test_a_job_knows_its_page_in_the_admin(admin_client):
    root = family()
    assert admin_client.get(root.get_admin_url()).status_code == 200


@pytest.mark.urls("conveyor_django.urls")
def test_without_an_admin_there_is_no_such_page():
    assert family().get_admin_url() is None
