"""A worker's turn where there is no pipeline: a few statements in one short transaction."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from conveyor_django.models import Job, QueueState, WorkerProcess

from . import leased, sql
from .turns import Ended, Taking, Turn


class Steps:
    """An engine's part in turns, in which parents aren't counted."""

    waiting_hint = ""
    skip_locked_clause = ""

    if TYPE_CHECKING:
        using: str
        connection: Any
        now: Callable[[], datetime]
        begin: Callable[[], AbstractContextManager[None]]
        update_jobs: Callable[..., None]
        _ids: Callable[[Iterable[UUID]], list[Any]]

    @property
    def has_turns(self) -> bool:
        return not self.connection.in_atomic_block

    def take_turn(self, ended: Sequence[Ended], taking: Taking | None) -> Turn:
        refused: set[UUID] = set()
        with self.begin():
            for part in ended:
                refused |= self._end(part)
            jobs = self._take(taking) if taking else []
        return Turn(refused, set(), jobs)

    def _end(self, ended: Ended) -> set[UUID]:
        """Write what ended; returns those whose leases were lost."""
        raise NotImplementedError

    def _take(self, taking: Taking) -> list[Job]:
        if not WorkerProcess.objects.using(self.using).filter(pk=taking.worker, dead_at=None).exists():
            return []
        paused = QueueState.objects.using(self.using).filter(paused_at__isnull=False)
        closed = set(paused.values_list("queue_name", flat=True))
        now = self.now()
        values = {**taking.values, **dict.fromkeys(taking.clock, now)}
        jobs: list[Job] = []
        for queue_name, room in taking.rooms.items():
            if queue_name not in closed:
                jobs += leased.jobs(map(leased.portable, self._waiting_rows(queue_name, room)), taking, self.using)
        if jobs:
            self.update_jobs((job.id for job in jobs), values, add=taking.add)
            _bring_up_to_date(jobs, values, taking.add)
        return leased.in_turn(jobs)

    def _waiting_rows(self, queue_name: str, limit: int) -> list[tuple[Any, ...]]:
        columns = ", ".join(field.column for field in (*leased.SHARED, *leased.OWN))
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {columns} FROM {sql.JOB} {self.waiting_hint} WHERE state = 'waiting' AND queue_name = %s "
                f"ORDER BY priority, position, id LIMIT %s {self.skip_locked_clause}",
                [queue_name, limit],
            )
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def _values(self, ended: Ended) -> dict[str, Any]:
        """By columns, as the driver takes them."""
        now = self.now()
        values = {**ended.values, **dict.fromkeys(ended.clock, now)}
        fields: dict[str, Any] = {name: Job._meta.get_field(name) for name in values}
        return {f.column: f.get_db_prep_save(values[name], self.connection) for name, f in fields.items()}

    def _listed(self, ended: Ended) -> str:
        """`[[id, epoch, JSON or null], ...]`"""
        ids = map(str, self._ids(ended.ids))
        [texts] = ended.each.values()
        return json.dumps(
            [[i, e, None if text == "null" else text] for i, e, text in zip(ids, ended.epochs, texts, strict=True)]
        )


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
    kept = [number for number, job_id in enumerate(ended.ids) if job_id not in ids]
    return ended._replace(
        ids=[ended.ids[number] for number in kept],
        epochs=[ended.epochs[number] for number in kept],
        each={name: [values[number] for number in kept] for name, values in ended.each.items()},
    )
