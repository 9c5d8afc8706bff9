"""Where attempts run: sync processors in daemon threads, async ones on one event loop."""

from collections.abc import Sequence

from conveyor_django.exceptions import ConveyorError

from .attempt import Attempt
from .event_loop import EventLoop
from .slots import OnEnd, Slots
from .threads import Threads

_SHORT = 0.0003  # seconds: for attempts that take less, waking a thread each costs more than it gains
_AHEAD = 0.008  # seconds of work that may be leased before it can begin
_MOST = 100  # attempts leased ahead


class Executor:
    """`on_end(attempt, ending, more)` is called where the attempt ended; with `more` another one begins there.

    The methods are for one thread only.
    """

    def __init__(self, using: str, concurrency: int, on_end: OnEnd) -> None:
        self._slots = Slots(concurrency)
        self._threads = Threads(using, self._slots, on_end, self._fill_loop)
        self._loop = EventLoop(self._slots, on_end, self._fill_threads)
        self._begun = 0  # when `nudge` was called last
        self._at_a_time = 1

    @property
    def begun(self) -> int:
        """How many attempts ever began."""
        return self._slots.begun

    @property
    def running(self) -> int:
        return self._slots.running

    @property
    def unstarted(self) -> int:
        return self._slots.unstarted

    def ahead(self, slots: int) -> int:
        """How many attempts to lease beyond those that have a slot, while `slots` of them come and go."""
        usual = self._slots.usual_time
        return 0 if usual is None else min(_MOST, int(slots * _AHEAD / max(usual, 1e-6)))

    def is_quick(self) -> bool:
        usual = self._slots.usual_time
        return usual is not None and usual < _SHORT

    def start(self, attempts: Sequence[Attempt]) -> None:
        """Each as soon as there is a slot for it, in this order."""
        self._slots.line_up(attempts)
        self._begun, self._at_a_time = self._slots.begun, 1
        self._fill(1 if self.is_quick() else len(attempts))

    def nudge(self) -> None:
        """Give what waits more threads if none of it has begun since the last call."""
        if self._begun == self._slots.begun:
            self._at_a_time *= 2
            self._fill(self._at_a_time)
        self._begun = self._slots.begun

    def recall(self) -> list[Attempt]:
        """Those that haven't begun, and now won't."""
        return self._slots.recall()

    def interrupt(self, attempt: Attempt, error: type[ConveyorError]) -> None:
        """Tell a running processor to stop: `error` in a thread, cancellation in a task."""
        if attempt.interrupt(error) and attempt.is_async:
            self._loop.cancel(attempt)

    def shutdown(self) -> None:
        """End idle threads and the event loop; what still runs is left behind and not waited for."""
        self._threads.shutdown()
        self._loop.shutdown()

    def _fill(self, threads: int) -> None:
        self._fill_threads(threads)
        self._fill_loop()

    def _fill_threads(self, most: int = 1) -> None:
        if number := self._slots.startable(in_loop=False):
            self._threads.wake(min(number, most))

    def _fill_loop(self) -> None:
        if self._slots.startable(in_loop=True):
            self._loop.wake()
