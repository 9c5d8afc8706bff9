"""One transition at work: the rows it locked, what it changes of them, and what is to be told after the commit."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Model

from conveyor_django.engines import Engine
from conveyor_django.exceptions import TryAgain
from conveyor_django.models import Job, JobError, JobLog
from conveyor_django.states import TRANSITIONS, JobState

from .news import News

_PAGE = 50  # entries of up to 64 Ki characters in one statement: servers take 16 MB


class Work:
    """Changes are made on the locked rows in memory and written together by `save()`."""

    def __init__(self, engine: Engine, rows: Mapping[UUID, Job], whole: Iterable[UUID] = ()) -> None:
        self.engine = engine
        self.rows = dict(rows)
        self.whole = frozenset(whole)  # jobs whose subtrees are among the rows
        self.now: datetime = engine.now()
        self.news = News(engine)
        self.removed: set[UUID] = set()
        self._changed: dict[UUID, set[str]] = defaultdict(set)
        self._history: dict[type[Model], list[Any]] = {JobError: [], JobLog: []}

    def move(self, job: Job, state: JobState, **fields: Any) -> None:
        """The one place where a job's state changes."""
        if (job.state, state) not in TRANSITIONS:
            raise RuntimeError(f"there is no transition from {job.state} to {state}")
        self.set(job, state=state, **fields)

    def set(self, job: Job, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(job, name, value)
        self._changed[job.pk].update(fields)

    def count_off(self, parent: Job) -> None:
        """One child less is unfinished."""
        # a count that is too low, by somebody's hand, must not end every worker that meets it: the check mends it
        self.set(parent, pending_children=max(0, parent.pending_children - 1))

    def remove(self, job: Job) -> None:
        self.removed.add(job.pk)

    def parent_of(self, job: Job) -> Job | None:
        """The locked parent; a transition that didn't lock it begins again."""
        if job.parent_id is None:
            return None
        if job.parent_id not in self.rows:
            raise TryAgain(f"parent of {job.pk}")
        return self.rows[job.parent_id]

    def children(self) -> dict[UUID, list[Job]]:
        """The locked rows by their parents."""
        found: dict[UUID, list[Job]] = defaultdict(list)
        for job in self.rows.values():
            if job.parent_id is not None:
                found[job.parent_id].append(job)
        return found

    def record(self, entry: JobError | JobLog) -> None:
        self._history[type(entry)].append(entry)

    def save(self) -> None:
        for fields, jobs in self._by_fields().items():
            self._write(jobs, sorted(fields))
        for model, entries in self._history.items():
            for start in range(0, len(entries), _PAGE):
                model._default_manager.using(self.engine.using).bulk_create(entries[start : start + _PAGE])
        if self.removed:
            self.engine.delete_jobs(self.removed)
        self.news.send_after_commit()

    def _by_fields(self) -> dict[frozenset[str], list[Job]]:
        groups: dict[frozenset[str], list[Job]] = defaultdict(list)
        for job_id, fields in self._changed.items():
            if job_id not in self.removed:
                groups[frozenset(fields)].append(self.rows[job_id])
        return groups

    def _write(self, jobs: list[Job], fields: list[str]) -> None:
        first = {name: getattr(jobs[0], name) for name in fields}
        if all(_same(getattr(job, name), value) for job in jobs[1:] for name, value in first.items()):
            self.engine.update_jobs((job.pk for job in jobs), first)
        else:
            self.engine.write_jobs(jobs, fields)


def _same(one: Any, other: Any) -> bool:
    """Whether both are stored alike: 0, 0.0 and False are equal and aren't the same JSON, alone or in a list."""
    return one is other or (type(one) is type(other) and not isinstance(one, (dict, list)) and one == other)
