"""Threads for sync processors: as few as the work needs, each taking one attempt after another."""

import queue
import threading
import time
from collections.abc import Callable

from django.db import connections, reset_queries

from conveyor_django.outcomes import Ending

from . import atomic
from .attempt import Attempt
from .slots import OnEnd, Slots
from .stale import close_stale_connections


class Threads:
    """`yields` is called when a thread finds nothing for the slot that it had."""

    def __init__(self, using: str, slots: Slots, on_end: OnEnd, yields: Callable[[], None]) -> None:
        self._using = using
        self._slots = slots
        self._on_end = on_end
        self._yields = yields
        self._calls: queue.SimpleQueue[bool] = queue.SimpleQueue()  # whether to go on
        self._lock = threading.Lock()
        self._idle = 0
        self._closed = False
        self._alive: set[threading.Thread] = set()

    def wake(self, number: int) -> None:
        """Let so many threads look for work."""
        with self._lock:
            for _ in range(number):
                if self._calls.qsize() < self._idle or len(self._alive) >= self._slots.limit:
                    self._calls.put(True)  # if none is idle: for one that looked just before the work came
                elif not self._closed:
                    # daemons: the process doesn't wait for a processor that never returns
                    thread = threading.Thread(target=self._run, name="conveyor-processor", daemon=True)
                    self._alive.add(thread)
                    thread.start()

    def shutdown(self) -> None:
        with self._lock:
            self._closed = True
            alive = list(self._alive)
        for _ in alive:
            self._calls.put(False)
        deadline = time.monotonic() + 1
        for thread in alive:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            close_stale_connections()
            goes_on = self._work() and self._called()
        connections.close_all()
        with self._lock:
            self._alive.discard(threading.current_thread())

    def _work(self) -> bool:
        """Run what there is; False when this thread should end."""
        attempt = self._slots.take(in_loop=False)
        while attempt is not None:
            ending = atomic.run(attempt, self._using)
            # after an interrupt in the middle of anything, its connections are not trusted with another job
            if self._closed or attempt.settled or attempt.cancel_requested:
                self._retire(attempt, ending)
                return False
            close_stale_connections()
            reset_queries()  # of DEBUG
            self._slots.release(attempt)
            following = self._slots.take(in_loop=False)
            self._on_end(attempt, ending, following is not None)
            attempt = following
        self._yields()
        return True

    def _retire(self, attempt: Attempt, ending: Ending) -> None:
        connections.close_all()  # before its slot is free
        with self._lock:
            self._alive.discard(threading.current_thread())
        self._slots.release(attempt)
        self._on_end(attempt, ending, False)
        self._yields()

    def _called(self) -> bool:
        with self._lock:
            self._idle += 1
        goes_on = self._calls.get()
        with self._lock:
            self._idle -= 1
        return goes_on
