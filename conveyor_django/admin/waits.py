"""What a job waits for: each thing that has to be, those in its way first, with what removes them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from conveyor_django.models import Job, QueueState, WorkerProcess
from conveyor_django.states import UNFINISHED, JobState

from .changelist import MAX_COUNT
from .display import age, duration, grouped, moment
from .overview_queues import MAX_WORKERS

MAX_READ = 5_000  # jobs below it that are looked at, a level
_MAX_LEVELS = 8
_MAX_PARENTS = 200  # of a level, whose children are looked at in turn
_MAX_QUEUES = 5  # that are named


class Check(NamedTuple):
    icon: str
    text: str
    detail: str = ""
    is_obstacle: bool = False
    resumes: str = ""  # the queue that a button would resume
    is_below: bool = False  # the flow's page shows more


def waits_for(job: Job, now: datetime) -> list[Check]:
    """Nothing for a job that is active or has finished."""
    if job.state not in UNFINISHED or job.state == JobState.ACTIVE:
        return []
    below = _look_below(job) if job.state == JobState.WAITING_CHILDREN else Below()
    queues = Queues(job._state.db, [job.queue_name, *below.queues()], now)
    checks = [*_delay(job, now), *_children(job, below), *_queue(job, queues)]
    checks += [check for name in below.queues() for check in _queue_below(name, below, queues)]
    if job.state == JobState.WAITING:
        checks.append(_line(job))
    return sorted(checks, key=lambda check: not check.is_obstacle)


# Below it


@dataclass
class Below:
    """Its unfinished descendants, as far as was looked."""

    children: Counter[str] = field(default_factory=Counter)  # by state, the finished ones too
    stuck: Counter[str] = field(default_factory=Counter)  # by queue, those that wait for a worker
    active: int = 0
    delayed: int = 0
    is_capped: bool = False

    def queues(self) -> list[str]:
        return [name for name, _ in self.stuck.most_common(_MAX_QUEUES)]


def _look_below(job: Job) -> Below:
    """Its newest children, since those before them tend to have finished, and what is below them."""
    below = Below()
    parents = [job.pk]
    for level in range(_MAX_LEVELS):
        jobs = Job.objects.using(job._state.db).filter(parent__in=parents)
        if not level:  # in the order of one parent's index; that of several would be read from the table's end
            jobs = jobs.order_by("-pk")
        rows = list(jobs.values_list("pk", "state", "queue_name")[:MAX_READ])
        below.is_capped |= len(rows) == MAX_READ
        states = Counter(state for _, state, _ in rows)
        if not level:
            below.children = states
        below.active += states[JobState.ACTIVE]
        below.delayed += states[JobState.DELAYED]
        below.stuck.update(name for _, state, name in rows if state == JobState.WAITING)
        parents = [pk for pk, state, _ in rows if state == JobState.WAITING_CHILDREN][:_MAX_PARENTS]
        if not parents:
            break
    return below


def _children(job: Job, below: Below) -> Iterator[Check]:
    if job.state != JobState.WAITING_CHILDREN:
        children = _bounded(Job.objects.using(job._state.db).filter(parent=job.pk))
        if children:
            text = ngettext("Its %s child has ended", "Its %s children have ended", children)
            yield Check("completed", text % grouped(children))
        elif job.state == JobState.WAITING:
            yield Check("completed", _("No children, no delay"))
        return
    total = below.children.total()
    left = job.pending_children
    of = f"{grouped(total)}+" if below.is_capped else grouped(max(total, left))
    text = ngettext("%(left)s of %(all)s children is unfinished", "%(left)s of %(all)s children are unfinished", left)
    doing = [
        f"{grouped(below.children[state])} {state.label}".lower()
        for state in JobState
        if state in UNFINISHED and below.children[state]
    ]
    numbers = {"left": grouped(left), "all": of}
    yield Check("waiting-children", text % numbers, ", ".join(doing), is_obstacle=True, is_below=True)
    if below.delayed:
        text = ngettext("%s job below it is delayed", "%s jobs below it are delayed", below.delayed)
        yield Check("delayed", text % grouped(below.delayed), is_obstacle=True)
    if below.active:
        text = ngettext("%s job below it runs", "%s jobs below it run", below.active)
        yield Check("active", text % grouped(below.active))


def _queue_below(name: str, below: Below, queues: "Queues") -> Iterator[Check]:
    count = below.stuck[name]
    text = ngettext("%s job below it waits there", "%s jobs below it wait there", count) % grouped(count)
    if name in queues.paused:
        yield _paused(name, queues.paused[name], text)
    elif not queues.is_served(name):
        yield _unserved(name, text)


# Its own turn


def _delay(job: Job, now: datetime) -> Iterator[Check]:
    if job.state == JobState.DELAYED and job.run_at:
        left = job.run_at - now
        text = _("in %s") % duration(left) if left.total_seconds() > 0 else _("now due: a worker moves it in a moment")
        if job.attempts_made:
            attempt = {"number": job.attempts_made + 1, "of": job.max_attempts}
            text = _("%(when)s, for attempt %(number)d of %(of)d") % {"when": text, **attempt}
        yield Check("delayed", _("Delayed until %s") % moment(job.run_at), text, is_obstacle=True)


def _queue(job: Job, queues: "Queues") -> Iterator[Check]:
    name = job.queue_name
    if name in queues.paused:
        yield _paused(name, queues.paused[name])
    workers = queues.serving(name)
    if not workers:
        yield _unserved(name)
        return
    heard = age(min(queues.now - worker.heartbeat_at for worker in workers))
    slots = sum(worker.concurrency for worker in workers)
    free = max(0, slots - queues.running(workers))
    facts = {"heard": heard, "free": grouped(free), "slots": grouped(slots)}
    detail = _("heard %(heard)s ago, %(free)s of %(slots)s slots free") % facts
    if len(workers) == 1:
        yield Check("completed", _("A worker serves %s") % name, f"{workers[0]}, {detail}")
    else:
        text = _("%(count)s workers serve %(queue)s") % {"count": grouped(len(workers)), "queue": name}
        yield Check("completed", text, detail)


def _line(job: Job) -> Check:
    """Its place among those that wait: three ranges of the index by which workers take them."""
    line = Job.objects.using(job._state.db).waiting().filter(queue_name=job.queue_name)
    same = Q(priority=job.priority)
    ranges = [
        line.filter(priority__lt=job.priority),
        line.filter(same, position__lt=job.position),
        line.filter(same, position=job.position, pk__lt=job.pk),
    ]
    ahead = sum(_bounded(jobs) for jobs in ranges)
    if not ahead:
        return Check("waiting", _("First in line"), _("no job of queue %s comes before it") % job.queue_name)
    shown = f"{grouped(MAX_COUNT)}+" if ahead >= MAX_COUNT else grouped(ahead)
    words = {"count": shown, "queue": job.queue_name}
    text = ngettext("%(count)s job is before it in line", "%(count)s jobs are before it in line", ahead) % words
    return Check("waiting", text, _("those of queue %s with a higher priority, or added earlier") % job.queue_name)


def _paused(name: str, state: QueueState, detail: str = "") -> Check:
    by = _("by %s") % state.paused_by if state.paused_by else ""
    details = [_("since %s") % moment(state.paused_at), *filter(None, [by, detail])]
    return Check("paused", _("Queue %s is paused") % name, ", ".join(details), is_obstacle=True, resumes=name)


def _unserved(name: str, detail: str = "") -> Check:
    return Check("late", _("No worker serves queue %s") % name, detail, is_obstacle=True)


class Queues:
    """What is known of some queues: which are paused, and who serves them."""

    def __init__(self, using: str, names: Iterable[str], now: datetime) -> None:
        self.now = now
        self._using = using
        states = QueueState.objects.using(using).filter(queue_name__in=set(names), paused_at__isnull=False)
        self.paused: dict[str, QueueState] = {state.queue_name: state for state in states}
        alive = WorkerProcess.objects.using(using).filter(dead_at=None, expires_at__gt=now)
        self._workers = list(alive.order_by("-expires_at")[:MAX_WORKERS])
        self._served = {name for worker in self._workers for name in worker.queues or ()}
        self._all_are_served = any(worker.queues is None for worker in self._workers)

    def is_served(self, name: str) -> bool:
        return self._all_are_served or name in self._served

    def serving(self, name: str) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.queues is None or name in worker.queues]

    def running(self, workers: list[WorkerProcess]) -> int:
        ids = [worker.pk for worker in workers]
        return _bounded(Job.objects.using(self._using).active().filter(worker__in=ids))


def _bounded(jobs: QuerySet[Any]) -> int:
    return jobs.order_by().values("pk")[:MAX_COUNT].count()
