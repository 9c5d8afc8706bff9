"""A limit on how often the same thing is said."""

import threading
import time
from collections.abc import Hashable


class Throttle:
    """Lets each key pass once in so many seconds, per process."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last: dict[Hashable, float] = {}
        self._lock = threading.Lock()

    def passes(self, key: Hashable) -> bool:
        now = time.monotonic()
        with self._lock:
            if now - self._last.get(key, float("-inf")) < self.seconds:
                return False
            if len(self._last) > 1000:
                self._last.clear()
            self._last[key] = now
            return True

    def forget(self, key: Hashable) -> None:
        """It wasn't said."""
        with self._lock:
            self._last.pop(key, None)
