"""Wake-ups: PostgreSQL tells sleeping workers, they see it on SQLite, and polling alone is enough everywhere."""

import selectors
import threading
import time

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from conveyor_django import FlowProducer, JobState, Queue, processor
from conveyor_django.engines import Engine, get_engine
from conveyor_django.engines.throttle import Throttle
from conveyor_django.models import Job
from conveyor_django.worker import loop, wakeup
from conveyor_django.worker.wakeup import WakeUp
from conveyor_django.worker.watch import Pace, Watch

from .processes import spawn, wait_for
from .workers import PATIENCE, terminate_sessions, working

pytestmark = pytest.mark.django_db(transaction=True)
NEVER = 3600.0  # seconds between polls
listens = pytest.mark.only_on("postgresql", reason="only PostgreSQL has notifications")
notices = pytest.mark.only_on("postgresql", "sqlite", reason="elsewhere it polls")
sees = pytest.mark.only_on("sqlite", reason="only SQLite says for nothing whether others have committed")


@pytest.fixture(autouse=True)
def fine():
    processor("woken")(lambda job: "fine")


@pytest.fixture
def no_polls(monkeypatch):
    monkeypatch.setattr(loop, "_SHORTEST_POLL", NEVER)


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


@notices
@pytest.mark.usefixtures("no_polls")
def test_a_job_starts_long_before_the_next_poll():
    with working("woken", poll_interval=NEVER):
        for _ in range(5):
            add().wait_until_finished(PATIENCE)


@notices
@pytest.mark.usefixtures("no_polls")
def test_so_do_many_that_are_added_one_by_one_though_not_each_is_announced():
    with working("woken", poll_interval=NEVER, concurrency=2):
        for _ in range(60):
            add()
        wait_for(lambda: Job.objects.completed().count() == 60)


@notices
@pytest.mark.usefixtures("no_polls")
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


@notices
@pytest.mark.usefixtures("no_polls")
def test_a_delayed_job_starts_long_before_the_next_poll():
    with working("woken", poll_interval=NEVER):
        add().wait_until_finished(PATIENCE)
        add(delay=0.3).wait_until_finished(PATIENCE)
        for _ in range(5):
            add().wait_until_finished(PATIENCE)  # announced
            add(delay=0.1).wait_until_finished(PATIENCE)  # not announced, so soon after


@notices
@pytest.mark.usefixtures("no_polls")
def test_delays_that_the_worker_makes_itself_are_kept_without_a_poll(settings):
    """By a retry, by a parent that is released, and by whoever changes a delay."""
    settings.CONVEYOR = {"HEARTBEAT_INTERVAL": 600, "HEARTBEAT_TIMEOUT": 3600}  # it would look, too
    tries = []

    @processor("woken", "fails-once", attempts=2, backoff={"type": "fixed", "delay": 0.3})
    def fails_once(job):
        tries.append(job.attempts_made)
        if len(tries) == 1:
            raise ValueError("once")

    with working("woken", poll_interval=NEVER):
        add().wait_until_finished(PATIENCE)
        retried = Queue("woken").add("fails-once")
        assert retried.wait_until_finished(PATIENCE).state == "completed"
        child = {"name": "child", "queue_name": "woken"}
        flow = FlowProducer().add({"name": "p", "queue_name": "woken", "opts": {"delay": 0.3}, "children": [child]})
        assert Job.objects.get(pk=flow.job.id).wait_until_finished(PATIENCE).state == "completed"
        later = add(delay=3600)
        later.change_delay(0.3)
        assert later.wait_until_finished(PATIENCE).state == "completed"


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
    monkeypatch.setattr(type(get_engine("default")), "data_version", lambda self: None)
    with working("woken", poll_interval=0.02):
        for _ in range(3):
            add().wait_until_finished(PATIENCE)


def test_where_it_polls_it_looks_soon_after_there_was_work(monkeypatch):
    monkeypatch.setattr(type(get_engine("default")), "listen", lambda self: None)
    monkeypatch.setattr(type(get_engine("default")), "data_version", lambda self: None)
    with working("woken", poll_interval=NEVER):
        for _ in range(5):
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


def elsewhere(function):
    thread = threading.Thread(target=lambda: (function(), connections.close_all()))
    thread.start()
    thread.join(PATIENCE)


@sees
def test_what_others_commit_is_seen_and_own_writes_are_not():
    watch = Watch("default")
    watch.mark()
    assert watch.works
    add()
    assert not watch.has_news()
    elsewhere(add)
    assert watch.has_news()
    watch.mark()
    elsewhere(Job.objects.count)
    assert not watch.has_news()


@sees
def test_a_look_is_no_statement_that_is_logged_and_begins_no_transaction():
    with CaptureQueriesContext(connection) as queries, transaction.atomic():
        began = len(queries)
        assert get_engine("default").data_version() is not None
        assert len(queries) == began
    elsewhere(add)  # nobody waits for the one who looked


@sees
def test_a_look_that_fails_is_left_to_the_next_turn(monkeypatch):
    watch = Watch("default")
    watch.mark()

    def away(self):
        raise OperationalError("disk I/O error")

    monkeypatch.setattr(type(get_engine("default")), "data_version", away)
    assert watch.has_news()


@pytest.mark.only_on("mysql", "postgresql", reason="SQLite has")
def test_other_databases_have_nothing_to_look_at():
    watch = Watch("default")
    watch.mark()
    assert not watch.works


def test_the_longer_nothing_happens_the_longer_the_pause():
    pace = Pace(0.01, 1.0, 0.25)
    assert [pace.pause(idle) for idle in (0, 0.02, 0.4, 2, 4, 400)] == [0.01, 0.01, 0.1, 0.5, 1, 1]


@sees
def test_a_database_in_memory_works():
    code = """
from django.core.management import call_command
from conveyor_django import Queue, Worker, processor
from conveyor_django.models import Job
call_command("migrate", verbosity=0)
processor("memory")(lambda job: Queue("memory").add("more").name if job.name == "first" else None)
Queue("memory").add("first")
print("attempts:", Worker("memory", poll_interval=0.05).run(until_idle=True), Job.objects.completed().count())
"""
    memory = {"CONVEYOR_TEST_NAME": "file:conveyor?mode=memory&cache=shared"}
    with spawn("shell", "-c", code, env=memory) as process:
        process.wait_for_output("attempts: 2 2")


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
def test_who_begins_to_listen_looks_once_more_for_what_is_not_told_twice():
    wake = WakeUp("default")
    wake.start()
    try:
        wait_for(lambda: wake.wait(0.1) and wake._session)
        wait_for(lambda: wake.wait(0.1) and wake.heard)
    finally:
        wake.stop()


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
