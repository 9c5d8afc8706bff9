"""Processors for the processes that tests start (autodiscovered); each test's queues are its own."""

import os
import signal
import threading
import time
from pathlib import Path

from django.contrib.auth.models import Group

from conveyor_django import processor


@processor("process-add", "add")
def add(job):
    return job.data["a"] + job.data["b"]


@processor("process-fail")
def fail(job):
    raise ValueError(job.data.get("reason", "on purpose"))


@processor("process-sleep")
def sleep(job):
    """Runs for `data["seconds"]` in small naps, so that it can be interrupted."""
    deadline = time.monotonic() + job.data["seconds"]
    while time.monotonic() < deadline:
        time.sleep(0.01)


@processor("process-block")
def block(job):
    """One blocking call, which nothing interrupts."""
    threading.Event().wait(job.data["seconds"])


_held = []  # for the rest of the process


@processor("process-recycle")
def hold(job):
    """Returns its process, after having taken `data["bytes"]` for good, and once `data["file"]` is there."""
    _held.append(b"x" * job.data.get("bytes", 0))
    while "file" in job.data and not Path(job.data["file"]).exists():
        time.sleep(0.01)
    return os.getpid()


@processor("process-once")
def once(job):
    """Blocks until it is killed, unless the file is there when it starts."""
    while not Path(job.data["file"]).exists() or job.stalls == 0:
        time.sleep(0.01)
    return "second time"


@processor("process-atomic", atomic=True)
def write_and_die(job):
    """Writes a group; the first worker that runs it is killed after that."""
    Group.objects.create(name=job.data["group"])
    if job.stalls == 0:
        os.kill(os.getpid(), signal.SIGKILL)
