"""`Worker`: the public face of the loop."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from django.db import connections, router

from conveyor_django import registry
from conveyor_django.encoding import check_name
from conveyor_django.models import Job
from conveyor_django.options import seconds, whole

from .loop import Loop
from .sessions import limited_sessions


class Worker:
    """Processes jobs in this process: sync processors in threads, async ones on one event loop.

    `queue_names` is one name or several; None is the queues that have a registered processor, or every
    queue when `processor` is given: one function for all jobs instead of the registered ones.
    `concurrency` jobs run at a time; `poll_interval` and `shutdown_timeout` are seconds.
    """

    def __init__(
        self,
        queue_names: str | Iterable[str] | None = None,
        processor: Callable[[Any], Any] | None = None,
        *,
        using: str | None = None,
        concurrency: int = 1,
        poll_interval: float = 1.0,
        shutdown_timeout: float = 30,
    ) -> None:
        self.using = using or router.db_for_write(Job)
        self.processor = processor
        self.queue_names = _queue_names(queue_names, every=processor is not None)
        self.concurrency = whole(concurrency, "concurrency", low=1)
        self.poll_interval = max(seconds(poll_interval, "poll_interval"), 0.001)
        self.shutdown_timeout = seconds(shutdown_timeout, "shutdown_timeout")
        self._stop = threading.Event()
        self._loop: Loop | None = None
        self.heartbeat_file: str | None = None  # kept as fresh as the worker
        self.on_hang: Callable[[], None] = lambda: None  # called in another thread when the loop does nothing more
        self.left_behind = 0  # processors that still ran when run() returned

    def run(self, until_idle: bool = False, max_jobs: int | None = None) -> int:  # noqa: FBT001, FBT002
        """Work until `stop()`; returns how many attempts were processed.

        `until_idle` returns when nothing is left to do in its queues (what is delayed, or in a paused queue,
        stays), `max_jobs` after so many attempts. Callable in any thread, not inside a transaction.
        """
        limit = None if max_jobs is None else whole(max_jobs, "max_jobs")
        connection = connections[self.using]
        if connection.in_atomic_block:
            raise RuntimeError(
                "Worker.run() needs transactions of its own; inside TestCase or atomic() use "
                "conveyor_django.testing.drain()"
            )
        was_open = connection.connection is not None
        self._loop = Loop(self, self._stop)
        try:
            with limited_sessions(self.using, self._loop.pulse):
                return self._loop.run(until_idle=until_idle, max_jobs=limit)
        finally:
            self.left_behind = self._loop.left_behind
            self._loop = None
            self._stop.clear()
            if not was_open:
                connection.close()

    def stop(self) -> None:
        """Take no new jobs, give the running ones `shutdown_timeout`, then return from `run()`. Thread-safe."""
        self._stop.set()
        if loop := self._loop:
            loop.wake()

    def retire(self) -> bool:
        """Take no new jobs, and return from `run()` when the running ones have ended, however long that takes.

        False when no attempt has begun yet: then nothing changes.
        """
        loop = self._loop
        return loop is not None and loop.retire()


def _queue_names(given: str | Iterable[str] | None, *, every: bool) -> list[str] | None:
    if given is None:
        return None if every else registry.registered_queues()
    names = [given] if isinstance(given, str) else list(given)
    return list(dict.fromkeys(check_name(name, "queue name") for name in names))
