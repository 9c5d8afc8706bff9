"""What a transition is done to, and the transition: one scenario for each way that one can go.

Each can be prepared many times; every time is a case, with a queue of its own.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, NamedTuple
from unittest import mock
from uuid import UUID

from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from conveyor_django import Queue, transitions
from conveyor_django.engines import get_engine, postgresql
from conveyor_django.ids import new_id
from conveyor_django.models import Job, JobError, JobLog, QueueState, WorkerProcess
from conveyor_django.outcomes import Completed, Delayed, Failed, GivenBack, Outcome, Report
from conveyor_django.querysets import JobQuerySet
from conveyor_django.transitions import Fault, Found, queues, rescue
from conveyor_django.transitions.tidy import _tidy_one

from . import helpers
from .factories import WorkerProcessFactory
from .helpers import USING, report_of

_number = count(1)


class Scenario(NamedTuple):
    name: str
    prepare: Callable[["Case"], Any]
    act: Callable[["Case"], Any]
    changes: bool = True
    repeatable: bool = True  # doing it again, after it was done, changes nothing
    fenced: bool = True  # doing it too late, after others have brought all jobs to their end, changes nothing


class Case:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.queue = f"{scenario.name}-{next(_number)}"
        self.worker = new_id()

    def prepare(self) -> None:
        self.scenario.prepare(self)

    def act(self) -> None:
        self.scenario.act(self)

    def job(self, name: str) -> Job:
        return Job.objects.get(queue_name=self.queue, name=name)

    def add(self, tree: Any) -> None:
        helpers.add(self._node(*tree))

    def _node(self, name: str, opts: dict[str, Any], *children: Any) -> Any:
        return helpers.node(name, *(self._node(*child) for child in children), queue=self.queue, **dict(opts))

    def begin(self, *names: str) -> None:
        """The worker has these."""
        jobs = Job.objects.filter(queue_name=self.queue, name__in=names)
        jobs.update(state="active", worker=self.worker, epoch=1, attempts_made=1, started_at=timezone.now())

    def report(self, **outcomes: Outcome | None) -> None:
        reports = [report_of(self.job(name), outcome) for name, outcome in outcomes.items()]
        transitions.finish(USING, self.worker, reports)

    def end(self, **outcomes: Outcome) -> None:
        for name, outcome in outcomes.items():
            self.begin(name)
            self.report(**{name: outcome})


class Template:
    """A prepared case's rows: copying them for many cases is quicker than preparing those."""

    def __init__(self, case: Case) -> None:
        self.worker = case.worker
        self.jobs = list(Job.objects.filter(queue_name=case.queue).order_by("pk"))
        self.others: list[Model] = [
            *JobError.objects.filter(job__queue_name=case.queue),
            *WorkerProcess.objects.filter(pk=case.worker),
            *QueueState.objects.filter(queue_name=case.queue),
        ]

    def rows_for(self, case: Case) -> tuple[list[Job], list[Model]]:
        ids = {self.worker: case.worker, **{job.pk: new_id() for job in self.jobs}}  # in the same order
        return [_copy(job, case, ids) for job in self.jobs], [_copy(row, case, ids) for row in self.others]


def _copy(row: Any, case: Case, ids: dict[UUID, UUID]) -> Any:
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    values = {name: ids.get(value, value) if isinstance(value, UUID) else value for name, value in values.items()}
    if "queue_name" in values:
        values["queue_name"] = case.queue
    if isinstance(row, JobError):
        del values["id"]
    return type(row)(**values)


def store(copies: Iterable[tuple[list[Job], list[Model]]]) -> None:
    jobs: list[Job] = []
    others: dict[type[Model], list[Any]] = defaultdict(list)
    for its_jobs, its_others in copies:
        jobs += its_jobs
        for row in its_others:
            others[type(row)].append(row)
    with transaction.atomic():
        Job.objects.bulk_create(sorted(jobs, key=lambda job: job.pk, reverse=True))  # parents first, for MariaDB
        for model, rows in others.items():
            model._default_manager.bulk_create(rows)


# What is seen of cases


JOB = "depth state pending_children attempts_made stalls epoch priority removal_due data return_value progress"
TIMES_AND_IDS = "failed_by worker finished_at run_at"  # only whether there is one


def snapshots(cases: Iterable[Case]) -> dict[str, Any]:
    """By queue: all that is in the database, but for times and ids that differ from case to case."""
    found: dict[str, list[Any]] = defaultdict(list)
    queues = [case.queue for case in cases]
    jobs = Job.objects.filter(queue_name__in=queues)
    for queue, *values in jobs.values_list("queue_name", "name", "parent__name", *JOB.split()):
        found[queue].append(tuple(map(str, values)))
    for queue, name, *values in jobs.values_list("queue_name", "name", *TIMES_AND_IDS.split()):
        found[queue].append((name, *(str(value is not None) for value in values)))
    for model in (JobError, JobLog):
        rows = model.objects.filter(job__queue_name__in=queues)
        for queue, name in rows.values_list("job__queue_name", "job__name"):
            found[queue].append((name, model.__name__))
    for queue, paused_at in QueueState.objects.filter(queue_name__in=queues).values_list("queue_name", "paused_at"):
        found[queue].append(("paused", str(paused_at is not None)))
    return {queue: sorted(found[queue]) for queue in queues}


def verdicts(cases: Iterable[Case]) -> dict[str, Any]:
    """By queue: which jobs there are, and how they ended."""
    rows = defaultdict(list)
    queues = [case.queue for case in cases]
    for queue, *row in Job.objects.filter(queue_name__in=queues).values_list(
        "queue_name", "name", "parent__name", "state"
    ):
        rows[queue].append(tuple(map(str, row)))
    return {queue: sorted(rows[queue]) for queue in queues}


# Preparing


def family(*active: str, root_opts: Any = (), mid_opts: Any = (), leaf_opts: Any = (), **ended: Outcome) -> Any:
    """root over mid over a and b; some of them active, some ended."""

    def prepare(case: Case) -> None:
        case.add(("root", root_opts, ("mid", mid_opts, ("a", leaf_opts), ("b", leaf_opts))))
        case.end(**ended)
        case.begin(*active)

    return prepare


def alone(**opts: Any) -> Any:
    return lambda case: case.add(("alone", opts))


def claimable(case: Case) -> None:
    case.add(("alone", {}))
    WorkerProcessFactory(id=case.worker)


def due(case: Case) -> None:
    case.add(("alone", {"delay": 3600}))
    Job.objects.filter(queue_name=case.queue).update(run_at=timezone.now())


def obliterable(case: Case) -> None:
    family("a")(case)
    Queue(case.queue).pause()


def paused(case: Case) -> None:
    alone()(case)
    Queue(case.queue).pause()


def damaged(**values: Any) -> Any:
    def prepare(case: Case) -> None:
        family()(case)
        Job.objects.filter(queue_name=case.queue, name="mid").update(**values)

    return prepare


# Acting


def reports(**outcomes: Outcome) -> Any:
    return lambda case: case.report(**outcomes)


def verb(method: str, name: str, *arguments: Any) -> Any:
    return lambda case: getattr(case.job(name), method)(*arguments)


def of_queue(method: str, *arguments: Any, **options: Any) -> Any:
    return lambda case: getattr(queues, method)(USING, case.queue, *arguments, **options)


def adds(**root: Any) -> Any:
    return lambda case: case.add(("root", root, ("a", {}), ("b", {})))


def adds_by_copy(case: Case) -> None:
    with mock.patch.object(postgresql, "_WORTH_A_COPY", 2):
        adds()(case)


def adds_inner_id(case: Case) -> None:
    case.add(("root", {}, ("a", {"job_id": "inner"})))


def tells_news(case: Case) -> None:
    job = case.job("b")
    news = Report(job.pk, job.epoch, job.parent_id, True, progress=(50,), log_lines=["half way"])
    transitions.finish(USING, case.worker, [news])


def gives_back_unknown(case: Case) -> None:
    transitions.give_back(USING, case.worker, [(case.job("b").pk, 1)])


def mends(fault: Fault) -> Any:
    return lambda case: transitions.mend(USING, Found(fault, [case.job("mid").pk]))


def claims(case: Case) -> None:
    transitions.claim(USING, case.worker, [case.queue], 5)


# These look at all jobs there are; here each sees its case's: many are stopped at once, and would wait for each other


def promotes_due(case: Case) -> None:
    delayed = JobQuerySet.delayed
    with mock.patch.object(JobQuerySet, "delayed", lambda jobs: delayed(jobs).in_queue(case.queue)):
        transitions.promote_due(USING)


def rescues(case: Case) -> None:
    orphans = rescue._orphans
    own = {pk: job for pk, job in orphans(USING).items() if job.queue_name == case.queue}
    with mock.patch.object(rescue, "_orphans", lambda using: own):
        transitions.rescue_stalled(USING)


def tidies(case: Case) -> None:
    _tidy_one(get_engine(USING), case.job("mid").pk)


LATER = {"delay": 3600}
FAILING = {"data": {"fails": True}}
DONE, BAD = Completed(1), Failed("boom")
ALL_DONE = {"a": DONE, "b": DONE, "mid": DONE, "root": DONE}

SCENARIOS = [
    Scenario("adds", lambda case: None, adds(), repeatable=False, fenced=False),
    Scenario("adds-by-copy", lambda case: None, adds_by_copy, repeatable=False, fenced=False),
    Scenario("adds-with-id", lambda case: None, adds(job_id="one"), fenced=False),
    Scenario("adds-inner-id", lambda case: None, adds_inner_id, fenced=False),
    Scenario("adds-known-id", adds(job_id="one"), adds(job_id="one"), changes=False),
    Scenario("claims", claimable, claims),
    Scenario("completes-last", family("b", a=DONE), reports(b=DONE)),
    Scenario("completes-root", family("root", a=DONE, b=DONE, mid=DONE), reports(root=DONE)),
    Scenario("tells-news", family("b"), tells_news, repeatable=False),
    Scenario("tries-again", family("b", leaf_opts={"attempts": 2}), reports(b=Failed("boom"))),
    Scenario("tries-later", family("b", leaf_opts={"attempts": 2}), reports(b=Failed("boom", retry_in=3600))),
    Scenario("fails-up", family("b", leaf_opts=FAILING, a=DONE), reports(b=BAD)),
    Scenario("fails-ignored", family("b", leaf_opts=FAILING, mid_opts={"policy": "ignore"}, a=DONE), reports(b=BAD)),
    Scenario("fails-removing", family("a", "b", leaf_opts=FAILING, mid_opts={"policy": "remove"}), reports(b=BAD)),
    Scenario("delays", family("b"), reports(b=Delayed(3600))),
    Scenario("gives-back", family("b"), reports(b=GivenBack())),
    Scenario("ends-both", family("a", "b", root_opts={"policy": "ignore"}, leaf_opts=FAILING), reports(a=BAD, b=BAD)),
    Scenario("gives-back-unknown", family("b"), gives_back_unknown),
    Scenario("rescues", family("a", "b"), rescues),
    Scenario("rescues-failing", family("b", leaf_opts={"max_stalls": 0}, a=DONE), rescues),
    Scenario("tidies", family(leaf_opts={"remove_on_complete": True}, **ALL_DONE), tidies),
    Scenario("mends-count", damaged(pending_children=3), mends(Fault.WRONG_COUNT)),
    Scenario("mends-place", damaged(depth=7), mends(Fault.WRONG_PLACE), fenced=False),
    Scenario("cancels", family("a"), verb("cancel", "mid")),
    Scenario("retries", family(a=DONE, b=BAD), verb("retry", "b"), fenced=False),
    Scenario("removes", family(), verb("remove", "mid"), fenced=False),
    Scenario("drains", family(), of_queue("drain")),
    Scenario("cleans", family(**ALL_DONE), of_queue("clean", "completed", 0), fenced=False),
    Scenario("prunes", family(**ALL_DONE), lambda case: queues.prune(USING, 0, case.queue), fenced=False),
    Scenario("obliterates", obliterable, of_queue("obliterate", force=True), fenced=False),
    Scenario("promotes", alone(**LATER), verb("promote", "alone")),
    Scenario("promotes-queue", alone(**LATER), lambda case: transitions.promote_queue(USING, case.queue)),
    Scenario("promotes-due", due, promotes_due),
    Scenario("changes-priority", alone(), verb("change_priority", "alone", 5)),
    Scenario("changes-data", alone(), verb("update_data", "alone", {"new": 1}), fenced=False),
    Scenario("pauses", alone(), of_queue("pause"), fenced=False),
    Scenario("resumes", paused, of_queue("resume"), fenced=False),
]
