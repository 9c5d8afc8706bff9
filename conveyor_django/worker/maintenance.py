"""What every worker does for all, in a thread of its own: rescues, deferred removals, forgetting gone workers."""

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from conveyor_django.conf import get_settings
from conveyor_django.engines import get_engine
from conveyor_django.models import WorkerProcess
from conveyor_django.transitions import declare_dead, rescue_stalled, tidy

from . import log
from .background import Background

_FORGET_AFTER = timedelta(hours=1)
_tidying = threading.Lock()


def maintenance(using: str, worker: Callable[[], UUID]) -> Background:
    """`worker` says which lease is this worker's own now: it never declares itself dead."""

    def step() -> float:
        declare_dead(using, by=worker())
        rescue(using)
        tidy_up(using)
        forget_gone_workers(using)
        return get_settings().HEARTBEAT_INTERVAL * random.uniform(0.8, 1.2)  # not all workers at once

    return Background("maintenance", using, step, retry_in=get_settings().HEARTBEAT_INTERVAL)


def rescue(using: str) -> None:
    while count := rescue_stalled(using):
        log.rescued(count)


def tidy_up(using: str) -> None:
    """Deferred removals, until none is left; a thread of this process that is at it already is waited for."""
    with _tidying:
        while tidy(using):
            pass


def forget_gone_workers(using: str) -> None:
    before = get_engine(using).now() - _FORGET_AFTER
    WorkerProcess.objects.using(using).filter(dead_at__lt=before).delete()
