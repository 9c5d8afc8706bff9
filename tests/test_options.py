"""`JobOptions` and `Backoff`: what they take, and which layer wins."""

import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.utils import timezone as django_timezone

from conveyor_django import Backoff, ChildFailurePolicy, FlowJob, FlowProducer, JobOptions, Queue, processor, registry
from conveyor_django.exceptions import InvalidFlow, InvalidJob, InvalidNode
from conveyor_django.models import Job

DEFAULTS = {
    "attempts": 1,
    "backoff": None,
    "delay": 0,
    "priority": 0,
    "lifo": False,
    "timeout": None,
    "job_id": None,
    "remove_on_complete": False,
    "remove_on_fail": False,
    "fail_parent_on_child_failure": "fail",
    "max_stalls": 1,
}
SOON = django_timezone.now() + timedelta(hours=1)

GOOD = [
    ("attempts", 1, 1),
    ("attempts", 2**31 - 1, 2**31 - 1),
    ("backoff", None, None),
    ("backoff", Backoff("fixed", 3), Backoff("fixed", 3)),
    ("backoff", {"type": "fixed", "delay": timedelta(minutes=1)}, Backoff("fixed", 60)),
    ("backoff", {}, Backoff()),
    ("delay", 0, 0),
    ("delay", 1.5, 1.5),
    ("delay", timedelta(minutes=2), 120),
    ("delay", SOON, SOON),
    ("priority", -5, -5),
    ("lifo", True, True),
    ("timeout", None, None),
    ("timeout", 0.5, 0.5),
    ("timeout", timedelta(seconds=3), 3),
    ("job_id", "order-7", "order-7"),
    ("job_id", None, None),
    ("remove_on_complete", True, True),
    ("remove_on_fail", True, True),
    ("fail_parent_on_child_failure", "remove", "remove"),
    ("fail_parent_on_child_failure", ChildFailurePolicy.IGNORE, "ignore"),
    ("max_stalls", 0, 0),
]

ENDLESS = 10**5000  # more digits than Python turns into text
BAD = [
    *(("attempts", value) for value in (0, -1, 1.0, "3", True, None, 2**31, ENDLESS)),
    *(("backoff", value) for value in ("fixed", 5, [], {"kind": "fixed"}, {"delay": -1}, {"jitter": 2}, {1: 2})),
    *(("delay", value) for value in (-1, "5", None, True, float("nan"), float("inf"), ENDLESS, timedelta(-1))),
    *(("delay", value) for value in (datetime(2030, 1, 1), 1e12, timedelta.max, datetime.max.replace(tzinfo=UTC))),  # noqa: DTZ001
    *(("priority", value) for value in (1.5, "high", None, False, 2**31, -(2**31), -ENDLESS)),
    *(("lifo", value) for value in (1, "yes", None)),
    *(("timeout", value) for value in (0, -1, "1", True, float("nan"), ENDLESS)),
    *(("job_id", value) for value in ("", 7, b"x", "a\x00b", "a\nb", "\ud800", "x" * 256)),
    *(("remove_on_complete", value) for value in (0, 10, None, "no")),
    *(("remove_on_fail", value) for value in (0, 10, None, "no")),
    *(("fail_parent_on_child_failure", value) for value in ("explode", "", None, True, 1, ["fail"])),
    *(("max_stalls", value) for value in (-1, 1.5, None, True)),
]


def test_the_defaults():
    options = JobOptions()
    assert {name: getattr(options, name) for name in DEFAULTS} == DEFAULTS
    assert Backoff() == Backoff(type="exponential", delay=1, max_delay=86400, jitter=0.0)


@pytest.mark.parametrize(("name", "value", "expected"), GOOD, ids=lambda value: ascii(value)[:40])
def test_good(name, value, expected):
    assert getattr(JobOptions(**{name: value}), name) == expected
    assert getattr(JobOptions.of({name: value}), name) == expected


def shown(value):
    return "10**5000" if value in (ENDLESS, -ENDLESS) else ascii(value)[:40]


@pytest.mark.parametrize(("name", "value"), BAD, ids=shown)
def test_bad(name, value):
    for make in (lambda: JobOptions(**{name: value}), lambda: JobOptions.of({name: value})):
        with pytest.raises(InvalidNode, match=name) as caught:
            make()
        assert isinstance(caught.value, (InvalidJob, InvalidFlow, ValueError))
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [[], "", 0, False, "attempts", [("attempts", 2)], object()], ids=repr)
def test_options_are_options_or_a_mapping(value):
    with pytest.raises(InvalidNode, match=f"opts must be a mapping, not {type(value).__name__}"):
        JobOptions.of(value)


@pytest.mark.parametrize("key", ["attempt", "removeOnComplete", "", 1, None, ENDLESS], ids=shown)
def test_unknown_keys(key):
    with pytest.raises(InvalidNode, match=r"opts has an unknown key.*known are attempts, backoff"):
        JobOptions.of({key: 1})


def test_options_are_frozen_and_keyword_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        JobOptions().attempts = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        Backoff().delay = 2
    with pytest.raises(TypeError):
        JobOptions(3)
    with pytest.raises(TypeError):
        JobOptions(attempt=3)
    assert JobOptions(attempts=3) == JobOptions(attempts=3) != JobOptions()
    assert len({JobOptions(attempts=3), JobOptions(attempts=3)}) == 1
    assert Backoff("fixed", 3, timedelta(seconds=9), 0.5) == Backoff(type="fixed", delay=3, max_delay=9, jitter=0.5)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"type": ""}, "backoff.type"),
        ({"type": 1}, "backoff.type"),
        ({"delay": None}, "backoff.delay"),
        ({"max_delay": "a day"}, "backoff.max_delay"),
        *(({"jitter": jitter}, "backoff.jitter") for jitter in (-0.1, 1.1, True, "some", float("nan"))),
    ],
)
def test_a_bad_backoff(value, name):
    with pytest.raises(InvalidNode, match=name):
        Backoff(**value)


def test_layers_are_laid_over_each_other():
    call, queue, site = JobOptions(priority=1), JobOptions(priority=2, attempts=2), JobOptions(attempts=3, delay=3)
    merged = call.over(queue, site)
    assert (merged.priority, merged.attempts, merged.delay, merged.timeout) == (1, 2, 3, None)
    assert merged == JobOptions(priority=1, attempts=2, delay=3)
    assert merged.over(JobOptions(timeout=9, delay=9)) == JobOptions(priority=1, attempts=2, delay=3, timeout=9)
    assert JobOptions().over(JobOptions(), site) == site
    assert call.over(JobOptions()) == call
    assert JobOptions().over() == JobOptions()


def test_what_is_passed_wins_though_it_is_the_default():
    upper = JobOptions(**DEFAULTS)
    lower = JobOptions(attempts=9, backoff=Backoff(), delay=9, priority=9, lifo=True, timeout=9, job_id="x")
    assert upper.over(lower) == upper


# The layers where jobs are added

LAYERS = ("call", "queue", "processor", "site")


@pytest.mark.django_db
@pytest.mark.parametrize("given", [LAYERS[index:] for index in range(5)])
def test_layers_of_a_queue(settings, given):
    numbers = {layer: 10 + index for index, layer in enumerate(LAYERS)}
    options = {layer: {"attempts": numbers[layer]} if layer in given else {} for layer in LAYERS}
    settings.CONVEYOR = {"DEFAULT_JOB_OPTIONS": {**options["site"], "priority": 7}}
    processor("q", "job", **options["processor"])(print)
    queue = Queue("q", default_job_options={**options["queue"], "timeout": 5})
    expected = numbers[given[0]] if given else 1
    for added in (
        queue.add("job", opts=options["call"]),
        queue.add("job", opts=JobOptions(**options["call"])),
        *queue.add_bulk([("job", {}, options["call"])]),
    ):
        for stored in (added, Job.objects.get(pk=added.pk)):
            assert (stored.max_attempts, stored.priority, stored.timeout) == (expected, 7, 5)
    if "call" not in given:
        assert queue.add("job").max_attempts == expected


@pytest.mark.django_db
@pytest.mark.parametrize("given", [LAYERS[index:] for index in (0, 2, 3, 4)])
def test_layers_of_a_flow(settings, given):
    settings.CONVEYOR = {"DEFAULT_JOB_OPTIONS": JobOptions(attempts=13) if "site" in given else {}}
    processor("q", "child", **({"attempts": 12} if "processor" in given else {}))(print)
    opts = {"attempts": 10} if "call" in given else None
    FlowProducer().add(FlowJob("root", "other", children=[FlowJob("child", "q", opts=opts)]))
    expected = {"call": 10, "processor": 12, "site": 13}[given[0]] if given else 1
    assert Job.objects.get(name="child").max_attempts == expected
    assert Job.objects.get(name="root").max_attempts == (13 if "site" in given else 1)


@pytest.mark.django_db
def test_the_processor_of_that_name_and_else_the_one_of_the_queue():
    processor("q", attempts=2)(print)
    processor("q", "special", attempts=3)(print)
    assert [Queue("q").add(name).max_attempts for name in ("any", "special")] == [2, 3]
    assert Queue("other").add("special").max_attempts == 1


def test_bad_options_of_a_processor_and_of_a_queue():
    with pytest.raises(InvalidNode, match="attempts"):
        processor("q", attempts=0)
    with pytest.raises(InvalidNode, match="attemps"):
        processor("q", attemps=1)
    with pytest.raises(InvalidNode, match="default_job_options must be a mapping"):
        Queue("q", default_job_options=[1])
    with pytest.raises(InvalidNode, match="priority"):
        Queue("q", default_job_options={"priority": "high"})


@pytest.mark.django_db
def test_a_change_of_the_setting_is_seen(settings):
    settings.CONVEYOR = {"DEFAULT_JOB_OPTIONS": {"attempts": 4}}
    assert Queue("q").add("a").max_attempts == 4
    settings.CONVEYOR = {}
    assert Queue("q").add("a").max_attempts == 1


@pytest.mark.django_db
def test_a_bad_setting_is_named(settings):
    settings.CONVEYOR = {"DEFAULT_JOB_OPTIONS": {"attemps": 4}}
    with pytest.raises(InvalidNode, match=r"DEFAULT_JOB_OPTIONS.*attemps"):
        Queue("q").add("a")


@pytest.mark.django_db
def test_all_options_reach_the_row():
    registry.backoff("mine")(lambda attempt, error, job: 1)
    options = {
        "attempts": 7,
        "backoff": {"type": "mine", "delay": timedelta(seconds=2), "max_delay": 60, "jitter": 0.25},
        "delay": timedelta(minutes=5),
        "priority": -3,
        "lifo": True,
        "timeout": timedelta(seconds=90),
        "job_id": "order-7",
        "remove_on_complete": True,
        "remove_on_fail": True,
        "fail_parent_on_child_failure": "remove",
        "max_stalls": 4,
    }
    job = Job.objects.get(pk=Queue("q").add("a", opts=options).pk)
    assert (job.max_attempts, job.priority, job.timeout, job.job_id, job.max_stalls) == (7, -3, 90, "order-7", 4)
    assert job.backoff == {"type": "mine", "delay": 2, "max_delay": 60, "jitter": 0.25}
    assert job.state == "delayed"
    assert job.run_at - job.created_at == timedelta(minutes=5)
    assert job.position < 0
    assert (job.remove_on_complete, job.remove_on_fail, job.fail_parent_on_child_failure) == (True, True, "remove")


@pytest.mark.django_db
def test_a_backoff_must_be_registered():
    with pytest.raises(InvalidNode, match=r"backoff.type 'mine'"):
        Queue("q").add("a", opts={"backoff": {"type": "mine"}})
    assert not Job.objects.exists()


# Times


@pytest.mark.django_db
@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-11)), timezone(timedelta(hours=14))])
def test_a_time_to_run(zone):
    at = SOON.astimezone(zone)
    job = Job.objects.get(pk=Queue("q").add("a", opts={"delay": at}).pk)
    assert (job.state, job.run_at) == ("delayed", SOON)


@pytest.mark.django_db
@pytest.mark.parametrize("past", [datetime(1970, 1, 2, tzinfo=UTC), SOON - timedelta(hours=2)])
def test_a_time_that_is_past_means_now(past):
    assert Queue("q").add("a", opts={"delay": past}).state == "waiting"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "delay", [100 * 365 * 86400, datetime(9000, 12, 31, 23, tzinfo=timezone(timedelta(hours=-11)))]
)
def test_the_farthest_times_are_stored_and_read(delay):
    added = Queue("q").add("a", opts={"delay": delay})
    job = Job.objects.get()
    assert job.state == "delayed"
    assert job.run_at == added.run_at
    assert django_timezone.localtime(job.run_at, timezone(timedelta(hours=14)))
