"""The names that users import: there, lazy, with these signatures; mappings as good as dataclasses."""

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import conveyor_django
from conveyor_django import (
    Backoff,
    ChildFailurePolicy,
    FlowJob,
    FlowProducer,
    FlowResult,
    JobOptions,
    JobState,
    JobSummary,
    Queue,
    Worker,
    exceptions,
)
from conveyor_django.exceptions import InvalidJob, InvalidNode
from conveyor_django.models import Job

from .helpers import add, finish, node

NAMES = {
    "FlowProducer",
    "FlowJob",
    "FlowResult",
    "JobSummary",
    "Queue",
    "Worker",
    "processor",
    "JobOptions",
    "Backoff",
    "JobState",
    "ChildFailurePolicy",
}


def in_a_new_process(code):
    folder = Path(conveyor_django.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=folder, env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_names():
    assert set(conveyor_django.__all__) == NAMES
    assert set(dir(conveyor_django)) >= NAMES
    for name in NAMES:
        assert getattr(conveyor_django, name).__name__ == name
    with pytest.raises(AttributeError, match="'conveyor_django' has no attribute 'Quue'"):
        conveyor_django.Quue  # noqa: B018
    with pytest.raises(ImportError):
        from conveyor_django import Quue  # noqa: F401


def test_the_package_is_imported_without_settings_and_brings_no_models():
    out = in_a_new_process(
        "import sys, conveyor_django\n"
        "from conveyor_django import exceptions, states\n"
        "print('conveyor_django.models' in sys.modules, *dir(conveyor_django))"
    )
    assert out[0] == "False"
    assert set(out) >= NAMES


def test_what_needs_no_database_is_imported_before_the_app_registry_is_ready():
    """An app may import these where it is loaded itself: in its `__init__` or in its config's module."""
    out = in_a_new_process(
        "from django.conf import settings; settings.configure()\n"
        "from conveyor_django import Backoff, ChildFailurePolicy, FlowJob, FlowResult, JobOptions, JobState\n"
        "from conveyor_django import JobSummary, processor\n"
        "@processor('q', 'n', attempts=3, backoff={'type': 'fixed'})\n"
        "def work(job): ...\n"
        "print(FlowJob('a', 'q', opts=JobOptions(attempts=2)).name, JobState.WAITING.value, work.__name__)"
    )
    assert out == ["a", "waiting", "work"]


def parameters(function):
    return {
        name: parameter.default for name, parameter in inspect.signature(function).parameters.items() if name != "self"
    }


NO_DEFAULT = inspect.Parameter.empty


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (FlowProducer, {"using": None}),
        (FlowProducer.add, {"flow": NO_DEFAULT}),
        (FlowProducer.add_bulk, {"flows": NO_DEFAULT}),
        (FlowProducer.get_flow, {"job_id": NO_DEFAULT, "depth": None}),
        (Queue, {"name": NO_DEFAULT, "using": None, "default_job_options": None}),
        (Queue.add, {"name": NO_DEFAULT, "data": {}, "opts": None}),
        (Queue.add_bulk, {"jobs": NO_DEFAULT}),
        (Queue.get_job, {"job_id": NO_DEFAULT}),
        (Queue.count, {"state": None}),
        (Queue.obliterate, {"force": False}),
        (Queue.retry_jobs, {"state": "failed"}),
        (Job.change_priority, {"priority": NO_DEFAULT}),
        (Job.update_data, {"data": NO_DEFAULT}),
        (
            Worker,
            {
                "queue_names": None,
                "processor": None,
                "using": None,
                "concurrency": 1,
                "poll_interval": 1.0,
                "shutdown_timeout": 30,
            },
        ),
        (Worker.run, {"until_idle": False, "max_jobs": None}),
        (Backoff, {"type": "exponential", "delay": 1, "max_delay": 86400, "jitter": 0.0}),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_signatures(function, expected):
    assert parameters(function) == expected


def test_enums():
    assert set(JobState.values) == {
        "waiting",
        "waiting-children",
        "delayed",
        "active",
        "completed",
        "failed",
        "cancelled",
    }
    assert set(ChildFailurePolicy.values) == {"fail", "ignore", "remove"}
    assert JobState.WAITING_CHILDREN == "waiting-children"


@pytest.mark.parametrize(
    ("name", "bases"),
    [
        ("InvalidFlow", (ValueError,)),
        ("InvalidJob", (ValueError,)),
        ("DuplicateJob", ()),
        ("InvalidJobState", ()),
        ("LostLease", ()),
        ("JobCancelled", ()),
        ("JobTimeout", ()),
        ("NoProcessor", ()),
    ],
)
def test_exceptions(name, bases):
    assert issubclass(getattr(exceptions, name), (exceptions.ConveyorError, *bases))
    for base in (exceptions.ConveyorError, *bases):
        assert issubclass(getattr(exceptions, name), base)


# What goes in and what comes out


def test_flow_job():
    flow_job = FlowJob("name", "queue")
    assert (flow_job.data, flow_job.opts, flow_job.children) == ({}, None, ())
    assert flow_job.data is not FlowJob("name", "queue").data
    assert [field.name for field in dataclasses.fields(FlowJob)] == ["name", "queue_name", "data", "opts", "children"]


@pytest.mark.django_db
def test_results_mirror_what_was_given():
    given = node("root", node("a", node("b"), queue="other", data={"n": 1}), node("c", delay=60))
    [result] = add(given)
    assert isinstance(result, FlowResult)
    assert isinstance(result.job, JobSummary)
    a, c = result.children
    [b] = a.children
    seen = [(r.job.name, r.job.queue_name, r.job.data, r.job.state, len(r.children)) for r in (result, a, b, c)]
    assert seen == [
        ("root", "q", {}, "waiting-children", 2),
        ("a", "other", {"n": 1}, "waiting-children", 1),
        ("b", "q", {}, "waiting", 0),
        ("c", "q", {}, "delayed", 0),
    ]
    for part in (result, a, b, c):
        stored = Job.objects.get(pk=part.job.id)
        assert isinstance(part.job.id, str)
        assert isinstance(part.children, list)
        assert (str(stored.pk), stored.name, stored.state) == (part.job.id, part.job.name, part.job.state)


@pytest.mark.django_db
def test_results_compare_by_what_they_hold():
    [result] = add(node("root", node("a"), node("b")))
    stored = FlowProducer().get_flow(result.job.id)
    assert stored == result
    assert stored != FlowProducer().get_flow(result.job.id, depth=0)
    finish("a")
    assert FlowProducer().get_flow(result.job.id) != result
    assert result != "root"


@pytest.mark.django_db
def test_a_repr_is_shallow_and_keeps_data_out_of_logs():
    flow = node("leaf", data={"secret": 1})
    for _ in range(4_999):
        flow = node("inner", flow, data={"secret": 1})
    [result] = add(flow)
    for shown in (repr(flow), repr(result), repr(result.job), str(Job.objects.get(pk=result.job.id))):
        assert len(shown) < 300
        assert "secret" not in shown
    assert result.job.id in repr(result)


@pytest.mark.django_db
def test_mappings_are_taken_wherever_a_dataclass_is():
    as_dataclasses = FlowJob(
        "root",
        "q",
        {"n": 1},
        JobOptions(attempts=3, backoff=Backoff("fixed", 5)),
        [FlowJob("child", "q", opts=JobOptions(priority=2))],
    )
    as_mappings = {
        "name": "root",
        "queue_name": "q",
        "data": {"n": 1},
        "opts": {"attempts": 3, "backoff": {"type": "fixed", "delay": 5}},
        "children": ({"name": "child", "queue_name": "q", "opts": {"priority": 2}},),
    }
    columns = ("name", "queue_name", "data", "state", "max_attempts", "backoff", "priority", "depth")
    flows = FlowProducer().add_bulk([as_dataclasses, as_mappings, {**as_mappings, "children": as_dataclasses.children}])
    stored = [list(Job.objects.filter(root=flow.job.id).order_by("pk").values_list(*columns)) for flow in flows]
    assert stored[0] == stored[1] == stored[2]
    assert stored[0][1][4:6] == (3, {"type": "fixed", "delay": 5, "max_delay": 86400, "jitter": 0.0})


@pytest.mark.parametrize(
    ("flow", "why"),
    [
        ({"name": "a", "queueName": "q"}, "unknown key, str 'queueName'; known are children, data, name, opts, queue"),
        ({"name": "a", "queue_name": "q", 1: 2}, "unknown key, int 1"),
        ({"queue_name": "q"}, "flow has no name"),
        ({"name": "a"}, "flow has no queue_name"),
        ({}, "flow has no name"),
        ("flow", "flow must be a FlowJob or a mapping, not str"),
        (None, "not NoneType"),
        ([], "not list"),
        (Job, "not ModelBase"),
        (
            {"name": "a", "queue_name": "q", "children": [3]},
            r"flow.children\[0\] must be a FlowJob or a mapping, not int",
        ),
        ({"name": "a", "queue_name": "q", "children": {"name": "b"}}, "children must be a list, not dict"),
        ({"name": "a", "queue_name": "q", "children": "abc"}, "children must be a list, not str"),
        ({"name": "a", "queue_name": "q", "children": 5}, "children must be a list, not int"),
        ({"name": "a", "queue_name": "q", "opts": 5}, "flow: opts must be a mapping, not int"),
        ({"name": "a", "queue_name": "q", "opts": {"removeOnComplete": True}}, "flow: opts has an unknown key"),
        (FlowJob("a", "q", opts={"backoff": {"factor": 2}}), "flow: backoff has an unknown key, str 'factor'"),
    ],
)
@pytest.mark.django_db
def test_what_is_no_flow(flow, why):
    with pytest.raises(InvalidNode, match=why):
        FlowProducer().add(flow)
    with pytest.raises(InvalidJob, match=why.replace("flow", r"flows\[1\]", 1) if why.startswith("flow") else why):
        FlowProducer().add_bulk([node("fine"), flow])
    assert not Job.objects.exists()
