"""One event loop, in a thread of its own, for async processors."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import connections

from conveyor_django.outcomes import Outcome

from . import contexts
from .attempt import Attempt
from .slots import OnEnd, Slots


class EventLoop:
    """`yields` is called when the loop has nothing for a slot, or it's the other lane's turn."""

    def __init__(self, slots: Slots, on_end: OnEnd, yields: Callable[[], None]) -> None:
        self._slots = slots
        self._on_end = on_end
        self._yields = yields
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None  # made for the first async attempt
        self._thread: threading.Thread | None = None
        self._tasks: dict[Attempt, asyncio.Task[Outcome]] = {}
        self._stopping = False

    def wake(self) -> None:
        """Let it take what it can."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._serve, args=[self._loop], name="conveyor-event-loop", daemon=True
                )
                self._thread.start()
        with suppress(RuntimeError):  # closed meanwhile
            self._loop.call_soon_threadsafe(self._work, self._loop)

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

    def _work(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Begin what there is; whether anything was."""
        begun = False
        while not self._stopping and (attempt := self._slots.take(in_loop=True)):
            self._tasks[attempt] = task = loop.create_task(self._run(attempt), context=contexts.fresh())
            task.add_done_callback(partial(self._ended, attempt))  # not in _run: a task can end before it begins
            begun = True
        self._yields()
        return begun

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
        self._slots.release(attempt)
        more = self._work(task.get_loop())
        self._on_end(attempt, outcome, more)
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
