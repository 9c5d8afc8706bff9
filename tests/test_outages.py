"""A database that is there, and doesn't do what it is asked."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.test import override_settings

from conveyor_django import JobState, Queue, processor
from conveyor_django.engines import get_engine
from conveyor_django.models import WorkerProcess
from conveyor_django.transitions import declare_dead

from .factories import WorkerProcessFactory
from .processes import wait_for
from .test_races import in_thread, is_somebody_blocked, result
from .workers import PATIENCE, QUICK, terminate_sessions, working

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def read_only():
    """`read_only(True)` lets the database of this test take no writes but those of this session."""

    def switch(on):
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = off")
            name = connection.settings_dict["NAME"]
            cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {'on' if on else 'off'}")
        terminate_sessions()  # it holds for new ones

    yield switch
    switch(False)


@pytest.mark.only_on("postgresql", reason="elsewhere it is a setting of the whole server")
@override_settings(CONVEYOR=QUICK)
def test_a_read_only_database_is_waited_for(read_only, caplog):
    processor("outage")(lambda job: "done")
    with working("outage") as worker:
        assert Queue("outage").add("before").wait_until_finished(PATIENCE).state == JobState.COMPLETED
        read_only(True)
        job = Queue("outage").add("meanwhile")
        worker._loop.wake()
        wait_for(lambda: "in a read-only transaction); next try" in caplog.text)
        read_only(False)
        assert job.wait_until_finished(PATIENCE).state == JobState.COMPLETED
    assert (job.attempts_made, job.stalls) == (1, 0)


@pytest.mark.only_on("mysql", reason="elsewhere an index is not locked")
def test_a_heartbeat_that_comes_late_doesnt_deadlock_with_a_sweep():
    past = get_engine("default").now() - timedelta(minutes=1)
    row = WorkerProcessFactory(heartbeat_at=past, expires_at=past)
    with transaction.atomic():
        WorkerProcess.objects.select_for_update().get(pk=row.pk)
        sweep = in_thread(lambda: declare_dead("default"))
        wait_for(is_somebody_blocked)
        WorkerProcess.objects.filter(pk=row.pk).update(
            heartbeat_at=past + timedelta(hours=1), expires_at=past + timedelta(hours=1)
        )
    assert result(sweep) == 0
    row.refresh_from_db()
    assert row.dead_at is None


def test_a_database_that_goes_away_during_the_checks_doesnt_keep_a_worker_from_starting(monkeypatch):
    def problems(engine):
        raise OperationalError("server has gone away")

    processor("outage")(lambda job: "done")
    job = Queue("outage").add("job")
    monkeypatch.setattr(type(get_engine("default")), "problems", problems)
    call_command("runworker", "outage", until_idle=True, skip_checks=False)
    job.refresh_from_db()
    assert job.state == JobState.COMPLETED
