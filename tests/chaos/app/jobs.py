"""One processor for all: `data["does"]` is what it does at each attempt, the last one again and again."""

import ctypes
import os
import time

from conveyor_django import processor
from tests.chaos.evidence import record
from tests.chaos.flows import QUEUES


class Planned(Exception):
    """The failure that the job's data ask for; it names the epoch of the attempt."""


class PlannedBase(BaseException):
    """One that `except Exception` doesn't catch."""


def process(job):
    does = job.data["does"]
    record("ran", job=str(job.pk), epoch=job.epoch, stalls=job.stalls)
    time.sleep(job.data["naps"])
    action = does[min(job.attempts_made, len(does)) - 1]
    return ACTIONS[action](job) or {"epoch": job.epoch}


def fail(job):
    raise Planned(f"epoch {job.epoch}")


def fail_base(job):
    raise PlannedBase(f"epoch {job.epoch}")


def leave(job):
    raise SystemExit(f"epoch {job.epoch}")


def discard(job):
    job.discard()
    raise Planned(f"epoch {job.epoch}")


def put_off(job):
    if job.epoch == 1:
        job.move_to_delayed(0.05)


def hang(job):
    while True:
        time.sleep(0.01)


def loop_for_ever(job):
    while True:
        pass


def eat_memory(job):
    eaten = []
    while len(eaten) < 16:
        eaten.append(bytearray(4 * 1024 * 1024))
    raise MemoryError(f"epoch {job.epoch}")


def end_process(job):
    os._exit(70)


def end_process_once(job):
    if not job.stalls:
        os._exit(70)


def segfault_once(job):
    if not job.stalls:
        ctypes.string_at(0)


ACTIONS = {
    "return": lambda job: None,
    "fail": fail,
    "fail_base": fail_base,
    "leave": leave,
    "discard": discard,
    "put_off": put_off,
    "hang": hang,
    "loop_for_ever": loop_for_ever,
    "eat_memory": eat_memory,
    "end_process": end_process,
    "end_process_once": end_process_once,
    "segfault_once": segfault_once,
}

for queue_name in QUEUES:
    processor(queue_name)(process)
