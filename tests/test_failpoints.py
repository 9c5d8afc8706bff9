"""Every transition, killed, stopped and cut off before and after each of its statements and commits.

It is done then, or not done, and what others do next brings all jobs to the same end.
"""

import re
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
from django.db import connection, connections
from django.utils import timezone

from conveyor_django import Queue, transitions
from conveyor_django.engines import failpoints
from conveyor_django.ids import new_id
from conveyor_django.models import Job, QueueState, WorkerProcess
from conveyor_django.outcomes import Completed, Failed
from conveyor_django.transitions import Fault, Found

from .failpoint_children import BROKEN, DONE, LOSSES, LOST, REFUSALS, Child
from .failpoint_scenarios import SCENARIOS, Case, Scenario, Template, snapshots, store, verdicts
from .helpers import USING, report_of, wrong_counts
from .processes import spawn, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 40


class Record(NamedTuple):
    """How a scenario goes when nothing happens."""

    scenario: Scenario
    template: Template
    places: list[str]
    stages: list[Any]  # what is in the database before it, and after each of its commits
    undone: Any  # how the jobs end if it isn't done
    done: Any

    def commits(self, place: str) -> int:
        passed = self.places[: self.places.index(place) + 1]
        return sum(place.endswith("commit:after") for place in passed)


@cache
def recorded() -> list[Record]:
    undone, done = ([Case(scenario) for scenario in SCENARIOS] for _ in range(2))
    for case in (*undone, *done):
        case.prepare()
    templates = [Template(case) for case in undone]
    passages = [passage(case) for case in done]
    recover()
    ends = verdicts([*undone, *done])
    return [
        Record(case.scenario, template, *passed, undone=ends[other.queue], done=ends[case.queue])
        for other, case, template, passed in zip(undone, done, templates, passages, strict=True)
    ]


def passage(case: Case) -> tuple[list[str], list[Any]]:
    places, stages = [], [stage(case)]

    def note(place: str, connection: Any) -> None:
        places.append(place)
        if place.endswith("commit:after"):
            stages.append(stage(case))

    with mock.patch.object(failpoints, "armed", failpoints.Failpoint("*", note, once=False)):
        case.act()
    return places, stages


def stage(case: Case) -> Any:
    return snapshots([case])[case.queue]


def recover() -> None:
    """What workers do, and an operator who resumes and mends: until no job is unfinished, and none completes twice."""
    WorkerProcess.objects.update(expires_at=timezone.now())
    Job.objects.delayed().update(run_at=timezone.now())
    for queue_name in QueueState.objects.exclude(paused_at=None).values_list("queue_name", flat=True):
        transitions.queues.resume(USING, queue_name)
    damaged = Job.objects.unfinished().filter(queue_name__startswith="mends-count", name="mid")
    transitions.mend(USING, Found(Fault.WRONG_COUNT, list(damaged.values_list("pk", flat=True))))
    completed: Counter[Any] = Counter()
    wait_for(lambda: turn(completed) and not Job.objects.unfinished().exists())
    assert set(completed.values()) <= {1}


def turn(completed: Counter[Any]) -> bool:
    transitions.declare_dead(USING)
    while transitions.rescue_stalled(USING):
        pass
    worker = new_id()
    transitions.promote_due(USING)
    while jobs := transitions.claim(USING, worker, None, 500, leased=False):
        fails = {job.pk for job in jobs if job.data.get("fails")}
        outcomes = [Failed("boom") if job.pk in fails else Completed() for job in jobs]
        assert not transitions.finish(USING, worker, list(map(report_of, jobs, outcomes)))
        completed.update(job.pk for job in jobs if job.pk not in fails)
    while transitions.tidy(USING):
        pass
    return True


class Trial(NamedTuple):
    """A case that comes to harm at a place."""

    record: Record
    place: str
    case: Case

    @property
    def commits(self) -> int:
        return self.record.commits(self.place)

    def __str__(self) -> str:
        return f"{self.case.queue} at {self.place}"


def batches() -> Iterator[list[Trial]]:
    """All places of all scenarios, some at a time."""
    trials = [Trial(record, place, Case(record.scenario)) for record in recorded() for place in record.places]
    number = len(trials) // AT_ONCE + 1
    for start in range(number):
        # those of one scenario apart: on MariaDB a claim that is stopped may hide waiting jobs of other queues
        yield trials[start::number]


@contextmanager
def children(batch: list[Trial], action: str) -> Iterator[list[Child]]:
    """A process for each, about to act on its case, which is prepared."""
    connections.close_all()  # a session is one process's
    with ExitStack() as ends:
        forked = [Child(trial.case, trial.place, action) for trial in batch]
        for child in forked:
            ends.callback(child.end)
        prepare(batch)
        yield forked


def prepare(batch: list[Trial]) -> None:
    store(trial.record.template.rows_for(trial.case) for trial in batch)


def check(batch: list[Trial], commits: list[int]) -> None:
    """So many commits of each were made, of the one that wasn't nothing is there, and others can do what is left."""
    cases = [trial.case for trial in batch]
    found = snapshots(cases)
    for trial, number in zip(batch, commits, strict=True):
        assert found[trial.case.queue] == trial.record.stages[number], str(trial)
    recover()
    assert not wrong_counts()
    ends = verdicts(cases)
    for trial, number in zip(batch, commits, strict=True):
        assert ends[trial.case.queue] == (trial.record.done if number else trial.record.undone), str(trial)


def test_every_transition_has_a_scenario():
    rooms = Path(transitions.__file__).parent.glob("*.py")
    with_transactions = {room.stem for room in rooms if ".transact(" in room.read_text()}
    places = [place for record in recorded() for place in record.places]
    assert {re.split("[.:]", place)[0] for place in places} == with_transactions
    assert all(len(set(record.places)) == len(record.places) for record in recorded())
    for record in recorded():
        assert record.scenario.changes == (record.stages[0] != record.stages[-1]), record.scenario.name


def test_who_is_killed_has_done_it_or_not():
    for batch in batches():
        with children(batch, "kill") as processes:
            for trial, child in zip(batch, processes, strict=True):
                assert child.go() == "killed", str(trial)
        commits = [trial.commits for trial in batch]
        check(batch, commits)


def test_who_loses_the_session_can_do_it_again():
    for batch in batches():
        prepare(batch)
        commits = [cut_off(trial) for trial in batch]
        check(batch, commits)


def cut_off(trial: Trial) -> int:
    """Returns how many commits it made at the end; that it made any at first can't be known to who acted."""
    disconnect = failpoints.Failpoint(trial.place, failpoints.ACTIONS["disconnect"])
    with mock.patch.object(failpoints, "armed", disconnect), pytest.raises(LOSSES):
        trial.case.act()
    connections.close_all()
    if not trial.record.scenario.repeatable:
        return trial.commits
    with suppress(*REFUSALS):  # it was done
        trial.case.act()
    return -1


if connection.vendor == "sqlite":

    def test_who_is_stopped_keeps_others_waiting_until_it_goes_on():
        for batch in batches():
            with children(batch, "stop") as processes:
                for trial, child in zip(batch, processes, strict=True):
                    assert child.go() == "stopped"
                    assert can_write() == trial.place.endswith("commit:after")
                    assert child.go_on() == DONE
            check(batch, [-1] * len(batch))

    def can_write() -> bool:
        session = sqlite3.connect(connection.settings_dict["NAME"], timeout=0)
        with closing(session), suppress(sqlite3.OperationalError):
            session.execute("BEGIN IMMEDIATE")
            return True
        return False

else:

    def test_who_is_stopped_holds_nobody_up_for_long_and_changes_nothing_later():
        for batch in batches():
            with children(batch, "stop") as processes:
                for trial, child in zip(batch, processes, strict=True):
                    assert child.go() == "stopped", str(trial)
                commits = [trial.commits for trial in batch]
                check(batch, commits)  # the rows are locked until the database ends those sessions
                check_late(batch, processes)

    def check_late(batch: list[Trial], processes: list[Child]) -> None:
        cases = [trial.case for trial in batch]
        before = snapshots(cases)
        codes = [child.go_on() for child in processes]
        after = snapshots(cases)
        for trial, code in zip(batch, codes, strict=True):
            assert code != BROKEN, str(trial)
            if code == LOST or trial.record.scenario.fenced:
                assert after[trial.case.queue] == before[trial.case.queue], str(trial)
        recover()
        ends = verdicts(cases)
        for trial in batch:
            assert ends[trial.case.queue] in (trial.record.done, trial.record.undone), str(trial)


def test_the_environment_names_the_failpoint():
    job = Queue("process-add").add("add", {"a": 1, "b": 2})
    worker = ["runworker", "process-add", "--until-idle"]
    with spawn(*worker, env={"CONVEYOR_FAILPOINT": "turn.settle:commit:before=kill"}) as process:
        assert process.ends_with() == -signal.SIGKILL
    assert Job.objects.get(pk=job.pk).state == "active"
    WorkerProcess.objects.all().delete()
    transitions.rescue_stalled(USING)
    with spawn(*worker, env={"CONVEYOR_FAILPOINT": "*=print"}) as process:
        assert process.ends_with() == 0
        assert "failpoint turn.claim:1:before\n" in process.output
        assert "failpoint turn.settle:commit:after\n" in process.output
