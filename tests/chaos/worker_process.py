"""A real `manage.py runworker`, in a process that may have been told to misbehave first."""

import os
import time
from dataclasses import dataclass
from datetime import timedelta

from django.core.management import execute_from_command_line
from django.db import connections
from django.utils import timezone

from conveyor_django.worker import ledger

from . import planted
from .evidence import record


@dataclass(frozen=True)
class Ways:
    """How one worker process differs from a healthy one."""

    database: dict[str, object]  # over the settings: another port, say
    clock: float = 0.0  # seconds that this host's clock is wrong
    twice: bool = False  # every finishing call is sent twice
    plant: str = ""  # a bug


def work(log: str, ways: Ways, concurrency: int) -> None:
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    settings = connections["default"].settings_dict
    for name, value in ways.database.items():
        settings[name] = {**settings[name], **value} if isinstance(value, dict) else value
    if ways.clock:
        _set_clock(ways.clock)
    if ways.twice:
        _finish_twice()
    if ways.plant:
        planted.PLANTS[ways.plant]()
    times = ["--poll-interval=0.2", "--shutdown-timeout=5"]
    execute_from_command_line(["manage.py", "runworker", f"--concurrency={concurrency}", *times, "--skip-checks"])


def _set_clock(seconds: float) -> None:
    """It jumps every two seconds."""
    right, right_ns = timezone.now, time.time_ns

    def wrong() -> float:
        return seconds if time.monotonic() % 4 < 2 else -seconds

    timezone.now = lambda: right() + timedelta(seconds=wrong())
    time.time_ns = lambda: right_ns() + int(wrong() * 1e9)
    record("clock", seconds=seconds)


def _finish_twice() -> None:
    turn = ledger.turn

    def twice(using, worker, reports, claiming, taken=None):
        lost = turn(using, worker, reports, None).lost if reports else []
        ended = {report.job_id for report in reports if report.outcome}
        done = turn(using, worker, reports, claiming, taken)
        record("sent twice", jobs=len(ended), applied_again=[str(job_id) for job_id in ended.difference(done.lost)])
        return done._replace(lost=lost)

    ledger.turn = twice
