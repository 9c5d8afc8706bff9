"""Each step that a job, a queue or the time can take."""

from collections.abc import Iterable

from .jobs import FINISHED, QUEUED, UNSUCCESSFUL, Job, Jobs, Node, Refused


class Model(Jobs):
    # Adding and claiming

    def add(self, tree: Node) -> str:
        """Returns the root's name: of the job that has its job_id already, if there is one."""
        if existing := self.with_job_id(tree.queue, tree.job_id):
            return existing.name
        nodes = list(tree.walk())
        if any(self.with_job_id(node.queue, node.job_id) for node in nodes):
            raise Refused("a job_id below the root is taken")
        parents = {child.name: node.name for node in nodes for child in node.children}
        for node in nodes:
            self._serial += 1
            parent = parents.get(node.name)
            self.jobs[node.name] = job = Job(
                node, self._serial, parent, self.now, node.priority, node.delay, node.not_before
            )
            if not node.children:
                job.not_before = self._after_delay(job)
            self._queue(job)
        return tree.name

    def order(self, queue: str) -> list[str]:
        """In which its waiting jobs are claimed."""
        waiting = [] if queue in self.paused else self.in_state("waiting", queue=queue)
        return [job.name for job in sorted(waiting, key=lambda job: job.turn)]

    def claim(self, name: str) -> None:
        job = self._expect(name, "waiting")
        job.state = "active"
        job.attempts_made += 1

    # What a worker reports of an active job

    def complete(self, name: str, value: object = None) -> None:
        job = self._expect(name, "active")
        job.value = value
        self._finish(job, "completed")

    def fail(self, name: str, reason: str = "boom", *, discard: bool = False, retry_in: float = 0) -> None:
        job = self._expect(name, "active")
        if discard or job.attempts_made >= job.node.attempts:
            self._finish(job, "failed", reason)
        else:
            self._again(job, retry_in)

    def delay(self, name: str, seconds: float) -> None:
        """The processor asked to run later."""
        self._uncounted(name)
        self._again(self.jobs[name], seconds)

    def give_back(self, name: str) -> None:
        self._uncounted(name)
        self._again(self.jobs[name])

    def stall(self, name: str) -> None:
        """Its worker is lost."""
        self._uncounted(name)
        job = self.jobs[name]
        job.stalls += 1
        if job.stalls > job.node.max_stalls:
            self._finish(job, "failed", "stalled")
        else:
            self._again(job)

    # Time

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def promote_due(self) -> None:
        for job in self.in_state("delayed"):
            if job.not_before is not None and job.not_before <= self.now:
                self.promote(job.name)

    def promote(self, name: str) -> None:
        self._again(self._expect(name, "delayed"))

    def promote_jobs(self, queue: str) -> int:
        delayed = self.in_state("delayed", queue=queue)
        for job in delayed:
            self.promote(job.name)
        return len(delayed)

    def change_delay(self, name: str, seconds: float) -> None:
        job = self._expect(name, "delayed", "waiting-children")
        if job.state == "delayed":
            job.not_before = self.now + seconds
        else:
            job.delay, job.not_before = seconds, None

    def change_priority(self, name: str, priority: int) -> None:
        self._expect(name, "active", *QUEUED).priority = priority

    # Retrying

    def retry(self, *names: str) -> set[str]:
        """Returns the jobs that became unfinished again, those above included."""
        again = self._with_children_that_failed(self._expect(name, *FINISHED) for name in names)
        for job in again:
            job.attempts_made = job.stalls = 0
            self._reopen(job)
            job.not_before = None
        reopened = {job.name for job in again}
        while parents := self._parents_to_reopen(reopened):
            for parent in parents:
                self._reopen(parent)
                reopened.add(parent.name)
        for job in self.in_state("waiting", "delayed"):
            if self.pending(job.name):
                job.state = "waiting-children"
        for name in reopened:
            self._blame_another(self.jobs[name].parent, reopened)
        return reopened

    def retry_jobs(self, queue: str, state: str = "failed") -> int:
        wanted = [job.name for job in self.in_state(state, queue=queue)]
        return len(self.retry(*wanted) & set(wanted))

    def _with_children_that_failed(self, jobs: Iterable[Job]) -> list[Job]:
        again: list[Job] = []
        todo = list(jobs)
        while todo:
            job = todo.pop()
            if job in again:
                continue
            again.append(job)
            by_itself = job.state == "failed" and job.failed_by is None
            if job.state in UNSUCCESSFUL and not (by_itself and job.node.policy == "ignore"):
                todo += [child for child in self.children(job.name) if child.state in UNSUCCESSFUL]
        return again

    def _parents_to_reopen(self, reopened: set[str]) -> list[Job]:
        """Failed through children, and none of these is unsuccessful any more."""
        above = {self.jobs[name].parent for name in reopened}
        failed = [job for job in self.in_state("failed") if job.name in above and job.failed_by is not None]
        return [job for job in failed if not self.failures(job.name)]

    def _reopen(self, job: Job) -> None:
        job.value, job.failed_reason, job.failed_by, job.finished_at = None, "", None, None
        job.state = "waiting"  # or, when all are open again, waiting-children

    def _blame_another(self, name: str | None, reopened: set[str]) -> None:
        """A parent that stays failed has its reason from the earliest child that keeps it so."""
        if name is None or name in reopened:
            return
        parent, failures = self.jobs[name], self.failures(name)
        if parent.state == "failed" and parent.failed_by is not None and parent.failed_by not in failures:
            self._blame(parent, min((self.jobs[child] for child in failures), key=lambda c: (c.finished_at, c.serial)))

    # Cancelling and removing

    def cancel(self, name: str) -> None:
        job = self.jobs[name]
        unfinished = [each for each in self.subtree(name) if each.state not in FINISHED]
        if not unfinished:
            raise Refused(f"{name} is {job.state}")
        for each in unfinished:
            each.state, each.failed_reason, each.finished_at = "cancelled", "cancelled", self.now
        if job in unfinished:
            self._tell_parent(job)

    def remove(self, name: str) -> None:
        if self._runs_below(name):
            raise Refused(f"{name}, or a job below it, is active")
        self._take([self.jobs[name]])

    def drain(self, queue: str) -> int:
        return self._take([job for job in self.in_state(*QUEUED, queue=queue) if not self._runs_below(job.name)])

    def clean(self, queue: str, state: str, older_than: float = 0) -> int:
        """By the age since the end, or since it was added."""
        if state == "active":
            raise Refused("active jobs are not cleaned")
        jobs = [job for job in self.in_state(state, queue=queue) if not self._runs_below(job.name)]
        return self._take([job for job in jobs if self._age(job) >= older_than and self._parent_is_finished(job)])

    def prune(self, older_than: float) -> int:
        """Whole finished flows."""
        roots = [job for job in self.in_state(*FINISHED) if job.parent is None and self._age(job) >= older_than]
        return self._take([job for job in roots if self._all_finished(job)])

    def obliterate(self, queue: str, *, force: bool = False) -> int:
        jobs = [job for job in self.jobs.values() if job.node.queue == queue]
        if not force and any(self._runs_below(job.name) for job in jobs):
            raise Refused(f"something of {queue}, or below it, is active")
        self.paused.discard(queue)
        return self._take(jobs)

    def tidy(self) -> None:
        """`remove_on_complete` and `remove_on_fail`, for jobs that nobody above may still read."""
        for job in list(self.jobs.values()):
            wanted = job.node.remove_on_complete if job.state == "completed" else job.node.remove_on_fail
            above = self.jobs.get(job.parent or "")
            unread = above is None or above.state == "completed"
            if job.name in self.jobs and wanted and unread and self._all_finished(job):
                self._take([job])

    def _age(self, job: Job) -> float:
        return self.now - (job.created_at if job.finished_at is None else job.finished_at)

    def _parent_is_finished(self, job: Job) -> bool:
        return job.parent is None or self.jobs[job.parent].state in FINISHED

    def _all_finished(self, top: Job) -> bool:
        return all(job.state in FINISHED for job in self.subtree(top.name))

    def _runs_below(self, name: str) -> bool:
        return any(job.state == "active" for job in self.subtree(name))

    def _take(self, tops: list[Job]) -> int:
        gone = {job.name for top in tops for job in self.subtree(top.name)}
        for name in gone:
            del self.jobs[name]
        for top in tops:
            self._release(top.parent)
        return len(gone)
