"""A worker's turn where there is no pipeline: a few statements in one short transaction."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from conveyor_django.models import Job, QueueState, WorkerProcess

from . import leased, sql
from .turns import Ended, Release, Taking, Turn

_WORKER = WorkerProcess._meta.db_table
_QUEUE = QueueState._meta.db_table
_COUNTED = "pending_children, run_at, delay, queue_name"


class _Row(NamedTuple):
    """Of a job that ended, or of a parent, as the driver hands it out."""

    id: Any
    epoch: int
    worker: Any
    parent_id: Any
    state: str
    pending_children: int
    run_at: Any
    delay: float
    queue_name: str

    @property
    def parent(self) -> str | None:
        return None if self.parent_id is None else str(self.parent_id)


class Steps:
    """An engine's part in turns."""

    waiting_hint = ""
    skip_locked_clause = ""
    lock_hint = ""
    lock_clause = ""

    if TYPE_CHECKING:
        using: str
        connection: Any
        now: Callable[[], datetime]
        begin: Callable[[], AbstractContextManager[None]]
        update_jobs: Callable[..., None]
        chunks: Callable[..., Iterator[list[UUID]]]
        _ids: Callable[[Iterable[UUID]], list[Any]]

    @property
    def has_turns(self) -> bool:
        return not self.connection.in_atomic_block

    def has_waiting(self, queue_names: Collection[str] | None) -> bool:
        if queue_names is not None and not queue_names:
            return False  # MariaDB takes no empty list
        only = "" if queue_names is None else f"AND queue_name IN ({sql.marks(queue_names)})"
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT 1 FROM {sql.JOB} {self.waiting_hint} WHERE state = 'waiting' {only} LIMIT 1",
                list(queue_names or ()),
            )
            return cursor.fetchone() is not None

    def take_turn(self, ended: Sequence[Ended], taking: Taking | None) -> Turn:
        refused: set[UUID] = set()
        released: set[str] = set()
        with self.begin():
            rows = self._lock_ended(ended) if ended else {}
            now = self.now()
            children: Counter[str] = Counter()
            for part in ended:
                lost = self._lost(part, rows)
                refused |= lost
                if len(lost) < len(part.ids):
                    held = without(part, lost)
                    self._write_ended(held, now)
                    children.update(p for key in self._keys(held.ids) if (p := rows[key].parent) is not None)
            if children:
                released = self._count_off(children, rows, ended[0].release, now)
            jobs = self._take(taking, now) if taking else []
        return Turn(refused, released, jobs)

    def _lock_ended(self, ended: Sequence[Ended]) -> dict[str, "_Row"]:
        """What ended and its parents, locked in one ascending order."""
        rows: dict[str, _Row] = {}
        columns = f"id, epoch, worker, parent_id, {ended[0].release.field}, {_COUNTED}"
        with self.connection.cursor() as cursor:
            for chunk in self.chunks({*chain.from_iterable((*part.ids, *part.parents) for part in ended)}):
                cursor.execute(
                    f"SELECT {columns} FROM {sql.JOB} {self.lock_hint} WHERE id IN ({sql.marks(chunk)}) "
                    f"ORDER BY id {self.lock_clause}",
                    self._ids(chunk),
                )
                rows.update((str(row[0]), _Row._make(row)) for row in cursor.fetchall())
        return rows

    def _lost(self, ended: Ended, rows: Mapping[str, "_Row"]) -> set[UUID]:
        """Those whose leases were lost."""
        [worker] = self._keys([ended.worker])
        fence = zip(ended.ids, self._keys(ended.ids), ended.epochs, strict=True)
        return {
            job_id
            for job_id, key, epoch in fence
            if (row := rows.get(key)) is None or row.epoch != epoch or str(row.worker) != worker
        }

    def _write_ended(self, ended: Ended, now: datetime) -> None:
        raise NotImplementedError

    def _count_off(
        self, children: Mapping[str, int], rows: Mapping[str, "_Row"], release: Release, now: datetime
    ) -> set[str]:
        """As `count_off` and `release_if_done` do for children that completed; returns the released parents' queues."""
        released = set()
        changes: dict[tuple[Any, ...], list[UUID]] = defaultdict(list)
        for key, ended in children.items():
            row = rows[key]
            change: tuple[Any, ...] = (max(0, row.pending_children - ended),)
            if row.state == release.held and row.pending_children <= ended:
                due = max(leased.moment(row.run_at) or now, now + timedelta(seconds=row.delay))
                change += (release.later if due > now else release.ready, due)
                if due <= now:
                    released.add(row.queue_name)
            changes[change].append(UUID(key))
        for change, ids in changes.items():
            self.update_jobs(ids, dict(zip(("pending_children", release.field, "run_at"), change, strict=False)))
        return released

    def _take(self, taking: Taking, now: datetime) -> list[Job]:
        values = {**taking.values, **dict.fromkeys(taking.clock, now)}
        jobs: list[Job] = []
        for queue_name, room in taking.rooms.items():
            rows = self._waiting_rows(queue_name, room, taking.worker)
            jobs += leased.jobs(map(leased.portable, rows), taking, self.using)
        if jobs:
            self.update_jobs((job.id for job in jobs), values, add=taking.add)
            _bring_up_to_date(jobs, values, taking.add)
        return leased.in_turn(jobs)

    def _waiting_rows(self, queue_name: str, limit: int, worker: UUID) -> list[tuple[Any, ...]]:
        columns = ", ".join(field.column for field in (*leased.SHARED, *leased.OWN))
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {columns} FROM {sql.JOB} {self.waiting_hint} WHERE state = 'waiting' AND queue_name = %s "
                f"AND EXISTS (SELECT 1 FROM {_WORKER} WHERE id = %s AND dead_at IS NULL) "
                f"AND NOT EXISTS (SELECT 1 FROM {_QUEUE} WHERE queue_name = %s AND paused_at IS NOT NULL) "
                f"ORDER BY priority, position, id LIMIT %s {self.skip_locked_clause}",
                [queue_name, *self._ids([worker]), queue_name, limit],
            )
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def _keys(self, ids: Iterable[UUID]) -> list[str]:
        """As the driver hands ids out, in text."""
        return [str(value) for value in self._ids(ids)]

    def _values(self, ended: Ended, now: datetime) -> dict[str, Any]:
        """By columns, as the driver takes them."""
        values = {**ended.values, **dict.fromkeys(ended.clock, now)}
        fields: dict[str, Any] = {name: Job._meta.get_field(name) for name in values}
        return {f.column: f.get_db_prep_save(values[name], self.connection) for name, f in fields.items()}

    def _listed(self, ended: Ended) -> str:
        """`[[id, JSON or null], ...]`"""
        [texts] = ended.each.values()
        results = (None if text == "null" else text for text in texts)
        return json.dumps(list(zip(self._keys(ended.ids), results, strict=True)))


def _bring_up_to_date(jobs: Iterable[Job], values: Mapping[str, Any], add: Mapping[str, int]) -> None:
    for job in jobs:
        row = job.__dict__
        row.update(values)
        for name, number in add.items():
            row[name] += number


def without(ended: Ended, ids: set[UUID]) -> Ended:
    """Those of the attempts that aren't of these jobs."""
    if not ids:
        return ended
    return ended.only(number for number, job_id in enumerate(ended.ids) if job_id not in ids)
