"""Wake-ups: on PostgreSQL a commit wakes sleeping workers; everywhere polling alone is enough."""

import selectors
import threading
import time

import pytest
from django.db import transaction

from conveyor_django import FlowProducer, JobState, Queue, processor
from conveyor_django.engines import Engine, get_engine
from conveyor_django.engines.throttle import Throttle
from conveyor_django.models import Job
from conveyor_django.worker import wakeup
from conveyor_django.worker.wakeup import WakeUp

from .processes import wait_for
from .workers import PATIENCE, terminate_sessions, working

pytestmark = pytest.mark.django_db(transaction=True)
NEVER = 3600.0  # seconds between polls
listens = pytest.mark.only_on("postgresql", reason="only PostgreSQL has notifications")


@pytest.fixture(autouse=True)
def fine():
    processor("woken")(lambda job: "fine")


def add(**opts):
    return Queue("woken").add("job", opts=opts)


def hears(listener, timeout):
    """Whether a wake-up comes in that time."""
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        return bool(selector.select(timeout)) and bool(listener.heard())


@pytest.fixture
def listener():
    listener = get_engine("default").listen()
    yield listener
    listener.close()


@listens
def test_a_job_starts_long_before_the_next_poll():
    with working("woken", poll_interval=NEVER):
        for _ in range(5):
            add().wait_until_finished(PATIENCE)


@listens
def test_so_do_many_that_are_added_one_by_one_though_not_each_is_announced():
    with working("woken", poll_interval=NEVER, concurrency=2):
        for _ in range(60):
            add()
        wait_for(lambda: Job.objects.completed().count() == 60)


@listens
def test_so_does_a_parent_that_another_worker_releases():
    processor("elsewhere")(lambda job: "done")
    with working("woken", poll_interval=NEVER):
        add().wait_until_finished(PATIENCE)  # by now it sleeps
        flow = FlowProducer().add(
            {"name": "parent", "queue_name": "woken", "children": [{"name": "c", "queue_name": "elsewhere"}]}
        )
        with working("elsewhere"):
            parent = Job.objects.get(pk=flow.job.id).wait_until_finished(PATIENCE)
    assert parent.state == JobState.COMPLETED


@listens
def test_a_commit_announces_and_a_rollback_does_not(listener):
    with transaction.atomic():
        Queue("announced").add("job")
        assert not hears(listener, 0.1)
    assert hears(listener, PATIENCE)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Queue("rolled-back").add("job")
        raise ZeroDivisionError
    assert not hears(listener, 0.1)
    with transaction.atomic(), pytest.raises(ZeroDivisionError), transaction.atomic():
        Queue("undone").add("job")
        raise ZeroDivisionError
    assert not hears(listener, 0.1)


@listens
def test_a_delayed_job_is_announced_so_that_workers_set_a_clock_by_it(listener):
    Queue("later").add("job", opts={"delay": 3600})
    assert hears(listener, PATIENCE)
    time.sleep(0.03)  # the throttle's
    Queue("later").promote_jobs()
    assert hears(listener, PATIENCE)


@listens
def test_a_delayed_job_starts_long_before_the_next_poll():
    with working("woken", poll_interval=NEVER):
        add().wait_until_finished(PATIENCE)
        add(delay=0.3).wait_until_finished(PATIENCE)


@listens
def test_waiting_children_are_announced_and_their_parent_is_not(listener):
    FlowProducer().add({"name": "p", "queue_name": "p", "children": [{"name": "c", "queue_name": "c"}]})
    assert hears(listener, PATIENCE)
    assert not hears(listener, 0.1)


@listens
def test_a_listener_that_lost_its_session_gets_another_and_misses_nothing(caplog):
    with working("woken", poll_interval=NEVER):
        add().wait_until_finished(PATIENCE)
        terminate_sessions()
        wait_for(lambda: "listener failed" in caplog.text)
        add().wait_until_finished(PATIENCE)


@listens
def test_a_session_that_hears_nothing_is_no_reason_to_poll_less(monkeypatch):
    """As behind a pooler that gives the session away."""
    with working("woken", poll_interval=0.05) as worker:
        wait_for(lambda: worker._loop and worker._loop._wake.listens)
    monkeypatch.setattr(type(get_engine("default")), "notify", lambda self, names: None)
    with working("woken", poll_interval=0.05) as worker:
        wait_for(lambda: worker._loop and worker._loop._wake._session)
        pauses = set()
        rest = worker._loop._rest
        monkeypatch.setattr(worker._loop, "_rest", lambda seconds: pauses.add(seconds) or rest(seconds))
        wait_for(lambda: len(pauses) > 3 or pauses == {0.05})
        assert not worker._loop._wake.listens
        assert max(pauses) <= 0.05


@listens
def test_the_listener_ends_with_its_worker():
    with working("woken", poll_interval=NEVER) as worker:
        add().wait_until_finished(PATIENCE)
        worker.stop()
        wait_for(lambda: worker._loop is None)  # run() has returned
        assert "conveyor-listener" not in [thread.name for thread in threading.enumerate()]


def test_polling_alone_is_enough(monkeypatch):
    monkeypatch.setattr(type(get_engine("default")), "listen", lambda self: None)
    with working("woken", poll_interval=0.02):
        for _ in range(3):
            add().wait_until_finished(PATIENCE)


def test_a_wake_up_that_fails_changes_nothing(monkeypatch, caplog):
    def fail(self, names):
        raise ZeroDivisionError

    monkeypatch.setattr(type(get_engine("default")), "notify", fail)
    with working("woken", poll_interval=0.02):
        assert add().wait_until_finished(PATIENCE).return_value == "fine"


@pytest.mark.only_on("mysql", "sqlite", reason="PostgreSQL does")
def test_other_databases_have_nothing_to_listen_to():
    assert get_engine("default").listen() is None
    assert Engine("default").notify(["any"]) is None


@pytest.mark.django_db
def test_wake_up_is_remembered_until_it_is_cleared():
    wake = WakeUp("default")
    wake.set()
    wake.set()
    wake.wait(NEVER)
    wake.clear()
    woken = threading.Thread(target=wake.wait, args=[NEVER])
    woken.start()
    assert woken.is_alive()
    wake.set()
    woken.join(PATIENCE)
    assert not woken.is_alive()
    wake.clear()
    assert not wake.wait(0)
    wake.stop()


@pytest.mark.django_db
def test_the_throttle_lets_each_key_pass_once_in_a_while(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("conveyor_django.engines.throttle.time.monotonic", lambda: now[0])
    throttle = Throttle(seconds=2)
    assert [throttle.passes(key) for key in ("a", "a", "b", "b")] == [True, False, True, False]
    now[0] += 1.9
    assert not throttle.passes("a")
    now[0] += 0.1
    assert [throttle.passes(key) for key in ("a", "a", "b")] == [True, False, True]
    for key in range(5000):  # it doesn't grow for ever
        throttle.passes(key)
    assert len(throttle._last) <= 1001


@listens
def test_a_session_that_may_have_become_deaf_is_replaced(monkeypatch):
    monkeypatch.setattr(wakeup, "_FRESH", 0.1)
    sessions = []
    engine = type(get_engine("default"))
    listen = engine.listen
    monkeypatch.setattr(engine, "listen", lambda self: sessions.append(listen(self)) or sessions[-1])
    with working("heard"):
        wait_for(lambda: len(sessions) > 2)
    assert all(session._session.closed for session in sessions)
