"""Where attempts run: sync processors in daemon threads, async ones on one event loop."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import Error, close_old_connections, connections

from conveyor_django.exceptions import ConveyorError
from conveyor_django.outcomes import Ending, Outcome

from . import atomic
from .attempt import Attempt

OnEnd = Callable[[Attempt, Ending], None]


class Executor:
    """`on_end(attempt, outcome)` is called in the thread where the attempt ended. `start` is for one thread only."""

    def __init__(self, using: str, on_end: OnEnd) -> None:
        self._threads = _Threads(using, on_end)
        self._loop = _EventLoop(on_end)

    def start(self, attempt: Attempt) -> None:
        (self._loop if attempt.is_async else self._threads).start(attempt)

    def interrupt(self, attempt: Attempt, error: type[ConveyorError]) -> None:
        """Tell a running processor to stop: `error` in a thread, cancellation in a task."""
        if attempt.interrupt(error) and attempt.is_async:
            self._loop.cancel(attempt)

    def shutdown(self) -> None:
        """End idle threads and the event loop; what still runs is left behind and not waited for."""
        self._threads.shutdown()
        self._loop.shutdown()


class _Threads:
    def __init__(self, using: str, on_end: OnEnd) -> None:
        self._using = using
        self._on_end = on_end
        self._work: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._closed = False
        self._alive: set[threading.Thread] = set()

    def start(self, attempt: Attempt) -> None:
        with self._lock:
            spawn = self._idle == 0
            self._idle -= not spawn
        if spawn:
            # daemons: the process doesn't wait for a processor that never returns
            thread = threading.Thread(target=self._run, args=[attempt], name="conveyor-processor", daemon=True)
            self._alive.add(thread)
            thread.start()
        else:
            self._work.put(attempt)

    def _run(self, attempt: Attempt | None) -> None:
        while attempt is not None:
            _close_stale_connections()
            outcome = atomic.run(attempt, self._using)
            if self._retires(attempt):
                connections.close_all()  # before its slot is free
                self._on_end(attempt, outcome)
                break
            _close_stale_connections()
            self._on_end(attempt, outcome)
            attempt = self._work.get()
        connections.close_all()
        self._alive.discard(threading.current_thread())

    def _retires(self, attempt: Attempt) -> bool:
        """Whether this was the thread's last attempt; else it counts as idle from now on."""
        with self._lock:
            # after an interrupt in the middle of anything, its connections are not trusted with another job
            if self._closed or attempt.settled or attempt.cancel_requested:
                return True
            self._idle += 1
            return False

    def shutdown(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, 0
        for _ in range(idle):
            self._work.put(None)
        deadline = time.monotonic() + 1
        for thread in list(self._alive):
            thread.join(timeout=max(0.0, deadline - time.monotonic()))


class _EventLoop:
    def __init__(self, on_end: OnEnd) -> None:
        self._on_end = on_end
        self._loop: asyncio.AbstractEventLoop | None = None  # made for the first async attempt
        self._thread: threading.Thread | None = None
        self._tasks: dict[Attempt, asyncio.Task[Outcome]] = {}
        self._stopping = False

    def start(self, attempt: Attempt) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._serve, args=[self._loop], name="conveyor-event-loop", daemon=True
            )
            self._thread.start()
        self._loop.call_soon_threadsafe(self._spawn, attempt, self._loop)

    def cancel(self, attempt: Attempt) -> None:
        if self._loop is not None:  # else it isn't started yet, and looks for itself when it is
            self._loop.call_soon_threadsafe(self._cancel, attempt)

    def shutdown(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop, self._loop)
            self._thread.join(timeout=1)

    # In the loop's own thread

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while not self._stopping:
            with suppress(SystemExit, KeyboardInterrupt):  # of a task that a processor started: asyncio lets them out
                loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    def _spawn(self, attempt: Attempt, loop: asyncio.AbstractEventLoop) -> None:
        self._tasks[attempt] = task = loop.create_task(self._run(attempt))
        task.add_done_callback(partial(self._ended, attempt))  # not in _run: a task can be cancelled before it begins

    async def _run(self, attempt: Attempt) -> Outcome:
        # a context of its own: else the ORM calls of all jobs would share one thread
        async with ThreadSensitiveContext() as context:
            outcome = await attempt.arun()
            if context in SyncToAsync.context_to_thread_executor:  # it used the ORM
                await sync_to_async(connections.close_all)()
        return outcome

    def _ended(self, attempt: Attempt, task: "asyncio.Task[Outcome]") -> None:
        del self._tasks[attempt]
        try:
            outcome = task.result()
        except BaseException as error:  # noqa: B036 - cancelled on its way in or out
            outcome = attempt.failure(error)
        self._on_end(attempt, outcome)
        if self._stopping and not self._tasks:
            task.get_loop().stop()

    def _cancel(self, attempt: Attempt) -> None:
        if attempt in self._tasks:
            self._tasks[attempt].cancel()

    def _stop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._stopping = True
        for task in self._tasks.values():
            task.cancel()
        loop.call_later(0.5 if self._tasks else 0, loop.stop)  # at the latest


def _close_stale_connections() -> None:
    with suppress(Error):  # one that can't even be closed is gone all the same
        close_old_connections()
