"""Where attempts run: sync processors in daemon threads, async ones on one event loop."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import close_old_connections, connections

from conveyor_django.exceptions import ConveyorError
from conveyor_django.outcomes import Outcome

from .attempt import Attempt

OnEnd = Callable[[Attempt, Outcome], None]


class Executor:
    """`on_end(attempt, outcome)` is called in the thread where the attempt ended. `start` is for one thread only."""

    def __init__(self, on_end: OnEnd) -> None:
        self._threads = _Threads(on_end)
        self._loop = _EventLoop(on_end)

    def start(self, attempt: Attempt) -> None:
        (self._loop if attempt.is_async else self._threads).start(attempt)

    def interrupt(self, attempt: Attempt, error: type[ConveyorError]) -> None:
        """Tell a running processor to stop: `error` in a thread, cancellation in a task."""
        attempt.interrupt(error)
        if attempt.is_async:
            self._loop.cancel(attempt)

    def shutdown(self) -> None:
        """End idle threads and the event loop; what still runs is left behind and not waited for."""
        self._threads.shutdown()
        self._loop.shutdown()


class _Threads:
    def __init__(self, on_end: OnEnd) -> None:
        self._on_end = on_end
        self._work: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
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
            close_old_connections()
            outcome = attempt.run()
            close_old_connections()
            if attempt.settled:  # it ran out of time: this thread and its connections are not trusted with another
                connections.close_all()
                self._on_end(attempt, outcome)
                break
            with self._lock:
                self._idle += 1
            self._on_end(attempt, outcome)
            attempt = self._work.get()
        connections.close_all()
        self._alive.discard(threading.current_thread())

    def shutdown(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, 0
        for _ in range(idle):
            self._work.put(None)
        deadline = time.monotonic() + 1
        for thread in list(self._alive):
            thread.join(timeout=max(0.0, deadline - time.monotonic()))


class _EventLoop:
    def __init__(self, on_end: OnEnd) -> None:
        self._on_end = on_end
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: dict[Attempt, asyncio.Task[None]] = {}

    def start(self, attempt: Attempt) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._serve, name="conveyor-event-loop", daemon=True)
            self._thread.start()
        self._loop.call_soon_threadsafe(self._spawn, attempt)

    def cancel(self, attempt: Attempt) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(lambda: (task := self._tasks.get(attempt)) and task.cancel())

    def _serve(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _spawn(self, attempt: Attempt) -> None:
        assert self._loop is not None
        self._tasks[attempt] = self._loop.create_task(self._run(attempt))

    async def _run(self, attempt: Attempt) -> None:
        outcome: Outcome | None = None
        try:
            # a context of its own: else the ORM calls of all jobs would share one thread
            async with ThreadSensitiveContext() as context:
                outcome = await attempt.arun()
                if context in SyncToAsync.context_to_thread_executor:  # it used the ORM
                    await sync_to_async(connections.close_all)()
        except BaseException as error:  # noqa: B036 - cancelled on its way out
            outcome = outcome or attempt.failure(error)
        finally:
            del self._tasks[attempt]
            assert outcome is not None
            self._on_end(attempt, outcome)

    def shutdown(self) -> None:
        if self._loop is None or self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join(timeout=1)

    def _stop(self) -> None:
        assert self._loop is not None
        for task in self._tasks.values():
            task.cancel()
        self._loop.call_later(0.05 if self._tasks else 0, self._loop.stop)
