"""The system checks: what they find, and that none of them connects unless it is asked to."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.core.checks import CheckMessage, Tags, run_checks
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.test import override_settings

from conveyor_django import processor, registry
from conveyor_django.checks import TAG
from conveyor_django.engines import get_engine
from conveyor_django.engines.mysql import _version_problems
from tests.app import jobs
from tests.workers import close_others


def found(databases: list[str] | None = None) -> list[CheckMessage]:
    tags = [TAG, Tags.database] if databases else [TAG]
    messages = run_checks(tags=tags, databases=databases)
    return [message for message in messages if message.id.startswith("conveyor_django.")]


def only(messages: list[CheckMessage]) -> tuple[str, str, str]:
    """The one message: its number, what it says and its hint."""
    (message,) = messages
    return message.id.removeprefix("conveyor_django."), message.msg, message.hint


def with_settings(**values: object) -> override_settings:
    return override_settings(CONVEYOR=values)


def test_all_is_well_here():
    assert found(databases=["default"]) == []


class TestSettings:
    def test_times_have_a_zone(self, settings):
        settings.USE_TZ = False
        number, _, hint = only(found())
        assert (number, hint) == ("E006", "Write USE_TZ = True in settings.")

    def test_no_setting_is_needed(self, settings):
        del settings.CONVEYOR
        assert found() == []

    def test_not_a_dict(self):
        with override_settings(CONVEYOR=["HEARTBEAT_INTERVAL"]):
            number, message, _ = only(found())
        assert (number, message) == ("E001", "CONVEYOR must be a dict, not list.")

    def test_a_database_has_no_time_zone_of_its_own(self, monkeypatch):
        monkeypatch.setitem(connection.settings_dict, "TIME_ZONE", "Europe/Berlin")
        if connection.features.supports_timezones:
            assert found() == []
        else:
            number, message, _ = only(found())
            assert (number, message) == (
                "E007",
                "DATABASES['default']['TIME_ZONE'] is 'Europe/Berlin': workers take times in it for UTC.",
            )

    @pytest.mark.parametrize(
        ("key", "hint"),
        [
            ("HEARTBEAT_INTERVALL", "Did you mean 'HEARTBEAT_INTERVAL'?"),
            ("heartbeat_timeout", "Did you mean 'HEARTBEAT_TIMEOUT'?"),
            ("COLOUR", "Known are DEFAULT_JOB_OPTIONS, HEARTBEAT_INTERVAL,"),
            (7, "Known are "),
        ],
    )
    def test_an_unknown_key(self, key, hint):
        with override_settings(CONVEYOR={key: 1}):
            number, message, shown_hint = only(found())
        assert (number, message) == ("E002", f"CONVEYOR has an unknown key {key!r}.")
        assert hint in shown_hint

    @pytest.mark.parametrize(
        ("key", "value", "words"),
        [
            ("HEARTBEAT_INTERVAL", "5", "is str '5'"),
            ("HEARTBEAT_INTERVAL", 0, "is int 0"),
            ("HEARTBEAT_TIMEOUT", None, "is NoneType None"),
            ("HEARTBEAT_TIMEOUT", float("nan"), "is float nan"),
            ("MAX_DATA_BYTES", 1.5, "is float 1.5"),
            ("MAX_DATA_BYTES", True, "is bool True"),
            ("MAX_FLOW_JOBS", -1, "is int -1"),
            ("DEFAULT_JOB_OPTIONS", [3], "must be a mapping, not list"),
            ("DEFAULT_JOB_OPTIONS", {"retries": 3}, "has an unknown key"),
            ("DEFAULT_JOB_OPTIONS", {"attempts": 0}, "attempts must be an int"),
            ("DEFAULT_JOB_OPTIONS", {"backoff": {"type": "mine"}}, "neither fixed nor exponential nor registered"),
            ("DEFAULT_JOB_OPTIONS", {"job_id": "one"}, "which would be every job's"),
        ],
    )
    def test_a_bad_value(self, key, value, words):
        with with_settings(**{key: value}):
            number, message, hint = only(found())
        assert number == "E003"
        assert f"CONVEYOR[{key!r}]" in message
        assert words in message
        assert hint.startswith("Write a ")

    def test_good_values(self):
        options = {"attempts": 3, "backoff": {"type": "fixed", "delay": 2}}
        with with_settings(HEARTBEAT_INTERVAL=0.5, HEARTBEAT_TIMEOUT=20, DEFAULT_JOB_OPTIONS=options):
            assert found() == []

    @pytest.mark.parametrize(("interval", "timeout", "is_good"), [(10, 30, True), (10.1, 30, False), (30, 30, False)])
    def test_the_interval_is_well_below_the_timeout(self, interval, timeout, is_good):
        with with_settings(HEARTBEAT_INTERVAL=interval, HEARTBEAT_TIMEOUT=timeout):
            messages = found()
        assert is_good == (messages == [])
        if not is_good:
            number, message, hint = only(messages)
            assert number == "E004"
            assert f"({interval:g} s) is not well below" in message
            assert "at most 10" in hint

    def test_they_do_not_connect(self, django_assert_num_queries):
        with django_assert_num_queries(0), with_settings(NONSENSE=1):
            assert len(found()) == 1


class TestProcessors:
    @pytest.mark.parametrize(
        ("name", "jobs_of"), [("add", "job 'add' of queue 'q'"), (None, "all other jobs of queue 'q'")]
    )
    def test_two_for_one_queue_and_name(self, name, jobs_of):
        processor("q", name)(jobs.add)
        processor("q", name)(jobs.fail)
        number, message, _ = only(found())
        assert number == "E005"
        assert message == (f"Two processors are registered for {jobs_of}: tests.app.jobs.add and tests.app.jobs.fail.")

    def test_a_module_imported_again_is_no_conflict(self):
        processor("q", "add")(jobs.add)
        processor("q", "add")(jobs.add)
        processor("q")(jobs.fail)
        assert registry.conflicts == []
        assert found() == []


class TestCommands:
    def test_check_fails(self):
        with with_settings(NONSENSE=1), pytest.raises(CommandError, match="conveyor_django.E002"):
            call_command("check")

    def test_a_worker_does_not_start(self):
        with with_settings(NONSENSE=1), pytest.raises(CommandError, match="conveyor_django.E002"):
            call_command("runworker", "process-add", "--until-idle", skip_checks=False)

    def test_a_worker_has_its_database_checked(self, monkeypatch):
        monkeypatch.setattr(
            type(get_engine("default")), "problems", lambda self: _version_problems("MySQL", (5, 7, 44))
        )
        with pytest.raises(CommandError, match="conveyor_django.E011"):
            call_command("runworker", "process-add", "--until-idle", skip_checks=False)


class TestVersions:
    @pytest.mark.parametrize(
        ("name", "version", "number"),
        [
            ("MySQL", (5, 7, 44), "E011"),
            ("MySQL", (8, 0, 0), "E011"),
            ("MySQL", (8, 0, 1), None),
            ("MySQL", (11, 0, 0), None),  # no MariaDB
            ("MariaDB", (10, 5, 27), "E011"),
            ("MariaDB", (10, 6, 0), None),
            ("MariaDB", (10, 7, 1), "E012"),
            ("MariaDB", (10, 10, 5), "E012"),
            ("MariaDB", (10, 10, 6), None),
            ("MariaDB", (10, 11, 4), "E012"),
            ("MariaDB", (10, 11, 5), None),
            ("MariaDB", (11, 0, 2), "E012"),
            ("MariaDB", (11, 0, 3), None),
            ("MariaDB", (11, 1, 1), "E012"),
            ("MariaDB", (11, 1, 2), None),
            ("MariaDB", (11, 4, 2), None),
        ],
    )
    def test_mariadb_and_mysql(self, name, version, number):
        assert [problem.id for problem in _version_problems(name, version)] == ([number] if number else [])

    def test_what_is_said(self):
        (problem,) = _version_problems("MariaDB", (10, 11, 2))
        assert "MariaDB 10.11.2 sorts UUIDs wrongly" in problem.message
        assert problem.hint == "Upgrade to MariaDB 10.11.5 or newer."


@contextmanager
def session(*statements: str) -> Iterator[None]:
    """This connection, changed by these statements."""
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        yield
    finally:
        connection.close()


@pytest.mark.only_on("sqlite")
class TestSQLite:
    def test_transactions_that_are_not_immediate(self, monkeypatch):
        monkeypatch.setattr(connections["default"], "transaction_mode", None)
        number, message, hint = only(found(["default"]))
        assert number == "W015"
        assert message.startswith("Database 'default': ")
        assert hint == "Write into DATABASES['default']['OPTIONS']: 'transaction_mode': 'IMMEDIATE'"

    @pytest.mark.django_db(transaction=True)
    def test_a_journal_that_is_not_in_wal_mode(self):
        close_others()  # of threads that earlier tests have given up: the journal is the whole file's
        with session("PRAGMA journal_mode=DELETE"):
            number, _, hint = only(found(["default"]))
        assert number == "W016"
        assert "'init_command': 'PRAGMA journal_mode=WAL;" in hint

    def test_too_old(self, monkeypatch):
        monkeypatch.setattr(connection.Database, "sqlite_version_info", (3, 34, 1))
        number, message, _ = only(found(["default"]))
        assert number == "E011"
        assert "SQLite 3.34.1 is too old: conveyor_django needs 3.35 or newer." in message


@pytest.mark.only_on("postgresql")
@pytest.mark.django_db(transaction=True)
def test_postgresql_at_another_isolation_level():
    with session("SET default_transaction_isolation = 'repeatable read'"):
        number, message, hint = only(found(["default"]))
    assert number == "W017"
    assert "isolation level repeatable read" in message
    assert "DATABASES['default']['OPTIONS']" in hint


@pytest.mark.only_on("mysql")
@pytest.mark.django_db(transaction=True)
class TestMySQL:
    def test_another_isolation_level(self):
        with session("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"):
            number, message, hint = only(found(["default"]))
        assert number == "E013"
        assert "isolation level REPEATABLE-READ" in message
        assert "'isolation_level'" in hint

    def test_statements_that_are_too_short_for_large_data(self, settings):
        settings.CONVEYOR = {"MAX_DATA_BYTES": 2**40}
        number, message, hint = only(found(["default"]))
        assert number == "W018"
        assert "max_allowed_packet" in message
        assert str(4 * 2**40) in hint

    def test_another_charset(self):
        with session("SET NAMES latin1"):
            number, message, hint = only(found(["default"]))
        assert number == "E014"
        assert "speaks latin1" in message
        assert hint == "Write into DATABASES['default']['OPTIONS']: 'charset': 'utf8mb4'"
