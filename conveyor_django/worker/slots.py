"""Who runs next: the attempts that a worker has leased ahead, and how many of them may run at a time."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from conveyor_django.outcomes import Ending

from .attempt import Attempt

OnEnd = Callable[[Attempt, Ending, bool], None]
_SHARE = 0.2  # of the latest attempt in the usual time
_OUTLIER = 4  # times the usual time at most: one long attempt among many short ones says little of the next ones
_LONGEST = 1.0  # seconds: beyond that it doesn't matter how long one took


class Slots:
    """Two lanes, one for threads and one for the event loop, share `limit` slots. For any thread."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.begun = 0  # attempts, ever
        self.usual_time: float | None = None  # seconds
        self._free = limit
        self._lock = threading.Lock()
        self._lanes: tuple[deque[Attempt], deque[Attempt]] = (deque(), deque())  # for threads, in the loop
        self._lined_up = 0

    @property
    def running(self) -> int:
        return self.limit - self._free

    @property
    def unstarted(self) -> int:
        return len(self._lanes[0]) + len(self._lanes[1])

    def line_up(self, attempts: Iterable[Attempt]) -> None:
        with self._lock:
            for attempt in attempts:
                self._lined_up += 1
                attempt.number = self._lined_up
                self._lanes[attempt.is_async].append(attempt)

    def startable(self, *, in_loop: bool) -> int:
        """How many of a lane could begin at once."""
        with self._lock:
            return min(self._free, len(self._lanes[in_loop]))

    def take(self, *, in_loop: bool) -> Attempt | None:
        """The next of a lane, if it has a slot and no older one waits in the other lane."""
        with self._lock:
            own, other = self._lanes[in_loop], self._lanes[not in_loop]
            if not (own and self._free) or (other and other[0].number < own[0].number):
                return None
            self._free -= 1
            self.begun += 1
            attempt = own.popleft()
            attempt.started = time.monotonic()
            return attempt

    def release(self, attempt: Attempt) -> None:
        """The attempt has ended."""
        seconds = min(time.monotonic() - attempt.started, _LONGEST)
        with self._lock:
            self._free += 1
            usual = self.usual_time or seconds
            self.usual_time = usual + _SHARE * (min(seconds, _OUTLIER * usual) - usual)

    def recall(self) -> list[Attempt]:
        with self._lock:
            left = [attempt for lane in self._lanes for attempt in lane]
            for lane in self._lanes:
                lane.clear()
            return left
