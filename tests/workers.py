"""Workers in the test's own process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from conveyor_django import Worker

QUICK = {"HEARTBEAT_INTERVAL": 0.1, "HEARTBEAT_TIMEOUT": 1}  # for CONVEYOR: seconds
PATIENCE = 20  # seconds, for what takes a moment


def work(*queue_names: str, **options: Any) -> int:
    """Process what these queues hold (all registered ones by default), in this thread; returns how many attempts."""
    return Worker(queue_names or None, poll_interval=0.05, **options).run(until_idle=True)


@contextmanager
def working(*queue_names: str, **options: Any) -> Iterator[Worker]:
    """A worker that runs in a thread until it is stopped, at the latest at the end of the block."""
    worker = Worker(queue_names or None, **{"poll_interval": 0.05, **options})
    with running(worker):
        yield worker


@contextmanager
def running(worker: Worker, **how: Any) -> Iterator[threading.Thread]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            worker.run(**how)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, name="test-worker")
    thread.start()
    try:
        yield thread
    finally:
        worker.stop()
        thread.join(PATIENCE + 10)
        assert not thread.is_alive(), "the worker did not stop"
    if errors:
        raise errors[0]


def wait(event: threading.Event) -> None:
    """For processors: until the test says so, at most for a while."""
    assert event.wait(PATIENCE), "the test did not set the event"
