"""Jobs in a database that the site's router would not choose: what a worker records asks nobody."""

import pytest
from django.db import connection

from conveyor_django import Queue, processor
from conveyor_django.models import Job, JobError, JobLog
from conveyor_django.worker.stale import close_stale_connections

from .workers import work

pytestmark = pytest.mark.django_db(transaction=True)


class Strict:
    """As the routers of Django's documentation: rows of two databases are not related, and all is the primary's."""

    def allow_relation(self, one, other, **hints):
        return False


def test_failures_and_log_lines_are_recorded(settings):
    @processor("mail")
    def fails(job):
        job.log("begins")
        raise ValueError("boom")

    job = Queue("mail").add("mail")
    settings.DATABASE_ROUTERS = [Strict()]
    assert work("mail") == 1
    job = Job.objects.get(pk=job.pk)
    assert job.state == "failed"
    assert JobError.objects.get().job_id == JobLog.objects.get().job_id == job.pk


class Replica:
    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        return "default"


def test_who_waits_for_a_job_looks_where_it_is_written(settings):
    job = Queue("mail").add("mail")
    job.cancel()
    settings.DATABASE_ROUTERS = [Replica()]
    assert job.wait_until_finished(5).state == "cancelled"


def test_sessions_that_ended_are_closed_but_for_the_workers_own(monkeypatch):
    connection.ensure_connection()
    monkeypatch.setattr(connection, "errors_occurred", True)
    monkeypatch.setattr(connection, "is_usable", lambda: False)
    close_stale_connections(but="default")
    assert connection.connection is not None
    close_stale_connections()
    assert connection.connection is None
