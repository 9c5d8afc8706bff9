"""Signals: sent after the commit, about what was committed, and without a say in it."""

from contextlib import contextmanager

import pytest
from django.db import transaction
from django.dispatch import Signal

from conveyor_django import FlowProducer, Queue, signals, transitions
from conveyor_django.engines import get_engine
from conveyor_django.exceptions import DuplicateJob, InvalidNode
from conveyor_django.models import Job
from conveyor_django.transitions.news import News

from .helpers import USING, add, fail, finish, ids, job, node, start, states

pytestmark = pytest.mark.django_db(transaction=True)

ALL = {name: signal for name, signal in vars(signals).items() if isinstance(signal, Signal)}


@contextmanager
def heard():
    """What the receivers of all signals are told: (signal, names of the jobs, queue)."""
    told = []

    def receiver_of(name):
        def receive(sender, signal, job_ids, queue_name, using):
            assert (sender, signal, using) == (Job, ALL[name], USING)
            assert all(isinstance(job_id, str) for job_id in job_ids)
            assert not transaction.get_connection(USING).in_atomic_block
            names = Job.objects.filter(pk__in=job_ids).order_by("pk").values_list("name", flat=True)
            told.append((name.removeprefix("job_"), list(names), queue_name))

        return receive

    receivers = {name: receiver_of(name) for name in ALL}
    for name, receive in receivers.items():
        ALL[name].connect(receive)
    try:
        yield told
    finally:
        for name, receive in receivers.items():
            ALL[name].disconnect(receive)


@contextmanager
def woken(monkeypatch):
    """The queues that workers are told of."""
    queues = []
    monkeypatch.setattr(type(get_engine(USING)), "notify", lambda self, names: queues.extend(names))
    yield queues


def test_the_signals_there_are():
    assert set(ALL) == {f"job_{event}" for event in ("added", "started", "completed", "failed", "cancelled", "stalled")}


def test_a_flow_tells_of_its_jobs_by_queue():
    with heard() as told:
        add(node("root", node("a"), node("b", queue="other"), node("c")))
    assert sorted(told) == [("added", ["a", "c", "root"], "q"), ("added", ["b"], "other")]


def test_the_life_of_a_flow():
    with heard() as told:
        add(node("root", node("a"), node("b"), attempts=2))
        finish("a")
        fail("b")
        job("b").retry()
        finish("b")
        fail("root")
        finish("root")
    assert told == [
        ("added", ["a", "b", "root"], "q"),
        ("started", ["a"], "q"),
        ("completed", ["a"], "q"),
        ("started", ["b"], "q"),
        ("failed", ["b", "root"], "q"),
        ("started", ["b"], "q"),
        ("completed", ["b"], "q"),
        ("started", ["root"], "q"),
        ("started", ["root"], "q"),  # an attempt that failed with attempts left is told of by nobody
        ("completed", ["root"], "q"),
    ]


def test_cancelled_and_stalled():
    add(node("root", node("a"), node("b"), node("c"), policy="ignore"), node("d"))
    start("d")
    with heard() as told:
        transitions.rescue_stalled(USING)
        job("a").cancel()
        job("root").cancel()
    assert told == [
        ("stalled", ["d"], "q"),
        ("cancelled", ["a"], "q"),
        ("cancelled", ["b", "c", "root"], "q"),
    ]


@pytest.mark.parametrize("signal", ALL)
def test_a_receiver_that_raises_changes_nothing_and_keeps_nobody_from_hearing(signal, caplog):
    def refuse(**kwargs):
        raise RuntimeError("not on my watch")

    ALL[signal].connect(refuse)
    try:
        with heard() as told:
            add(node("root", node("a"), node("b"), policy="ignore"))
            finish("a")
            start("b")
            transitions.rescue_stalled(USING)
            fail("b")
            job("root").cancel()
    finally:
        ALL[signal].disconnect(refuse)
    assert states() == {"root": "cancelled", "a": "completed", "b": "failed"}
    assert {f"job_{event}" for event, _, _ in told} == set(ALL)
    assert "not on my watch" in caplog.text


def test_nothing_is_told_before_the_outermost_commit():
    with heard() as told:
        with transaction.atomic():
            add(node("a"))
            finish("a")
            with transaction.atomic():
                add(node("b"))
            assert told == []
        assert told == [
            ("added", ["a"], "q"),
            ("started", ["a"], "q"),
            ("completed", ["a"], "q"),
            ("added", ["b"], "q"),
        ]


@pytest.mark.parametrize("outer", [True, False])
def test_what_is_rolled_back_is_neither_stored_nor_told_nor_announced(monkeypatch, outer):
    with heard() as told, woken(monkeypatch) as queues, transaction.atomic():
        with transaction.atomic():
            add(node("root", node("a")))
            Queue("q").add("b")
            transaction.set_rollback(True)
        if not outer:
            add(node("kept", queue="other"))
        transaction.set_rollback(outer)
    assert states() == ({} if outer else {"kept": "waiting"})
    assert told == ([] if outer else [("added", ["kept"], "other")])
    assert queues == ([] if outer else ["other"])


@pytest.mark.parametrize(
    ("flow", "error"),
    [
        (node("root", node("a"), node("bad", data=object())), InvalidNode),
        (node("root", node("a"), node("b", job_id="taken")), DuplicateJob),
    ],
)
def test_what_is_refused_is_neither_stored_nor_told_nor_announced(monkeypatch, flow, error):
    add(node("there", job_id="taken"))
    with heard() as told, woken(monkeypatch) as queues, pytest.raises(error):
        FlowProducer().add(flow)
    assert (states(), told, queues) == ({"there": "waiting"}, [], [])


def test_an_existing_job_is_not_told_of_again(monkeypatch):
    Queue("q").add("a", opts={"job_id": "one"})
    with heard() as told, woken(monkeypatch) as queues:
        Queue("q").add("b", opts={"job_id": "one"})
        FlowProducer().add(node("c", node("d"), job_id="one"))
    assert (told, queues) == ([], [])


def test_what_becomes_waiting_or_delayed_wakes_its_queue(monkeypatch):
    with woken(monkeypatch) as queues:
        steps = [
            (lambda: add(node("root", node("a", queue="one"), node("b", queue="two"), queue="three")), ["one", "two"]),
            (lambda: Queue("late").add("late", opts={"delay": 60}), ["late"]),  # to set a clock by
            (lambda: job("late").promote(), ["late"]),
            (lambda: finish("a"), []),
            (lambda: finish("b"), ["three"]),
            (lambda: fail("root"), []),
            (lambda: job("root").retry(), ["three"]),
            (lambda: job("a").retry(), ["one"]),
            (lambda: job("a").remove(), ["three"]),
            (lambda: Queue("three").pause(), []),
            (lambda: Queue("three").resume(), ["three"]),
        ]
        for step, expected in steps:
            queues.clear()
            step()
            assert sorted(queues) == expected


def test_a_wake_up_that_fails_changes_nothing(monkeypatch, caplog):
    def notify(self, names):
        raise RuntimeError("no such channel")

    monkeypatch.setattr(type(get_engine(USING)), "notify", notify)
    add(node("a"))
    assert states() == {"a": "waiting"}
    assert "no such channel" in caplog.text


def test_nothing_is_built_for_a_signal_without_receivers():
    news = News(get_engine(USING))
    news.tell(signals.job_added, iter([pytest.fail]))  # not even looked at
    add(node("a"))
    assert ids("a")
