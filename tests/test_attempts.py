"""What an attempt comes to: values, failures of every kind, attempts and backoff."""

import asyncio
from datetime import timedelta

import pytest
from django.test import override_settings

from conveyor_django import Backoff, JobState, Queue, processor, registry
from conveyor_django.models import Job, JobError

from .workers import work

pytestmark = pytest.mark.django_db(transaction=True)


def add(queue_name="tried", name="job", data=None, **opts):
    return Queue(queue_name).add(name, data or {}, opts)


def ran(job):
    """The job after a worker had nothing left to do."""
    work(job.queue_name)
    job.refresh_from_db()
    return job


def ran_all(function, cases):
    """Jobs for each case, by the case and "sync" or "async", all run by one worker that has to survive them."""

    @processor("tried", "async")
    async def asynchronous(job):
        return function(job.data["case"])

    processor("tried", "sync")(lambda job: function(job.data["case"]))
    jobs = {(case, how): add(name=how, data={"case": case}) for case in cases for how in ("sync", "async")}
    assert work("tried", concurrency=2) == len(jobs)
    for job in jobs.values():
        job.refresh_from_db()
    return jobs


def test_any_json_is_a_value():
    values = [None, 0, False, "", "text \U0001f600", 1.5, [1, [2]], {"a": {"b": None}}, 2**63 - 1]
    for (n, _), job in ran_all(lambda n: values[n], range(len(values))).items():
        assert (job.state, job.return_value) == (JobState.COMPLETED, values[n])
        assert type(job.return_value) is type(values[n])
        assert job.started_at <= job.finished_at


class Odd:
    """Not JSON, and shy."""

    def __repr__(self):
        raise SystemExit("no repr")


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


GARBAGE = {
    "set": (lambda: {1}, "is a set"),
    "object": (Odd, "is a Odd"),
    "bytes": (lambda: b"x", "is a bytes"),
    "nan": (lambda: {"a": [float("nan")]}, "nan"),
    "infinity": (lambda: float("inf"), "inf"),
    "nul": (lambda: "a\x00b", "NUL"),
    "nul key": (lambda: {"\x00": 1}, "NUL"),
    "surrogate": (lambda: "\ud800", "surrogate"),
    "int key": (lambda: {1: 2}, "key that is a int"),
    "big int": (lambda: 2**63, "64 bits"),
    "deep": (lambda: deep(40), "deeper"),
    "very deep": (lambda: deep(100_000), "deeper"),
    "large": (lambda: "x" * 101, "the limit is 100"),
    "generator": (lambda: (n for n in "ab"), "is a generator"),
    "function": (lambda: print, "is a builtin_function_or_method"),
}


@override_settings(CONVEYOR={"MAX_DATA_BYTES": 100})
def test_garbage_fails_its_job_and_says_why():
    for (kind, _), job in ran_all(lambda kind: GARBAGE[kind][0](), GARBAGE).items():
        assert job.state == JobState.FAILED
        assert "return value" in job.failed_reason
        assert GARBAGE[kind][1] in job.failed_reason


@pytest.mark.filterwarnings("ignore:coroutine 'sleep' was never awaited")
def test_a_coroutine_that_nobody_awaits_is_garbage():
    processor("tried")(lambda job: asyncio.sleep(0))
    job = ran(add())
    assert job.state == JobState.FAILED
    assert "is a coroutine" in job.failed_reason


class Unspeakable(Exception):
    def __str__(self):
        raise SystemExit("not even str()")


class NotAnException(BaseException):
    pass


ENDS = [
    ValueError("boom"),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    StopIteration("x"),
    asyncio.CancelledError(),
    NotAnException("of yours"),
    Unspeakable(),
    ExceptionGroup("many", [ValueError(1), KeyError(2)]),
    MemoryError(),
    ValueError("NUL \x00, half a pair \ud800, \U0001f600"),
]


def test_whatever_is_raised_fails_the_job_and_not_the_worker():
    def process(n):
        raise ENDS[n]

    for (n, how), job in ran_all(process, range(len(ENDS))).items():
        assert job.state == JobState.FAILED
        turned = isinstance(ENDS[n], StopIteration) and how == "async"  # by Python, into another
        assert job.failed_reason.startswith("RuntimeError" if turned else type(ENDS[n]).__name__)
        assert "in process" in job.stacktrace


def test_a_task_that_a_processor_leaves_behind_cannot_end_the_event_loop():
    async def exits():
        raise SystemExit

    @processor("tried")
    async def process(job):
        task = asyncio.create_task(exits())  # its SystemExit goes right through the loop
        await asyncio.wait([task])
        assert isinstance(task.exception(), SystemExit)
        return "went on"

    assert ran(add()).return_value == "went on"


def test_a_name_without_processor_says_where_was_searched():
    processor("tried", "other")(lambda job: None)
    job = ran(add(name="unheard-of"))
    assert job.state == JobState.FAILED
    assert job.failed_reason.startswith("NoProcessor: ")
    for part in ("'unheard-of'", "'tried'", __name__, "tests.app.jobs"):
        assert part in job.failed_reason


def test_attempts_are_counted_and_each_failure_is_kept():
    seen = []

    @processor("tried")
    def process(job):
        seen.append(job.attempts_made)
        if job.attempts_made < 3:
            raise ValueError(f"attempt {job.attempts_made}")
        return "third time lucky"

    job = ran(add(attempts=5))
    assert seen == [1, 2, 3]
    assert (job.state, job.attempts_made, job.return_value) == (JobState.COMPLETED, 3, "third time lucky")
    errors = list(job.errors.order_by("pk"))
    assert [(e.attempt, e.reason) for e in errors] == [(1, "ValueError: attempt 1"), (2, "ValueError: attempt 2")]
    assert len({e.worker for e in errors}) == 1


def test_the_last_attempt_fails_the_job():
    processor("tried")(lambda job: 1 / 0)
    job = ran(add(attempts=3))
    assert (job.state, job.attempts_made) == (JobState.FAILED, 3)
    assert job.errors.count() == 3


BACKOFFS = {
    "fixed": (Backoff(type="fixed", delay=10), [10, 10, 10]),
    "exponential": (Backoff(type="exponential", delay=10), [10, 20, 40]),
    "capped": ({"type": "exponential", "delay": timedelta(seconds=10), "max_delay": 25}, [10, 20, 25]),
    "registered": (Backoff(type="growing"), [108, 208, 308]),
    "exits": (Backoff(type="exits", delay=60), [60, 60, 60]),  # a function that fails gives way to the delay
    "says soon": (Backoff(type="soon", delay=60), [60, 60, 60]),
    "says infinity": (Backoff(type="infinity", delay=60), [86400, 86400, 86400]),
}


@pytest.fixture
def backoff_functions():
    @registry.backoff("growing")
    def growing(attempt, error, job):
        return 100 * attempt + int(str(error)) + job.data["more"]

    @registry.backoff("exits")
    def exits(attempt, error, job):
        raise SystemExit

    registry.backoff("soon")(lambda *args: "soon")
    registry.backoff("infinity")(lambda *args: float("inf"))
    registry.backoff("nan")(lambda *args: float("nan"))
    registry.backoff("negative")(lambda *args: -5)


@pytest.fixture
def failing():
    @processor("tried")
    def process(job):
        raise ValueError(7)

    @processor("tried", "async")
    async def asynchronous(job):
        raise ValueError(7)


def test_backoff(backoff_functions, failing):
    jobs = {
        (kind, name): add(name=name, data={"more": 1}, attempts=4, backoff=backoff)
        for kind, (backoff, _) in BACKOFFS.items()
        for name in (("sync", "async") if kind == "registered" else ("sync",))
    }
    for turn in range(3):
        work("tried")
        for (kind, _), job in jobs.items():
            job.refresh_from_db()
            assert job.state == JobState.DELAYED
            wait = job.run_at - job.errors.latest("pk").created_at
            assert wait == timedelta(seconds=BACKOFFS[kind][1][turn]), kind
            job.promote()
    work("tried")
    assert Job.objects.failed().count() == len(jobs)


def test_jitter_takes_away_at_most_its_share(failing):
    job = ran(add(attempts=2, backoff={"type": "fixed", "delay": 100, "jitter": 0.5}))
    wait = (job.run_at - JobError.objects.get().created_at).total_seconds()
    assert 50 <= wait <= 100


@pytest.mark.parametrize("kind", ["nan", "negative"])
def test_a_backoff_of_no_length_is_at_once(kind, backoff_functions, failing):
    assert ran(add(attempts=2, backoff={"type": kind})).attempts_made == 2


def test_what_a_processor_does_to_its_instance_stays_there():
    """Some of it is Django's way to copy a row."""

    @processor("tried")
    def process(job):
        job.pk, job.epoch, job.worker = None, 99, None
        job.timeout = job.backoff = job.attempts_made = "odd"
        job.max_attempts, job.parent_id, job.name = 1, job.root_id, object()
        raise ValueError

    job = ran(add(attempts=2, backoff={"type": "fixed", "delay": 60}, timeout=60))
    assert (job.state, job.attempts_made, job.errors.count()) == (JobState.DELAYED, 1, 1)
    assert job.run_at - job.errors.get().created_at == timedelta(seconds=60)
