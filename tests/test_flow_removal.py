"""Removing jobs with their subtrees; to the parent above a removed child counts as resolved."""

import pytest

from conveyor_django import FlowProducer, transitions
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.models import Job, JobError, JobLog
from conveyor_django.outcomes import Completed, Report

from .helpers import (
    USING,
    WORKER,
    add,
    bring,
    fail,
    finish,
    job,
    meanwhile,
    node,
    report,
    report_of,
    start,
    states,
)

pytestmark = pytest.mark.django_db


def family(**opts):
    add(node("root", node("parent", node("a"), node("b"), **opts), node("c")))


def test_a_job_goes_with_its_whole_subtree_and_nothing_else():
    family()
    finish("a")
    fail("b")
    assert job("parent").state == "failed"
    job("parent").retry()
    job("parent").remove()
    assert states() == {"root": "waiting-children", "c": "waiting"}
    assert job("root").pending_children == 1


def test_a_root_takes_all():
    family()
    add(node("stranger"))
    job("root").remove()
    assert states() == {"stranger": "waiting"}


def test_logs_and_errors_go_too():
    add(node("job", attempts=2), node("other"))
    leased = start("job")
    report(WORKER, Report(leased.pk, leased.epoch, None, attempts_left=True, log_lines=["one", "two"]))
    fail("job")
    fail("other")
    assert (JobLog.objects.count(), JobError.objects.count()) == (2, 2)
    job("job").remove()
    assert JobLog.objects.count() == 0
    assert [error.job.name for error in JobError.objects.all()] == ["other"]


@pytest.mark.parametrize("how", ["delete", "queryset"])
def test_delete_is_remove(how):
    family()
    taken, by_model = job("parent").delete() if how == "delete" else Job.objects.filter(name="parent").delete()
    assert taken == 3
    assert by_model == {"conveyor_django.Job": 3}
    assert job("root").pending_children == 1


def test_delete_of_jobs_of_one_tree_at_once():
    family()
    assert Job.objects.filter(name__in=["a", "parent", "c"]).delete()[0] == 4
    assert states() == {"root": "waiting"}


@pytest.mark.parametrize("active", ["root", "parent", "a"])
@pytest.mark.parametrize("target", ["root", "parent", "a", "c"])
def test_remove_is_refused_while_something_in_the_subtree_is_active(target, active):
    family()
    names = ["a", "b", "parent", "c", "root"]
    for name in names[: names.index(active)]:
        finish(name)
    start(active)
    before = states()
    subtree = {"root": {"root", "parent", "a", "b", "c"}, "parent": {"parent", "a", "b"}}.get(target, {target})
    if active in subtree:
        with pytest.raises(InvalidJobState, match="active"):
            job(target).remove()
        assert states() == before
    else:
        job(target).remove()
        assert states() == {name: state for name, state in before.items() if name not in subtree}


def test_removal_of_several_is_all_or_nothing():
    add(node("a"), node("b"))
    start("b")
    with pytest.raises(InvalidJobState):
        Job.objects.all().delete()
    assert states() == {"a": "waiting", "b": "active"}


@pytest.mark.parametrize("policy", ["fail", "ignore", "remove"])
@pytest.mark.parametrize("state", ["waiting", "delayed"])
def test_a_removed_last_child_releases_the_parent(state, policy):
    add(node("parent", node("a"), node("b"), policy=policy))
    finish("b", 1)
    bring("a", state)
    job("a").remove()
    assert states() == {"parent": "waiting", "b": "completed"}
    assert list(job("parent").get_children_values().values()) == [1]
    assert job("parent").get_children_failures() == {}


def test_a_removed_child_with_children_releases_the_parent():
    add(node("root", node("parent", node("child"))))
    job("parent").remove()
    assert states() == {"root": "waiting"}


def test_a_parent_with_a_delay_is_released_into_it():
    add(node("parent", node("child"), delay=60))
    job("child").remove()
    assert states() == {"parent": "delayed"}


def test_a_parent_in_another_queue_is_released():
    add(node("parent", node("child", queue="children"), queue="parents"))
    job("child").remove()
    assert states() == {"parent": "waiting"}


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_a_removed_finished_child_changes_no_count(state):
    add(node("parent", node("child"), node("other"), policy="ignore"))
    bring("child", state)
    job("child").remove()
    assert states() == {"parent": "waiting-children", "other": "waiting"}
    assert job("parent").pending_children == 1


def test_a_failed_parent_stays_failed_without_the_child_that_failed_it():
    add(node("parent", node("child"), node("other")))
    fail("child")
    job("child").remove()
    assert states() == {"parent": "failed", "other": "waiting"}
    job("parent").retry()
    assert states()["parent"] == "waiting-children"


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled", "active"])
def test_an_unfinished_child_of_a_parent_past_waiting(state):
    add(node("parent", node("child")))
    finish("child")
    bring("parent", state)
    job("child").retry()
    job("child").remove()
    assert states() == {"parent": state}
    assert job("parent").pending_children == 0


def test_what_runs_when_it_is_removed_by_force_changes_nothing_later():
    add(node("parent", node("child"), node("other")))
    leased = start("child")
    assert transitions.remove(USING, [leased.pk], force=True) == 1
    assert report(WORKER, report_of(leased, Completed(1))) == [leased.pk]
    assert states() == {"parent": "waiting-children", "other": "waiting"}


def test_a_removal_that_meets_a_start_is_refused():
    add(node("parent", node("child")))
    target = job("parent")
    with (
        meanwhile(lambda: start("child"), "subtree_ids", [target.pk]),
        pytest.raises(InvalidJobState),
    ):
        target.remove()
    assert states() == {"parent": "waiting-children", "child": "active"}


def test_a_removed_job_is_gone():
    add(node("job"))
    target = job("job")
    target.remove()
    for verb in (target.remove, target.refresh_from_db, lambda: target.wait_until_finished(1)):
        with pytest.raises(Job.DoesNotExist):
            verb()
    with pytest.raises(Job.DoesNotExist):
        FlowProducer().get_flow(target.pk)
