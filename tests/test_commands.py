"""What the commands print and do, and what they say when they can't."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper
from django.core.management.color import no_style
from django.db import connections
from django.utils import timezone

from conveyor_django import FlowProducer, JobState, Queue, processor, registry
from conveyor_django.ids import new_id
from conveyor_django.management.durations import seconds_of
from conveyor_django.management.logs import logging_to
from conveyor_django.management.output import Terminal
from conveyor_django.management.startup import database_label, introduce
from conveyor_django.models import Job
from conveyor_django.testing import drain
from conveyor_django.worker import recycling
from conveyor_django.worker.log import duration, logger
from tests.factories import JobFactory, WorkerProcessFactory


def run(*arguments: object, **options: object) -> str:
    out = StringIO()
    call_command(*map(str, arguments), stdout=out, no_color=True, **options)
    return out.getvalue()


def run_json(*arguments: object) -> object:
    return json.loads(run(*arguments, "--format", "json"))


def finished_flow(ago: timedelta, **fields: object) -> Job:
    """A root and a child, finished so long ago."""
    child_id = new_id()  # before its parent's, as in every flow
    of_both = {"state": JobState.COMPLETED, "finished_at": timezone.now() - ago}
    root = JobFactory(**of_both, **fields)
    JobFactory(id=child_id, parent=root, **of_both)
    return root


class Report:
    """A flow with a job in most states."""

    def __init__(self) -> None:
        @processor("reports", "boom")
        def boom(job):
            raise ValueError("bell\x07 and\nanother line")

        @processor("reports")
        def other(job):
            return 1

        children = [
            {"name": "fetch", "queue_name": "reports"},
            {"name": "boom", "queue_name": "reports"},
            {"name": "later", "queue_name": "mails", "opts": {"delay": 7200}},
            {"name": "sub", "queue_name": "mails", "children": [{"name": "leaf", "queue_name": "idle"}]},
        ]
        flow = FlowProducer().add({"name": "send-report", "queue_name": "mails", "children": children})
        self.root = flow.job.id
        self.sub = flow.children[3].job.id
        drain("reports")


class TestFlow:
    def test_the_tree_with_states_durations_and_reasons(self):
        report = Report()
        lines = run("flow", report.root).splitlines()
        assert [line.split()[:3] for line in lines[:8]] == [
            ["send-report", "✗", "failed"],
            ["│", "through", "its"],
            ["├─", "fetch", "✓"],
            ["├─", "boom", "✗"],
            ["│", "ValueError:", r"bell\x07"],
            ["├─", "later", "◷"],
            ["│", "due", "in"],
            ["└─", "sub", "◌"],
        ]
        assert "through its child boom" in lines[1]
        assert " ms " in lines[2]
        assert "mails" in lines[0]
        assert report.root in lines[0]
        assert "due in 1 h 59 min" in lines[6] or "due in 2 h" in lines[6]
        assert lines[8].startswith("   └─ leaf")
        assert lines[-1] == "6 jobs: 1 waiting, 1 waiting-children, 1 delayed, 1 completed, 2 failed"

    def test_only_what_is_below_the_job_or_with_root_the_whole_flow(self):
        report = Report()
        assert "send-report" not in run("flow", report.sub)
        assert run("flow", report.sub).startswith("sub ")
        assert run("flow", report.sub, "--root") == run("flow", report.root)

    def test_attempts_are_shown_when_there_may_be_several(self):
        job = JobFactory(state=JobState.FAILED, attempts_made=2, max_attempts=3)
        assert "attempt 2 of 3" in run("flow", job.pk)

    def test_json(self):
        report = Report()
        tree = run_json("flow", report.root)
        assert tree["id"] == report.root
        by_name = {job["name"]: job for job in tree["jobs"]}
        assert list(by_name) == ["send-report", "fetch", "boom", "later", "sub", "leaf"]
        assert by_name["leaf"]["parent"] == report.sub == by_name["sub"]["id"]
        assert by_name["leaf"]["level"] == 2
        assert by_name["boom"]["state"] == "failed"
        assert by_name["boom"]["failed_reason"] == "ValueError: bell\x07 and\nanother line"
        assert by_name["send-report"]["failed_by"] == by_name["boom"]["id"]
        assert by_name["fetch"]["seconds"] >= 0
        assert by_name["leaf"]["seconds"] is None

    def test_a_chain_5000_deep_stays_at_the_edge(self):
        node = {"name": "leaf", "queue_name": "deep"}
        for _ in range(5000):
            node = {"name": "link", "queue_name": "deep", "children": [node]}
        root = FlowProducer().add(node).job.id
        lines = run("flow", root).splitlines()
        assert len(lines) == 5001 + 2
        assert "[level 5000] leaf" in lines[5000]
        assert max(map(len, lines)) < 160
        assert len(run_json("flow", root)["jobs"]) == 5001

    @pytest.mark.parametrize(
        ("job_id", "words"), [("7", "'7' is not the id of a job"), (new_id(), "No job has the id")]
    )
    def test_no_such_job(self, job_id, words):
        with pytest.raises(CommandError, match=words):
            run("flow", job_id)


class TestQueues:
    def test_the_table(self):
        Report()
        JobFactory(queue_name="slow", state=JobState.WAITING, created_at=timezone.now() - timedelta(minutes=5))
        JobFactory(queue_name="slow", state=JobState.ACTIVE)
        WorkerProcessFactory(queues=["slow", "other"])
        WorkerProcessFactory(queues=None)
        WorkerProcessFactory(queues=["slow"], dead_at=timezone.now())
        WorkerProcessFactory(queues=["slow"], expires_at=timezone.now() - timedelta(seconds=1))
        Queue("mails").pause()
        head, *lines = run("queues").splitlines()
        rows = {words[0]: words[1:] for words in map(str.split, lines)}
        assert head.split()[:3] == ["queue", "waiting", "active"]
        assert rows["slow"] == ["1", "1", "0", "0", "0", "0", "0", "5", "min", "-", "2"]
        assert rows["reports"] == ["0", "0", "0", "0", "1", "1", "0", "-", "-", "1"]
        assert rows["other"][-1] == "2"
        assert rows["mails"][2:4] == ["1", "1"]
        assert rows["mails"][-2:] == ["ms", "1"]  # paused for some milliseconds

    def test_json(self):
        job = JobFactory(queue_name="slow", state=JobState.WAITING, created_at=timezone.now() - timedelta(minutes=5))
        Queue("slow").pause()
        (line,) = run_json("queues", "slow")
        assert 300 <= line.pop("oldest_waiting_seconds") < 330
        states = dict.fromkeys(JobState.values, 0) | {job.state: 1}
        assert line == {"queue": "slow", **states, "paused": True, "workers": 0}

    def test_a_job_that_was_delayed_waits_since_it_was_due(self):
        now = timezone.now()
        JobFactory(queue_name="q", created_at=now - timedelta(days=9), run_at=now - timedelta(minutes=1))
        (line,) = run_json("queues", "q")
        assert 60 <= line["oldest_waiting_seconds"] < 90

    def test_only_the_queues_named(self):
        Report()
        assert [line["queue"] for line in run_json("queues", "mails", "nothing-yet")] == ["mails", "nothing-yet"]

    def test_no_queues(self, monkeypatch):
        monkeypatch.setattr(registry, "processors", {})
        assert "No queues yet" in run("queues")
        assert run_json("queues") == []

    def test_hostile_names_do_nothing_to_the_terminal(self):
        JobFactory(queue_name="\u202e\u200bq")
        assert r"\u202e\u200bq" in run("queues")


class TestPausing:
    def test_pause_and_resume(self):
        JobFactory(queue_name="a")
        assert run("pausequeue", "a", "b") == (
            "a is paused: 1 job waiting, 0 jobs active.\nb is paused: 0 jobs waiting, 0 jobs active.\n"
        )
        assert Queue("a").is_paused()
        assert "a was paused already" in run("pausequeue", "a")
        assert run("resumequeue", "a", "c") == ("a is resumed: 1 job waiting.\nc was not paused: 0 jobs waiting.\n")
        assert (Queue("a").is_paused(), Queue("b").is_paused()) == (False, True)

    @pytest.mark.parametrize("command", ["pausequeue", "resumequeue"])
    def test_a_name_that_no_queue_can_have(self, command):
        with pytest.raises(CommandError, match="Queue name holds a control character"):
            run(command, "a\nb")


class TestRetryJobs:
    def test_by_id(self):
        jobs = JobFactory.create_batch(2, state=JobState.CANCELLED)
        assert run("retryjobs", *[job.pk for job in jobs]) == "2 jobs will run again.\n"
        assert Job.objects.waiting().count() == 2

    def test_all_that_failed_or_those_of_queues_or_in_another_state(self):
        for queue_name in ("a", "b", "c"):
            JobFactory(queue_name=queue_name, state=JobState.FAILED)
            JobFactory(queue_name=queue_name, state=JobState.COMPLETED)
        assert run_json("retryjobs", "--queue", "a", "--queue", "b") == {"retried": 2}
        assert run_json("retryjobs", "--queue", "a", "--state", "completed") == {"retried": 1}
        assert run("retryjobs") == "1 job will run again.\n"
        assert Job.objects.completed().count() == 2

    def test_what_it_refuses(self):
        waiting, failed = JobFactory(), JobFactory(state=JobState.FAILED)
        with pytest.raises(CommandError, match=f"Job {waiting.pk} is waiting; only a finished job can be retried"):
            run("retryjobs", waiting.pk)
        with pytest.raises(CommandError, match="No job has the id 'x'; nothing was retried"):
            run("retryjobs", failed.pk, "x")
        with pytest.raises(CommandError, match="not both"):
            run("retryjobs", failed.pk, "--queue", "a")
        with pytest.raises(CommandError, match="invalid choice: 'active'"):
            run("retryjobs", "--state", "active")
        failed.refresh_from_db()
        assert failed.state == JobState.FAILED


class TestPruneJobs:
    def test_whole_finished_flows(self):
        finished_flow(timedelta(days=8))
        young = finished_flow(timedelta(days=6))
        unfinished = JobFactory(state=JobState.WAITING_CHILDREN)
        JobFactory(parent=unfinished, state=JobState.WAITING)
        assert run("prunejobs", "--older-than", "7d") == "2 jobs removed, of flows that finished over 7 d ago.\n"
        assert set(Job.objects.roots()) == {young, unfinished}

    def test_queues(self):
        for queue_name in ("a", "b", "c"):
            finished_flow(timedelta(hours=2), queue_name=queue_name)
        assert run_json("prunejobs", "--older-than", "30m", "--queue", "a", "--queue", "b") == {"removed": 4}
        assert Job.objects.roots().get().queue_name == "c"

    def test_an_age_is_required(self):
        with pytest.raises(CommandError, match="--older-than"):
            run("prunejobs")

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("45", 45),
            ("0", 0),
            ("1.5", 1.5),
            ("90s", 90),
            ("30m", 1800),
            ("12h", 43200),
            ("7d", 604800),
            ("7D", 604800),
            ("2w", 1209600),
            ("1d12h", 129600),
            ("1h 30m", 5400),
            ("7 00:00:00", 604800),
            ("P7D", 604800),
        ],
    )
    def test_ages(self, text, seconds):
        assert seconds_of(text, "--older-than") == seconds

    @pytest.mark.parametrize("text", ["", "x", "7days", "-5", "-1d", "nan", "inf", "d", "9" * 30 + "w"])
    def test_what_is_no_age(self, text):
        with pytest.raises(CommandError, match="--older-than is a duration"):
            seconds_of(text, "--older-than")


class TestEveryCommand:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["runworker"],
            ["flow", str(new_id())],
            ["queues"],
            ["pausequeue", "q"],
            ["resumequeue", "q"],
            ["retryjobs"],
            ["prunejobs", "--older-than", "1d"],
        ],
        ids=lambda arguments: arguments[0],
    )
    def test_an_unknown_database(self, arguments):
        with pytest.raises(CommandError, match="no database 'x' in DATABASES; name one of: default"):
            run(*arguments, "--database", "x")

    def test_colours_are_for_terminals(self):
        job = JobFactory(state=JobState.FAILED)
        out = StringIO()
        call_command("flow", str(job.pk), stdout=out, force_color=True)
        assert "\x1b[" in out.getvalue()
        out.isatty = lambda: True
        out.truncate(0)
        call_command("flow", str(job.pk), stdout=out, no_color=True)
        assert "\x1b[" not in out.getvalue()
        assert "\x1b[" not in run("flow", job.pk)

    def test_a_terminal_without_fine_characters(self):
        class Plain(StringIO):
            encoding = "ascii"

        root = JobFactory(name="grüße", state=JobState.WAITING_CHILDREN)
        JobFactory(parent=root)
        out = Plain()
        call_command("flow", str(root.pk), stdout=out, no_color=True)
        assert out.getvalue().isascii()
        assert r"gr\xfc\xdfe" in out.getvalue()
        assert "`- job" in out.getvalue()


class TestRunWorkerRefuses:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--concurrency", "0"], "--concurrency must be 1 or more, not 0"),
            (["--concurrency", "3000000000", "--processes", "2"], "--concurrency must be at most 2147483647"),
            (["--processes", "-1"], "--processes must be 1 or more, not -1"),
            (["--max-jobs", "0"], "--max-jobs must be 1 or more, not 0"),
            (["--max-jobs-per-process", "0"], "--max-jobs-per-process must be 1 or more, not 0"),
            (["--max-memory-per-process", "-1"], "--max-memory-per-process must be 1 or more, not -1"),
            (["--max-memory-per-process", "1GB"], "invalid int value: '1GB'"),
            (["--max-jobs", "9", "--max-jobs-per-process", "9"], "use one of them"),
            (["--poll-interval", "-0.5"], "--poll-interval must be a number of seconds, 0 or more"),
            (["--poll-interval", "nan"], "--poll-interval must be a number of seconds"),
            (["--shutdown-timeout", "-1"], "--shutdown-timeout must be a number of seconds"),
            (["--concurrency", "many"], "invalid int value: 'many'"),
            (["a\nb"], "holds a control character"),
        ],
    )
    def test_arguments(self, arguments, words):
        with pytest.raises(CommandError, match=words):
            run("runworker", *arguments)

    def test_a_limit_of_memory_where_it_cannot_be_measured(self, monkeypatch):
        monkeypatch.setattr(recycling, "_STATM", Path("/nowhere/statm"))
        with pytest.raises(CommandError, match="needs /proc/self/statm"):
            run("runworker", "--max-memory-per-process", "999")

    def test_nothing_to_serve(self, monkeypatch):
        monkeypatch.setattr(registry, "processors", {})
        with pytest.raises(CommandError, match="No processor is registered.*`jobs` module of each installed app"):
            run("runworker")

    def test_a_transaction(self):
        with pytest.raises(CommandError, match="conveyor_django.testing.drain"):
            run("runworker", "process-add", "--until-idle")

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize(
        "arguments",
        [["--processes", "2"], ["--reload"], ["--max-jobs-per-process", "9"], ["--max-memory-per-process", "9999"]],
    )
    def test_processes_from_code(self, arguments):
        with pytest.raises(CommandError, match="use the command line"):
            run("runworker", "process-add", "--until-idle", *arguments)


def test_a_worker_introduces_itself_in_lines_that_fit():
    names = [f"send-the-{number}th-report" for number in range(70)]
    for name in names:
        processor("reports", name)(len)
    terminal = Terminal(OutputWrapper(out := StringIO()), no_style())
    introduce(terminal, "default", ["reports", "idle"], concurrency=4, processes=3)
    output = " ".join(out.getvalue().split())
    assert "queues reports, idle" in output
    assert "processors 70: reports/send-the-0th-report, " in output
    assert " and 10 more" in output
    assert "4 jobs at a time in each of 3 processes" in output
    assert max(map(len, out.getvalue().splitlines()[2:])) <= 100


@pytest.mark.django_db(transaction=True)
def test_runworker_from_code():
    job = Queue("process-add").add("add", {"a": 1, "b": 2})
    output = run("runworker", "process-add", "--until-idle", "-v", "2")
    job.refresh_from_db()
    assert job.return_value == 3
    assert f"completed  add {job.pk} in process-add" in output
    assert not logger.handlers


def test_the_database_is_named_without_its_password(monkeypatch):
    settings = connections["default"].settings_dict
    monkeypatch.setattr(
        connections["default"], "settings_dict", settings | {"USER": "u", "PASSWORD": "secret", "HOST": "db.example"}
    )
    label = database_label("default")
    assert label.startswith("default: ")
    assert label.endswith(f"{settings['NAME']} on db.example")
    assert "secret" not in label


@contextmanager
def said_at(verbosity: int) -> Iterator[StringIO]:
    out = StringIO()
    with logging_to(Terminal(OutputWrapper(out), no_style()), verbosity):
        yield out


class TestLogging:
    @pytest.fixture
    def site_handler(self):
        handler = logging.NullHandler()
        logger.addHandler(handler)
        yield handler
        logger.removeHandler(handler)

    @pytest.mark.parametrize(("verbosity", "level"), [(0, "ERROR"), (1, "INFO"), (2, "DEBUG"), (3, "DEBUG")])
    def test_a_site_without_logging(self, monkeypatch, verbosity, level):
        monkeypatch.setattr(logging.root, "handlers", [])  # pytest's
        with said_at(verbosity) as out:
            assert logging.getLevelName(logger.level) == level
            logger.error("it is %s", "said")
        assert out.getvalue().endswith("  it is said\n")
        assert (logger.handlers, logger.level) == ([], logging.NOTSET)

    def test_a_site_with_logging_of_its_own(self, site_handler):
        with said_at(1) as out:
            assert (logger.handlers, logger.level) == ([site_handler], logging.NOTSET)
        with said_at(2):
            assert (logger.handlers, logger.level) == ([site_handler], logging.DEBUG)
        assert logger.level == logging.NOTSET
        assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0124, "12 ms"),
        (0.9996, "1.0 s"),
        (41.04, "41.0 s"),
        (59.97, "1 min"),
        (252, "4 min 12 s"),
        (7500, "2 h 5 min"),
        (7200, "2 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
