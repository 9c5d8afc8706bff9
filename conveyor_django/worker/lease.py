"""The worker's lease: one row whose heartbeat holds all its jobs, reconciled with what it really runs."""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from django.db.models import QuerySet

from conveyor_django.conf import get_settings
from conveyor_django.engines import get_engine
from conveyor_django.exceptions import ConveyorError, JobCancelled, LostLease
from conveyor_django.ids import new_id
from conveyor_django.models import Job, WorkerProcess
from conveyor_django.states import JobState
from conveyor_django.transitions import give_back

from . import log
from .attempt import Attempt
from .background import Background
from .pulse import Pulse

Tell = Callable[[Attempt, type[ConveyorError]], None]


class Lease:
    """`leased` is the worker's own view of its jobs; `tell` reaches a processor whose job was cancelled or lost.

    `renewed` is called with the lease's id whenever it is good for another while.
    """

    def __init__(
        self,
        using: str,
        queue_names: Sequence[str] | None,
        concurrency: int,
        leased: Mapping[UUID, Attempt],
        tell: Tell,
        renewed: Callable[[UUID], None] = lambda worker: None,
    ) -> None:
        self.id = new_id()
        self._using = using
        self._queue_names = queue_names
        self._concurrency = concurrency
        self._leased = leased
        self._tell = tell
        self._renewed = renewed
        self._unknown: set[tuple[UUID, int]] = set()
        self._thread = Background("heartbeat", using, self._beat, retry_in=get_settings().HEARTBEAT_INTERVAL / 5)

    @property
    def pulse(self) -> Pulse:
        return self._thread.pulse

    def start(self) -> None:
        self._register()
        self._renewed(self.id)
        self._thread.start()

    def stop(self) -> None:
        """End the heartbeat; the row goes last, when nothing is leased any more."""
        self._thread.stop()
        self._thread.join(timeout=2)
        self._rows().filter(pk=self.id).delete()

    def _register(self) -> None:
        self.id = new_id()  # at each try: the reply to an earlier one may have been lost
        now = get_engine(self._using).now()
        self._rows().create(
            pk=self.id,
            host=socket.gethostname()[:255],
            pid=os.getpid(),
            queues=None if self._queue_names is None else list(self._queue_names),
            concurrency=self._concurrency,
            started_at=now,
            heartbeat_at=now,
            expires_at=now + timedelta(seconds=get_settings().HEARTBEAT_TIMEOUT),
        )

    def _beat(self) -> float:
        engine = get_engine(self._using)

        def renew() -> set[tuple[UUID, int]] | None:
            now = engine.now()
            expires_at = now + timedelta(seconds=get_settings().HEARTBEAT_TIMEOUT)
            if not self._rows().filter(pk=self.id, dead_at=None).update(heartbeat_at=now, expires_at=expires_at):
                return None
            jobs = Job.objects.using(self._using).active()
            return set(jobs.filter(worker=self.id).values_list("pk", "epoch"))

        before = list(self._leased.values())
        if (stored := engine.transact(renew)) is not None:
            self._reconcile(before, stored)
        else:
            self._start_anew()
        self._renewed(self.id)
        return get_settings().HEARTBEAT_INTERVAL

    def _start_anew(self) -> None:
        """Declared dead meanwhile (it was stopped, or cut off): nothing that it had is its own any more."""
        old = self.id
        self._unknown.clear()
        self._register()
        log.lease_lost(old, self.id)
        for attempt in list(self._leased.values()):
            if attempt.worker != self.id and not attempt.ended:  # not `== old`: registering can take several tries
                self._tell(attempt, LostLease)

    def _reconcile(self, before: list[Attempt], stored: set[tuple[UUID, int]]) -> None:
        """Compare what was leased before with what the database says is leased."""
        self._give_back_unknown(stored)
        gone = [a for a in before if (a.job_id, a.epoch) not in stored]
        gone = [a for a in gone if not (a.ended or a.settled or a.cancel_requested)]
        if gone:
            ids = [attempt.job_id for attempt in gone]
            jobs = Job.objects.using(self._using)
            cancelled = set(jobs.filter(pk__in=ids, state=JobState.CANCELLED).values_list("pk", flat=True))
            for attempt in gone:
                self._tell(attempt, JobCancelled if attempt.job_id in cancelled else LostLease)

    def _give_back_unknown(self, stored: set[tuple[UUID, int]]) -> None:
        """The reply to a claim was lost: seen in two heartbeats, so that a claim under way isn't meant."""
        mine = {(attempt.job_id, attempt.epoch) for attempt in list(self._leased.values())}
        unknown = stored - mine
        if twice := unknown & self._unknown:
            log.gave_back(give_back(self._using, self.id, twice))
        self._unknown = unknown

    def _rows(self) -> "QuerySet[WorkerProcess]":
        return WorkerProcess.objects.using(self._using)
