"""Whatever comes in is taken whole and can be shown, or is refused with a typed error and nothing was written.

`CONVEYOR_TEST_EXAMPLES=5000` tries so many, other ones at each run; without it they are few and always the same.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conveyor_django import Backoff, FlowJob, FlowProducer, JobOptions, Queue, Worker, processor, registry
from conveyor_django.encoding import clean_text, normalize, printable
from conveyor_django.exceptions import ConveyorError, InvalidFlow, InvalidNode
from conveyor_django.models import Job, JobError, JobLog, QueueState
from conveyor_django.options import DEFAULTS
from conveyor_django.redaction import redact
from conveyor_django.testing import drain
from tests.odd_values import (
    ERRORS,
    GOOD_OPTIONS,
    Boom,
    Endless,
    OddMapping,
    OddZone,
    errors,
    flows,
    json_like,
    names,
    odd,
    options,
    rarely,
    texts,
    values,
)

WANTED = int(os.environ.get("CONVEYOR_TEST_EXAMPLES", 0))
JOBS = "/admin/conveyor_django/job/"
pytestmark = pytest.mark.django_db


def examples(number: int) -> settings:
    return settings(
        max_examples=WANTED or number,
        derandomize=not WANTED,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(autouse=True)
def limits(settings):
    settings.CONVEYOR = {"MAX_DATA_BYTES": 10_000, "MAX_FLOW_JOBS": 200}


@pytest.fixture
def client():
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@contextmanager
def refused_whole(*expected: type[Exception]) -> Iterator[None]:
    """What the block does holds, or one of these errors came and nothing else: no row, no broken transaction."""
    before = counts()
    with transaction.atomic():  # a caller's, who catches the error inside
        try:
            yield
        except expected as error:
            assert counts() == before
            assert str(error)
            assert len(str(error)) < 5000


def counts() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Job, JobError, JobLog, QueueState))


@contextmanager
def rolled_back() -> Iterator[None]:
    """For each example: what it writes is gone after it."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def can_be_shown(client: Client) -> None:
    """All that is stored, wherever jobs are shown."""
    output = "".join(run(name) for name in ("queues",))
    for job in Job.objects.order_by("pk"):
        result = FlowProducer().get_flow(job.pk)
        assert (result.job.id, result.job.data) == (str(job.pk), job.data)
        assert client.get(f"{JOBS}{job.pk}/change/").status_code == 200
        if job.parent_id is None:
            output += run("flow", str(job.pk)) + run("flow", str(job.pk), "--format", "json")
    assert client.get(f"{JOBS}?level=all").status_code == 200
    assert "\x1b" not in output


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=out, no_color=True)
    return out.getvalue()


@examples(40)
@given(flow=flows, as_object=st.booleans())
def test_flows(client, flow, as_object):
    given = [flow]
    if as_object and "name" in flow and "queue_name" in flow:
        given = [FlowJob(**flow)]
    with rolled_back():
        added = []
        with refused_whole(ConveyorError, Boom):
            added = FlowProducer().add_bulk(given)
        if added:
            [result] = added
            assert FlowProducer().get_flow(result.job.id) == result
            can_be_shown(client)


@examples(50)
@given(flow=st.dictionaries(texts | st.sampled_from(["name", "queue_name", "data", "opts", "children"]), odd) | odd)
def test_what_is_hardly_a_flow(flow):
    for handed in (flow, [flow], {"name": "a", "queue_name": "q", "children": flow}):
        with rolled_back(), refused_whole(InvalidFlow, Boom):
            FlowProducer().add(handed)


@examples(100)
@given(given=st.dictionaries(st.sampled_from([*DEFAULTS, "x"]), odd, max_size=3) | odd, number=odd)
def test_options(given, number):
    for make in (
        lambda: JobOptions.of(given),
        lambda: Backoff.of(given),
        lambda: Backoff(type=number),
        lambda: Backoff(delay=number, max_delay=number),
        lambda: Backoff(jitter=number),
    ):
        try:
            made = make()
        except InvalidNode as error:
            assert str(error)
        else:
            assert repr(made)
            assert hash(made) is not None


@examples(80)
@given(name=st.sampled_from(sorted(GOOD_OPTIONS)), value=odd | texts)
def test_one_option_at_a_time_is_stored_or_named(name, value):
    with rolled_back():
        try:
            job = Queue("q").add("a", opts={name: value})
        except InvalidNode as error:
            assert not Job.objects.exists()
            assert str(error).startswith((name, "backoff."))
        else:
            stored = Job.objects.get(pk=job.pk)
            for column in ("priority", "max_attempts", "delay", "timeout", "job_id", "max_stalls", "backoff", "run_at"):
                assert getattr(stored, column) == getattr(job, column), column


@examples(80)
@given(value=values)
def test_data(value):
    with rolled_back():
        try:
            job = Queue("q").add("a", value)
        except InvalidNode as error:
            assert str(error).startswith("data")
            assert not Job.objects.exists()
        else:
            [stored] = Job.objects.all()
            assert stored.data == job.data == normalize(stored.data, "data", 10_000)
            redact(stored.data)


QUEUES = {
    "add": ("name", "data", "opts"),
    "add_bulk": ("jobs",),
    "get_job": ("job_id",),
    "get_jobs": ("limit", "offset"),
    "count": ("state",),
    "clean": ("state", "older_than"),
    "obliterate": ("force",),
    "retry_jobs": ("state",),
}
JOB_VERBS = {
    "change_priority": "priority",
    "change_delay": "delay",
    "update_data": "data",
    "wait_until_finished": "timeout",
}


@examples(80)
@given(data=st.data())
def test_methods_of_queues(data):
    method = data.draw(st.sampled_from(sorted(QUEUES)))
    good = {
        "name": names,
        "jobs": st.lists(st.tuples(rarely(names), values) | odd, max_size=2),
        "opts": options,
        "data": json_like,
        "state": st.sampled_from(["waiting", "failed"]),
        "limit": st.integers(0, 3),
        "offset": st.integers(0, 3),
        "older_than": st.integers(0, 3),
    }
    arguments = {name: data.draw(rarely(good.get(name, odd))) for name in QUEUES[method]}
    states = data.draw(st.lists(odd, max_size=1)) if method == "get_jobs" else []
    with rolled_back():
        Queue("q").add_bulk([("a", {}), ("b", {})])
        with refused_whole(ConveyorError, Boom):
            getattr(Queue("q"), method)(*states, **arguments)
        if method == "get_jobs":
            assert len(Queue("q").get_jobs()) == 2


@examples(30)
@given(data=st.data(), value=odd)
def test_other_arguments(data, value):
    with rolled_back():
        job = Queue("q").add("a")
        for call in (
            lambda: Queue(value),
            lambda: Queue("q", default_job_options=value),
            lambda: processor(value)(print),
            lambda: processor("q", value)(print),
            lambda: FlowProducer().get_flow(value),
            lambda: FlowProducer().get_flow(job.pk, depth=value),
            *([] if isinstance(value, (Endless, OddMapping)) else [lambda: FlowProducer().add_bulk(value)]),
        ):
            with refused_whole(ConveyorError, Job.DoesNotExist, Boom):
                call()
        verb = data.draw(st.sampled_from(sorted(JOB_VERBS)))
        if verb != "wait_until_finished":
            with refused_whole(ConveyorError):
                getattr(job, verb)(value)
            assert Job.objects.get(pk=job.pk).name == "a"
    for key in [key for key in registry.processors if key[0] != "q"]:
        del registry.processors[key]


@examples(15)
@given(result=values, error=st.none() | errors, news=st.lists(values, max_size=2), attempts=st.integers(1, 2))
def test_what_processors_return_raise_and_tell(client, result, error, news, attempts):
    def runs(job):
        for value in news:
            job.log(value)
            try:
                job.update_progress(value)
            except InvalidNode as refused:
                assert str(refused).startswith("progress")
        if error is not None:
            raise error
        return result

    with rolled_back():
        processor("fuzz")(runs)
        child = {"name": "a", "queue_name": "fuzz", "opts": {"attempts": attempts}}
        FlowProducer().add({"name": "root", "queue_name": "other", "children": [child]})
        assert drain("fuzz") in (1, 2)
        job = Job.objects.get(name="a")
        assert job.state in ("completed", "failed")
        assert error is None or job.state == "failed"
        assert job.state == "completed" or job.failed_reason == job.errors.last().reason
        assert error is None or (job.stacktrace and job.failed_reason)
        assert job.logs.count() == len(news) * job.attempts_made
        can_be_shown(client)


ARGUMENTS = {
    "flow": ["{}"],
    "queues": ["{}"],
    "pausequeue": ["{}"],
    "resumequeue": ["{}"],
    "retryjobs": ["{}"],
    "prunejobs": ["--older-than={}"],
    "runworker": ["{}", "--until-idle"],
}
OPTIONS = {
    "retryjobs": ["--queue={}", "--state={}"],
    "prunejobs": ["--queue={}"],
    "runworker": [
        f"--{name}={{}}"
        for name in (
            "concurrency",
            "processes",
            "max-jobs",
            "max-jobs-per-process",
            "max-memory-per-process",
            "poll-interval",
        )
    ],
}


@examples(50)
@given(data=st.data())
def test_arguments_of_commands(data):
    name = data.draw(st.sampled_from(sorted(ARGUMENTS)))
    known = [*OPTIONS.get(name, []), "--format={}", "--database={}", "--shutdown-timeout={}", "{}"]
    more = data.draw(st.lists(st.sampled_from(known), max_size=2))
    words = texts | st.sampled_from(
        [*map(str, range(-1, 3)), "1e999", "nan", "9" * 4500, "1d" * 999, "P1Y", "\u0663s", "q"]
    )
    words |= st.sampled_from(["0" * 32, "{" + "0" * 32 + "}", "json", "default", "failed", "--", "-1", "@x", "\udcff"])
    arguments = [word.replace("{}", data.draw(words)) for word in [*ARGUMENTS[name], *more]]
    with rolled_back():
        Queue("q").add("a")
        with refused_whole(CommandError):
            assert printable(run(name, *arguments))
        assert Queue("q").count() == 1


@pytest.mark.parametrize("option", ["--concurrency=--", "--processes=--", "--max-jobs=--", "--poll-interval=--"])
def test_two_hyphens_are_no_number(option):
    with pytest.raises(CommandError, match=option.removesuffix("=--")):
        run("runworker", "q", option)
    with pytest.raises(CommandError, match="--older-than"):
        run("prunejobs", "--older-than=--")


def test_every_odd_error_is_recorded():
    raised = []

    @processor("fuzz")
    def runs(job):
        raise raised[-1]

    for make in ERRORS:
        raised.append(make())
        assert type(clean_text(raised[-1])) is str
        job = Queue("fuzz").add("a")
        assert drain("fuzz") == 1
        job.refresh_from_db()
        assert (job.state, job.failed_reason) == ("failed", job.errors.get().reason)
        assert job.stacktrace
        assert job.failed_reason


def test_subclasses_are_read_past_their_own_methods():
    class Small(int):
        __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: True

    class Calm(str):
        __contains__ = lambda self, other: False  # noqa: E731
        __len__ = lambda self: 1  # noqa: E731
        isascii = isprintable = lambda self: True  # noqa: E731

    for value in (Small(2**70), Calm("a\x00"), Calm("\ud800"), {Calm("\x00"): 1}, Calm("x" * 20_000)):
        with pytest.raises(InvalidNode):
            normalize(value, "data", 10_000)
    for name in (Calm("x" * 300), Calm("a\n"), Calm("")):
        with pytest.raises(InvalidNode):
            Queue(name)
    with pytest.raises(InvalidNode):
        JobOptions(priority=Small(2**70))


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda queue: queue.get_jobs(limit=-1), "limit"),
        (lambda queue: queue.get_jobs(limit=10**30), "limit"),
        (lambda queue: queue.get_jobs(offset="1"), "offset"),
        (lambda queue: queue.get_jobs([]), "state"),
        (lambda queue: queue.add_bulk(5), "jobs"),
        (lambda queue: queue.add("a", opts=OddMapping()), "opts"),
        (lambda queue: queue.add("a", opts={"delay": datetime(2030, 1, 1, tzinfo=OddZone())}), "delay"),
        (lambda queue: queue.obliterate(force="no"), "force"),
        (lambda queue: FlowProducer().add_bulk(None), "flows"),
        (lambda queue: FlowProducer().add({"name": "a", "queue_name": "q", "children": list}), "children"),
        (lambda queue: FlowProducer().get_flow(queue.get_jobs()[0].pk, depth=-1), "depth"),
        (lambda queue: Worker("q", concurrency=2**31), "concurrency"),
    ],
)
def test_bad_arguments_are_named(call, field):
    Queue("q").add("a")
    with pytest.raises(InvalidNode, match=field):
        call(Queue("q"))
    assert Queue("q").get_job(object()) is None
    assert Queue("q").count() == 1


@examples(100)
@given(value=values | errors)
def test_texts_are_always_made(value):
    for text in (clean_text(value), clean_text(value, 100), printable(value)):
        assert type(text) is str
        text.encode()
        assert "\x00" not in text
    assert len(clean_text(value, 100)) <= 100
    assert printable(value).isprintable()
