"""`Queue`: one queue of jobs, for producers and for those who steer it."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import router
from django.db.models import Count

from .conf import Settings, get_settings
from .encoding import MAX_NAME, check_name, kind, shown, text_of
from .exceptions import InvalidNode
from .flatten import listed, make_job
from .ids import new_id, new_ids
from .models import Job, NewJob, instances
from .options import JobOptions, flag, seconds, whole
from .querysets import JobQuerySet
from .states import JobState
from .transitions import enqueue, promote_queue, queues

Options = JobOptions | Mapping[str, Any] | None


class Queue:
    """The queue `name` in a database alias (None: what the router says for `Job`).

    `default_job_options` hold for jobs added through this object. Each `a...` method is the async form.
    """

    def __init__(self, name: str, using: str | None = None, default_job_options: Options = None) -> None:
        self.name = check_name(name, "queue name")
        self.using = using or router.db_for_write(Job)
        self.default_job_options = JobOptions.of(default_job_options, "default_job_options")

    def __repr__(self) -> str:
        return f"Queue({self.name!r}, using={self.using!r})"

    def add(self, name: str, data: Any = {}, opts: Options = None) -> Job:  # noqa: B006 - it is copied
        """Add a job, in the caller's transaction if there is one; raises `InvalidJob`.

        With a job_id that exists in the queue it returns that job and adds nothing.
        """
        return self._store([self._new_job(name, data, opts, get_settings(), new_id())])[0]

    def add_bulk(self, jobs: Iterable[tuple[Any, ...]]) -> list[Job]:
        """Add `(name, data)` or `(name, data, opts)` each, all or none; returns the jobs in the same order."""
        entries = listed(jobs, "jobs")
        ids = new_ids(len(entries))
        settings = get_settings()
        new: list[NewJob] = []
        for entry, job_id in zip(entries, ids, strict=True):
            try:
                new.append(self._new_job(*_entry(entry), settings, job_id))
            except InvalidNode as error:
                raise InvalidNode(f"jobs[{len(new)}]: {error}") from None
        return self._store(new)

    def _new_job(self, name: Any, data: Any, opts: Options, settings: Settings, new_id: UUID) -> NewJob:
        layers = JobOptions.of(opts).over(self.default_job_options)
        return make_job(name, self.name, data, layers, settings, new_id)

    def _store(self, new: list[NewJob]) -> list[Job]:
        first = {job.job_id: job for job in reversed(new) if job.job_id is not None}
        unique = [job for job in new if job.job_id is None or first[job.job_id] is job] if first else new
        existing = enqueue(self.using, [[job] for job in unique]) if unique else {}
        jobs = {job.pk: job for job in instances((job for job in unique if job.pk not in existing), self.using)}
        jobs.update(existing)
        return [jobs[job.pk if job.job_id is None else first[job.job_id].pk] for job in new]

    def get_job(self, job_id: str | UUID) -> Job | None:
        """The job of this queue with this id or job_id."""
        named = str(job_id) if isinstance(job_id, UUID) else text_of(job_id)
        return self._jobs().find(job_id) or (self._jobs().with_job_id(named).first() if named else None)

    def get_jobs(self, *states: str, limit: int | None = 100, offset: int = 0) -> list[Job]:
        """Jobs in these states (all by default), the oldest first."""
        jobs = self._jobs().in_state(*map(_state, states)) if states else self._jobs()
        start = whole(offset, "offset")
        return list(jobs.order_by("pk")[start : None if limit is None else start + whole(limit, "limit")])

    def count(self, state: str | None = None) -> int:
        """Jobs in this state, or in all."""
        jobs = self._jobs().in_state(_state(state)) if state is not None else self._jobs()
        return jobs.count()

    def get_job_counts(self) -> dict[str, int]:
        """How many jobs there are in each state, zeros included."""
        counted = self._jobs().values_list("state").annotate(Count("pk")).order_by()
        return {**dict.fromkeys(JobState.values, 0), **dict(counted)}

    def pause(self, *, by: str = "") -> None:
        """Workers take no more jobs from it until `resume()`; `by` is who did it, for the admin."""
        queues.pause(self.using, self.name, by[:MAX_NAME])

    def resume(self) -> None:
        queues.resume(self.using, self.name)

    def is_paused(self) -> bool:
        return queues.is_paused(self.using, self.name)

    def drain(self) -> int:
        """Remove all that waits, with its subtrees; returns the number of jobs removed."""
        return queues.drain(self.using, self.name)

    def clean(self, state: str, older_than: float | timedelta = 0) -> int:
        """Remove jobs in `state` that finished longer ago than that; returns the number of jobs removed."""
        return queues.clean(self.using, self.name, _state(state), seconds(older_than, "older_than"))

    def obliterate(self, force: bool = False) -> int:  # noqa: FBT001, FBT002
        """Remove everything; raises `InvalidJobState` while something is active, unless `force`."""
        return queues.obliterate(self.using, self.name, force=flag(force, "force"))

    def retry_jobs(self, state: str = JobState.FAILED) -> int:
        """Retry all jobs in this finished state; returns how many."""
        return queues.retry_queue(self.using, self.name, _state(state))

    def promote_jobs(self) -> int:
        """Make all delayed jobs waiting now; returns how many."""
        return promote_queue(self.using, self.name)

    def _jobs(self) -> JobQuerySet:
        return Job.objects.using(self.using).in_queue(self.name)

    aadd = sync_to_async(add)
    aadd_bulk = sync_to_async(add_bulk)
    aget_job = sync_to_async(get_job)
    aget_jobs = sync_to_async(get_jobs)
    acount = sync_to_async(count)
    aget_job_counts = sync_to_async(get_job_counts)
    apause = sync_to_async(pause)
    aresume = sync_to_async(resume)
    ais_paused = sync_to_async(is_paused)
    adrain = sync_to_async(drain)
    aclean = sync_to_async(clean)
    aobliterate = sync_to_async(obliterate)
    aretry_jobs = sync_to_async(retry_jobs)
    apromote_jobs = sync_to_async(promote_jobs)


def _entry(entry: object) -> tuple[Any, Any, Options]:
    if isinstance(entry, (tuple, list)) and len(entry) in (2, 3):
        name, data, *rest = entry
        return name, data, rest[0] if rest else None
    raise InvalidNode(f"a job must be (name, data) or (name, data, opts), not {kind(entry)}")


def _state(value: str) -> JobState:
    text = text_of(value)
    if text in JobState.values:
        return JobState(text)
    raise InvalidNode(f"{shown(value)} is not a state; states are {', '.join(JobState.values)}")
