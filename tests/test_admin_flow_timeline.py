"""The bars of a flow's timeline: what a job waited for and when it ran, on one axis, whatever the clocks say."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from conveyor_django.admin.flow.nodes import Group, Node, group_of
from conveyor_django.admin.flow.timeline import Axis, group_shapes, job_shapes, parent_shapes
from conveyor_django.ids import new_id

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def at(seconds):
    return START + timedelta(seconds=seconds)


def axis(end=100, *, is_running=False):
    return Axis(START, at(end), is_running)


def node(state, *, started=None, finished=None, failed_by=None, created=0):
    moments = (at(created), None if started is None else at(started), None if finished is None else at(finished))
    return Node(new_id(), None, 1, state, *moments, failed_by)


def spans(shapes):
    """Kind, begin and end of each in seconds of an axis of 100: its last tenth is free."""
    return [
        (shape.kind, round(1.1 * float(shape.x[:-1])), round(1.1 * (float(shape.x[:-1]) + float(shape.width[:-1]))))
        for shape in shapes
        if shape.width and float(shape.width[:-1]) > 0.3
    ]


@pytest.mark.parametrize(
    ("job", "attempts", "run_at", "drawn"),
    [
        (node("waiting"), [], None, [("cv-pale", 0, 100)]),
        (node("delayed"), [], 150, [("cv-pale-delayed", 0, 100)]),
        (node("waiting"), [], 40, [("cv-pale-delayed", 0, 40), ("cv-pale", 40, 100)]),
        (node("active", started=60), [], None, [("cv-pale", 0, 60), ("cv-active", 60, 100)]),
        (node("completed", started=60, finished=80), [], None, [("cv-pale", 0, 60), ("cv-completed", 60, 80)]),
        (node("cancelled", finished=50), [], None, [("cv-pale", 0, 50)]),
        (
            node("completed", started=60, finished=80),
            [(20, 30)],
            None,
            [("cv-pale", 0, 20), ("cv-failed", 20, 30), ("cv-pale-delayed", 30, 60), ("cv-completed", 60, 80)],
        ),
        (  # the last attempt failed: it is among the attempts
            node("failed", started=60, finished=80),
            [(20, 30), (60, 80)],
            None,
            [("cv-pale", 0, 20), ("cv-failed", 20, 30), ("cv-pale-delayed", 30, 60), ("cv-failed", 60, 80)],
        ),
        (
            node("delayed", started=20),
            [(20, 30)],
            150,
            [("cv-pale", 0, 20), ("cv-failed", 20, 30), ("cv-pale-delayed", 30, 100)],
        ),
    ],
)
def test_a_job(job, attempts, run_at, drawn):
    failed = [(at(start), at(end)) for start, end in attempts]
    shapes = job_shapes(axis(is_running=True), job, failed, None if run_at is None else at(run_at))
    assert spans(shapes) == drawn


def test_what_ran_is_always_seen():
    [_, ran] = job_shapes(axis(), node("completed", started=50, finished=50), [], None)
    assert float(ran.width[:-1]) >= 0.45


def test_a_parent_waits_for_children_then_runs():
    shapes = parent_shapes(axis(), node("completed", started=80, finished=90), [])
    assert spans(shapes) == [("cv-waiting-children", 0, 80), ("cv-completed", 80, 90)]


def test_a_parent_that_failed_through_a_child_ends_in_the_sign():
    shapes = parent_shapes(axis(), node("failed", finished=50, failed_by=new_id()), [])
    assert shapes[-1].kind == "end-failed"
    assert spans(shapes) == [("cv-waiting-children", 0, 50)]


def test_clocks_that_differ_leave_nothing_outside():
    early = node("completed", started=-50, finished=-40)
    late = node("completed", started=150, finished=140)
    for job in (early, late):
        for shape in job_shapes(axis(), job, [], None):
            assert float(shape.x[:-1]) >= 0
            assert float(shape.x[:-1]) + float(shape.width[:-1]) <= 100.01


def test_a_flow_without_length():
    flat = Axis(START, START, is_running=False)
    assert job_shapes(flat, node("completed", started=0, finished=0), [], None)
    assert flat.marks() == [] or len(flat.marks()) == 1
    assert len(flat.lines()) <= 1


@pytest.mark.parametrize("seconds", [1, 7, 59, 61, 872, 3_600, 20_000, 86_400, 400_000, 40_000_000])
def test_an_axis_has_few_labels_that_do_not_meet(seconds):
    places = [float(mark.x[:-1]) for mark in axis(seconds, is_running=True).marks()]
    assert len(places) <= 5
    assert all(later - earlier > 12 for earlier, later in zip(places, places[1:], strict=False))
    assert len(axis(seconds).lines()) <= 12


def test_labels_are_in_the_time_zone_of_the_site():
    with timezone.override("Asia/Kolkata"):
        labels = [mark.label for mark in axis(3_600).marks()]
    assert labels[0] in ("14:30", "14:40")


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25", "2026-07-01"])  # clocks go ahead, back, on
def test_labels_are_as_many_on_days_when_clocks_change(day):
    zone = ZoneInfo("Europe/Berlin")
    for hour in (0, 1, 3, 9):
        start = datetime.fromisoformat(f"{day} 0{hour}:02:00").replace(tzinfo=zone).astimezone(UTC)
        with timezone.override(zone):
            marks = Axis(start, start + timedelta(minutes=10), is_running=True).marks()
        assert [mark.label[-1] for mark in marks] == ["3", "6", "9"]
        assert [float(mark.x[:-1]) for mark in marks] == pytest.approx([9.09, 36.36, 63.64], abs=0.1)


def test_groups():
    parent = new_id()
    many = group_of(parent, "completed", [node("completed", started=n, finished=n + 1) for n in range(60)])
    columns = group_shapes(axis(), many, START)
    assert len(columns) > 30
    assert max(int(shape.height) for shape in columns) == 16
    few = group_of(parent, "completed", [node("completed", started=10, finished=20 + n) for n in range(4)])
    assert spans(group_shapes(axis(), few, START)) == [("cv-completed", 10, 23)]
    failed = group_of(parent, "failed", [node("failed", started=1, finished=end) for end in (10, 50, 50)])
    assert len(group_shapes(axis(), failed, START)) == 2  # one tick where two would be
    assert spans(group_shapes(axis(), Group(parent, "waiting", 3), START)) == [("cv-pale", 0, 100)]
