"""The machine: every step that users, workers and the time can take, done to the product and to the model."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from conveyor_django import FlowJob, FlowProducer, Queue, transitions
from conveyor_django.exceptions import DuplicateJob
from conveyor_django.models import WorkerProcess
from conveyor_django.outcomes import Completed, Delayed, Failed, GivenBack, Outcome
from conveyor_django.transitions import queues as whole_queues
from tests.chaos.model import Node, Refused
from tests.helpers import USING, tidy

from .comparison import at
from .inputs import CROWD, durations, failures, new_trees, outcomes, queues, step_of, values, workers
from .rig import Rig

UNFINISHED = ("waiting", "waiting-children", "delayed", "active")
FINISHED = ("completed", "failed", "cancelled")
ANY = (*UNFINISHED, *FINISHED)


def flow_of(node: Node) -> FlowJob:
    opts = {
        "attempts": node.attempts,
        "max_stalls": node.max_stalls,
        "delay": node.delay if node.not_before is None else at(node.not_before),
        "priority": node.priority,
        "lifo": node.lifo,
        "job_id": node.job_id,
        "remove_on_complete": node.remove_on_complete,
        "remove_on_fail": node.remove_on_fail,
        "fail_parent_on_child_failure": node.policy,
    }
    return FlowJob(node.name, node.queue, opts=opts, children=[flow_of(child) for child in node.children])


class Flows(Rig):
    # Users

    @initialize(tree=new_trees)
    def begin(self, tree: Node) -> None:
        self.add(tree)

    @precondition(lambda self: len(self.model.jobs) < CROWD)
    @rule(tree=new_trees)
    def add(self, tree: Node) -> None:
        try:
            root = self.model.add(tree)
        except Refused:
            with pytest.raises(DuplicateJob):
                FlowProducer().add(flow_of(tree))
            return
        added = FlowProducer().add(flow_of(tree))
        assert added.job.name == root
        if root == tree.name:
            self._learn_ids(tree, added)

    def _learn_ids(self, tree: Node, added: Any) -> None:
        stack = [(tree, added)]
        while stack:
            node, result = stack.pop()
            assert result.job.state == self.model.jobs[node.name].state
            self.ids[node.name] = UUID(result.job.id)
            stack.extend(zip(node.children, result.children, strict=True))

    @step_of(*FINISHED)
    def retry(self, name: str) -> None:
        self.model.retry(name)
        self.job(name).retry()

    @step_of(*ANY, verb=st.sampled_from(["cancel", "remove"]))
    def stop(self, name: str, verb: str) -> None:
        job = self.job(name)
        if verb == "cancel":
            self.same(job.cancel, lambda: self.model.cancel(name))
        else:
            self.same(job.remove, lambda: self.model.remove(name))

    @step_of(*ANY, change=st.sampled_from(["priority", "delay", "promote", "nothing"]), number=st.sampled_from([0, 60]))
    def edit(self, name: str, change: str, number: int) -> None:
        """Or ask what its state doesn't allow."""
        job = self.job(name)
        match change:
            case "priority":
                self.same(lambda: job.change_priority(number), lambda: self.model.change_priority(name, number))
            case "delay":
                self.same(lambda: job.change_delay(number), lambda: self.model.change_delay(name, number))
            case "promote":
                self.same(job.promote, lambda: self.model.promote(name))
            case "nothing" if job.state in UNFINISHED:
                self.same(job.retry, lambda: self.model.retry(name))

    # Queues

    @rule(queue=queues)
    def pause_or_resume(self, queue: str) -> None:
        if queue in self.model.paused:
            self.model.paused.remove(queue)
            Queue(queue).resume()
        else:
            self.model.paused.add(queue)
            Queue(queue).pause()

    @precondition(lambda self: self.model.in_state("delayed", *FINISHED))
    @rule(queue=queues, state=st.sampled_from(["delayed", *FINISHED]))
    def again(self, queue: str, state: str) -> None:
        """All of the queue that are in the state."""
        if state == "delayed":
            self.same(Queue(queue).promote_jobs, lambda: self.model.promote_jobs(queue))
        else:
            self.same(lambda: Queue(queue).retry_jobs(state), lambda: self.model.retry_jobs(queue, state))

    # Removals

    @precondition(lambda self: len(self.model.jobs) > CROWD // 2)
    @rule(queue=queues, verb=st.sampled_from(["clean", "drain", "obliterate", "prune"]), data=st.data())
    def sweep(self, queue: str, verb: str, data: Any) -> None:
        model, real = self.model, Queue(queue)
        match verb:
            case "clean":
                state, age = data.draw(st.sampled_from(ANY), "state"), data.draw(durations, "age")
                self.same(lambda: real.clean(state, age), lambda: model.clean(queue, state, age))
            case "drain":
                self.same(real.drain, lambda: model.drain(queue))
            case "obliterate":
                force = data.draw(st.booleans(), "force")
                self.same(lambda: real.obliterate(force=force), lambda: model.obliterate(queue, force=force))
            case "prune":
                age = data.draw(durations, "age")
                self.same(lambda: whole_queues.prune(USING, age), lambda: model.prune(age))

    @precondition(lambda self: any(job.node.remove_on_complete or job.node.remove_on_fail for job in self.ended()))
    @rule()
    def tidy(self) -> None:
        self.model.tidy()
        tidy()

    # Workers

    @step_of("waiting", worker=workers, limit=st.integers(1, 4))
    def claim(self, name: str, worker: int, limit: int) -> None:
        """Jobs of this one's queue, which may come later, or be closed."""
        self.claim_next(self.model.jobs[name].node.queue, limit, worker)

    @step_of("waiting", outcomes=st.lists(outcomes, min_size=2, max_size=4))
    def work(self, name: str, outcomes: list[Outcome]) -> None:
        """One job after the other, as they come."""
        queue = self.model.jobs[name].node.queue
        for outcome in outcomes:
            for job in self.claim_next(queue, 1):
                self.settle({job: outcome})
            self.compare()

    @step_of("active", "waiting", value=values)
    def complete(self, name: str, value: Any) -> None:
        self.end(name, Completed(value))

    @step_of("active", "waiting", failure=failures)
    def fail(self, name: str, failure: Failed) -> None:
        self.end(name, failure)

    @step_of("active", "waiting", outcome=st.sampled_from([Delayed(60), GivenBack(), None]))
    def put_off(self, name: str, outcome: Outcome | None) -> None:
        """None: the worker doesn't know the job, since the reply to its claim was lost."""
        if outcome is not None:
            self.end(name, outcome)
        elif self.can_be_leased(name):
            claim = self.leased(name)
            self.model.give_back(name)
            assert [transitions.give_back(USING, claim.worker, [(claim.pk, claim.epoch)]) for _ in range(2)] == [1, 0]

    def end(self, name: str, outcome: Outcome) -> None:
        if self.can_be_leased(name):
            self.settle({name: outcome})

    @step_of("active", data=st.data())
    def end_several(self, name: str, data: Any) -> None:
        worker = self.worker_of(name)
        batch = [job.name for job in self.model.in_state("active") if self.worker_of(job.name) == worker]
        self.settle({each: data.draw(outcomes, label=each) for each in batch})

    @step_of("active", "waiting")
    def lose(self, name: str) -> None:
        """The heartbeats of its worker stop; somebody sweeps."""
        if not self.can_be_leased(name):
            return
        lost = self.leased(name).worker
        stalled = [job.name for job in self.model.in_state("active") if self.worker_of(job.name) == lost]
        WorkerProcess.objects.filter(pk=lost).update(expires_at=at(-1))
        assert transitions.declare_dead(USING) == 1
        assert transitions.rescue_stalled(USING) == len(stalled)
        assert transitions.claim(USING, lost, None, 9) == []
        for each in self.in_order_of_a_batch(stalled):
            self.model.stall(each)
        self.workers[self.workers.index(lost)] = self.new_worker()

    @precondition(lambda self: self.claims)
    @rule(outcome=outcomes)
    def report_all_late(self, outcome: Outcome) -> None:
        """Of jobs that have ended, or were rescued, cancelled or removed meanwhile."""
        self.report_late(self.claims, outcome)

    # Time

    @precondition(lambda self: self.model.in_state("delayed"))
    @rule(seconds=st.sampled_from([60, 600]))
    def wait(self, seconds: int) -> None:
        self.model.advance(seconds)
        self.model.promote_due()
        due = [job.not_before - self.model.now for job in self.model.in_state("delayed")]
        assert transitions.promote_due(USING) == min(due, default=None)
