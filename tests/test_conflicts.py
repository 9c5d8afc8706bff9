"""Transactions that lose a conflict are tried again, unless they are part of the caller's."""

import select
import threading
import time
from types import SimpleNamespace

import pytest
from django.db import DatabaseError, OperationalError, connection, connections, transaction

from conveyor_django import Queue
from conveyor_django.engines import busy, get_engine
from conveyor_django.exceptions import ConveyorError, TryAgain
from conveyor_django.models import Job
from conveyor_django.worker.outage import through_outages
from conveyor_django.worker.pulse import Pulse

from .factories import JobFactory
from .workers import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def engine():
    return get_engine("default")


def conflict():
    match connection.vendor:
        case "postgresql":
            cause = connection.Database.errors.DeadlockDetected("deadlock detected")
            error = OperationalError("deadlock detected")
            error.__cause__ = cause
            return error
        case "mysql":
            return OperationalError(1213, "Deadlock found when trying to get lock")
    return OperationalError("database is locked")


class Step:
    """Fails with these errors, one a call, and then returns how often it was called."""

    def __init__(self, *errors):
        self.errors, self.calls = list(errors), 0

    def __call__(self):
        self.calls += 1
        JobFactory(name=f"call-{self.calls}")
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


def test_a_lost_conflict_is_tried_again_from_the_beginning(engine):
    assert engine.transact(Step(conflict(), TryAgain("rows"), conflict())) == 4
    assert Job.objects.get().name == "call-4"  # what the others wrote was rolled back


def test_not_for_ever(engine):
    for error in (conflict(), TryAgain("rows")):
        step = Step(*[error] * 50)
        with pytest.raises(type(error)):
            engine.transact(step)
        assert step.calls == 20


def test_what_is_given_up_has_a_type_and_a_worker_goes_on_with_it():
    assert issubclass(TryAgain, ConveyorError)
    step = Step(TryAgain("rows"), TryAgain("rows"))
    assert through_outages("default", step, threading.Event(), lambda: 0, Pulse()) == 3


@pytest.mark.parametrize("error", [DatabaseError("syntax"), OperationalError("disk full"), ValueError("bug")], ids=repr)
def test_other_errors_are_passed_on(engine, error):
    step = Step(error)
    with pytest.raises(type(error)):
        engine.transact(step)
    assert (step.calls, Job.objects.count()) == (1, 0)


def test_inside_the_callers_transaction_a_conflict_is_the_callers(engine):
    step = Step(conflict())
    with transaction.atomic():
        with pytest.raises(OperationalError):
            engine.transact(step)
        assert engine.transact(Step(TryAgain("rows"))) == 2  # that costs only a savepoint
    assert step.calls == 1
    assert Job.objects.get().name == "call-2"


if connection.vendor == "postgresql":  # elsewhere it is an OperationalError, as of any session that is lost

    def test_a_transaction_whose_session_was_ended_for_idling_is_tried_again(engine):
        calls = []

        def step():
            calls.append(JobFactory(name=f"call-{len(calls)}"))
            if len(calls) == 1:
                engine.limit_idle_transactions(0.01)
                assert select.select([connection.connection], [], [], PATIENCE)[0]  # the server has said so

        engine.transact(step)
        assert Job.objects.get().name == "call-1"


@pytest.fixture
def writer():
    """Somebody else who writes."""
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


class Naps(list):
    """The other one is done after so many."""

    def __init__(self, writer, count):
        self._writer, self._count = writer, count

    def append(self, seconds):
        super().append(seconds)
        if len(self) == self._count:
            self._writer.rollback()


def busy_timeout():
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        return cursor.fetchone()[0]


one_writer = pytest.mark.only_on("sqlite", reason="elsewhere several write at a time")


@one_writer
@pytest.mark.parametrize("way", ["transition", "one job", "flow"])
def test_another_writer_is_waited_for_with_short_naps_of_any_length(engine, writer, monkeypatch, way):
    naps = Naps(writer, 20)
    monkeypatch.setattr(busy, "time", SimpleNamespace(monotonic=time.monotonic, sleep=naps.append))
    before = busy_timeout()
    match way:
        case "transition":
            engine.transact(Step())
        case "one job":
            Queue("q").add("job")
        case "flow":
            Queue("q").add_bulk([("job", {}), ("job", {})])
    assert len(naps) == 20  # and nothing else was waited for
    assert len(set(naps)) > 10
    assert max(naps) < 0.01
    assert busy_timeout() == before > 0


@one_writer
def test_as_long_as_the_session_waits_and_no_longer(engine, writer):
    engine.limit_statements(0.05)
    try:
        step = Step()
        with pytest.raises(OperationalError, match="database is locked") as raised:
            engine.transact(step)
        assert step.calls == 0
        assert not engine.is_conflict(raised.value)  # it was tried again all the time
        assert engine.is_outage(raised.value)
        assert busy_timeout() == 50
    finally:
        engine.limit_statements(None)


@pytest.mark.only_on("postgresql", "mysql", reason="SQLite has one writer at a time")
def test_a_real_deadlock_is_survived(engine):
    one, two = JobFactory(), JobFactory()
    both = threading.Barrier(2, timeout=PATIENCE)
    calls = []

    def crosswise(first, second):
        def step():
            calls.append(first)
            engine.lock_jobs([first.pk])
            if calls.count(first) == 1:
                both.wait()
            engine.lock_jobs([second.pk])
            Job.objects.filter(pk=second.pk).update(priority=first.depth + 1)

        engine.transact(step)
        connections.close_all()

    threads = [threading.Thread(target=crosswise, args=jobs) for jobs in ((one, two), (two, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert Job.objects.filter(priority=1).count() == 2
    assert len(calls) in (3, 4)  # the server may end both, if they look at the same moment


@pytest.mark.only_on("postgresql", reason="psycopg 2 is PostgreSQL's")
@pytest.mark.parametrize("attribute", ["sqlstate", "pgcode"])
def test_both_psycopgs_say_what_a_conflict_is(engine, attribute):
    error = OperationalError("deadlock detected")
    error.__cause__ = Exception()
    setattr(error.__cause__, attribute, "40P01")
    assert engine.is_conflict(error)
    setattr(error.__cause__, attribute, "42601")
    assert not engine.is_conflict(error)
