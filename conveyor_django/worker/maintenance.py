"""What every worker does for all, in a thread of its own: rescues, deferred removals, forgetting gone workers."""

import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from conveyor_django.conf import get_settings
from conveyor_django.engines import get_engine
from conveyor_django.models import WorkerProcess
from conveyor_django.transitions import declare_dead, find_in_parents, mend, rescue_stalled, tidy_some

from . import log
from .background import Background
from .tally import Tally, forget_old_minutes

_CHECK_INTERVAL = 60.0  # seconds
_BITE = 1.0  # seconds
_FORGET_AFTER = timedelta(hours=1)
_tidying = threading.Lock()


def maintenance(using: str, worker: Callable[[], UUID], tally: Tally) -> Background:
    """`worker` says which lease is this worker's own now: it never declares itself dead."""
    check = Check(using)
    removals = Removals(using)

    def step() -> float:
        is_tidy = True
        if get_engine(using).has_chores(_FORGET_AFTER):
            declare_dead(using, by=worker())
            rescue(using)
            is_tidy = removals.bite()
            forget_gone_workers(using)
        check.take_turn()
        tally.write()
        if not is_tidy:
            return 0.0
        return get_settings().HEARTBEAT_INTERVAL * random.uniform(0.8, 1.2)  # not all workers at once

    return Background("maintenance", using, step, retry_in=get_settings().HEARTBEAT_INTERVAL)


class Check:
    """Looks at some of the parents that wait, seldom, and each time at the next ones: none may wait for nothing."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._after: UUID | None = None
        self._next = time.monotonic() + _CHECK_INTERVAL * random.random()

    def take_turn(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _CHECK_INTERVAL * random.uniform(0.8, 1.2)
        forget_old_minutes(self._using)
        found, self._after = find_in_parents(self._using, self._after)
        for part in found:
            if mended := mend(self._using, part):
                log.mended(part.fault, mended, part.ids)


def rescue(using: str) -> None:
    while count := rescue_stalled(using):
        log.rescued(count)


class Removals:
    """Deferred removals, a bite at a time: nobody's rescue, stop or new job waits for thousands of them."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._after: UUID | None = None
        self._taken = 0  # since it began at the first

    def bite(self) -> bool:
        """Whether none is left that can go; a thread of this process that is at it already is waited for."""
        until = time.monotonic() + _BITE
        with _tidying:
            while (left := until - time.monotonic()) > 0:
                taken, self._after = tidy_some(self._using, self._after, left)
                self._taken += taken
                if self._after is None:
                    if not self._taken:
                        return True
                    self._taken = 0
        return False


def forget_gone_workers(using: str) -> None:
    before = get_engine(using).now() - _FORGET_AFTER
    WorkerProcess.objects.using(using).filter(dead_at__lt=before).delete()
