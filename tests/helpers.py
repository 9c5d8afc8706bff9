"""The verbs of the design, so that a test reads like it: jobs go by their names, which are unique in a test."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock
from uuid import UUID

from django.db.models import Count, F, Q

from conveyor_django import FlowJob, FlowProducer, FlowResult, transitions
from conveyor_django.encoding import normalize_text
from conveyor_django.engines import Engine, get_engine
from conveyor_django.ids import new_id
from conveyor_django.models import Job
from conveyor_django.outcomes import Completed, Delayed, Failed, GivenBack, Outcome, Report
from conveyor_django.states import UNFINISHED

USING = "default"
WORKER = new_id()
FIRST = -(2**31) + 1


def node(name: str, *children: FlowJob, queue: str = "q", data: Any = None, **opts: Any) -> FlowJob:
    """A node of a flow; `policy` is short for `fail_parent_on_child_failure`."""
    if "policy" in opts:
        opts["fail_parent_on_child_failure"] = opts.pop("policy")
    return FlowJob(name, queue, data={} if data is None else data, opts=opts, children=children)


def add(*flows: FlowJob) -> list[FlowResult]:
    return FlowProducer().add_bulk(flows)


def job(name: str) -> Job:
    return Job.objects.get(name=name)


def ids(*names: str) -> list[str]:
    found = dict(Job.objects.filter(name__in=names).values_list("name", "pk"))
    return [str(found[name]) for name in names]


def exists(name: str) -> bool:
    return Job.objects.filter(name=name).exists()


def states() -> dict[str, str]:
    """Of all jobs there are."""
    return dict(Job.objects.values_list("name", "state"))


def parents() -> dict[str, str | None]:
    """Of all jobs there are, their parents' names."""
    return dict(Job.objects.values_list("name", "parent__name"))


def wrong_counts() -> list[tuple[str, str, int, int]]:
    """Jobs whose `pending_children` isn't the number of their unfinished children."""
    unfinished = Count("children", filter=Q(children__state__in=UNFINISHED))
    wrong = Job.objects.annotate(unfinished=unfinished).exclude(pending_children=F("unfinished"))
    return [(str(job), job.state, job.pending_children, job.unfinished) for job in wrong]


# Workers


def claim(limit: int = 1, *queues: str) -> list[Job]:
    """What a worker gets next."""
    return transitions.claim(USING, WORKER, list(queues) or None, limit, leased=False)


def start(name: str) -> Job:
    """This very job becomes active."""
    wanted = job(name)
    Job.objects.filter(pk=wanted.pk).update(priority=FIRST)
    [claimed] = claim(1, wanted.queue_name)
    assert claimed.pk == wanted.pk, f"{name} is {wanted.state} and can't be claimed"
    Job.objects.filter(pk=wanted.pk).update(priority=wanted.priority)
    claimed.priority = wanted.priority
    return claimed


def finish(name: str, value: Any = None) -> None:
    """The job runs, if it doesn't yet, and returns `value`."""
    settle({name: Completed(value)})


def fail(name: str, reason: str = "boom", *, retry_in: float = 0, discarded: bool = False) -> None:
    """An attempt of the job fails: for good if it was the last."""
    settle({name: Failed(reason, retry_in=retry_in, discarded=discarded)})


def delay(name: str) -> None:
    """The job runs and asks to run again much later."""
    settle({name: Delayed(3600)})


def give_back(name: str) -> None:
    settle({name: GivenBack()})


def settle(outcomes: Mapping[str, Outcome]) -> None:
    """A worker reports these in one batch, and still leases all of them."""
    active = [job(name) for name in outcomes]
    active = [start(j.name) if j.state == "waiting" else j for j in active]
    [worker] = {j.worker for j in active}
    assert not report(worker, *(report_of(j, outcomes[j.name]) for j in active))


def report(worker: UUID, *reports: Report) -> list[UUID]:
    return transitions.finish(USING, worker, reports)


def report_of(job: Job, outcome: Outcome) -> Report:
    if isinstance(outcome, Completed):
        outcome = Completed(*normalize_text(outcome.value, "value", 2**20))
    left = job.attempts_made < job.max_attempts
    removes = job.remove_on_complete or job.removes_children
    return Report(job.pk, job.epoch, job.parent_id, left, job.queue_name, removes, outcome)


def bring(name: str, state: str) -> None:
    """Let a waiting job come into a state by what happens to jobs."""
    ways: dict[str, Callable[[str], Any]] = {
        "waiting": lambda name: None,
        "active": start,
        "delayed": delay,
        "completed": finish,
        "failed": fail,
        "cancelled": lambda name: job(name).cancel(),
    }
    ways[state](name)
    assert job(name).state == state


def tidy() -> int:
    """Maintenance's deferred removals, until nothing is left to do."""
    taken = 0
    while count := transitions.tidy(USING):
        taken += count
    return taken


# What happens in between


@contextmanager
def meanwhile(action: Callable[[], Any], reading: str, *arguments: Any) -> Iterator[None]:
    """`action` happens after the block's transition has read this of the engine, and before it has its locks."""
    engine = type(get_engine(USING))
    real = getattr(engine, reading)
    read_before = [real(get_engine(USING), *arguments)]
    action()

    def read(self: Engine, *arguments: Any, **options: Any) -> Any:
        return read_before.pop() if read_before else real(self, *arguments, **options)

    with mock.patch.object(engine, reading, read):
        yield
    assert not read_before, f"nothing asked for {reading}"


@contextmanager
def after_reading(reading: str, action: Callable[[], Any]) -> Iterator[None]:
    """`action` happens just after the block has, for the first time, read this of the engine."""
    engine = type(get_engine(USING))
    real = getattr(engine, reading)
    pending = [action]

    def read(self: Engine, *arguments: Any, **options: Any) -> Any:
        found = real(self, *arguments, **options)
        if pending:
            pending.pop()()
        return found

    with mock.patch.object(engine, reading, read):
        yield
    assert not pending, f"nothing asked for {reading}"
