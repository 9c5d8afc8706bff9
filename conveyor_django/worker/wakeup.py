"""Wake-ups: what makes a sleeping loop turn before its poll interval is over."""

import queue
import time
from contextlib import suppress

from conveyor_django.engines import Listener, get_engine

from .background import Background
from .pulse import Pulse

_ECHO = 0.025  # seconds: producers say the same thing once in 20 ms, what was added meanwhile is not announced
_FRESH = 60.0  # seconds: then another session, since one that has become deaf can't be told from a quiet one
_LISTEN = 5.0  # seconds for one look at the session


class WakeUp:
    """An event that also hears the database's notifications, where it has them."""

    def __init__(self, using: str) -> None:
        self._using = using
        # not a threading.Event: signal handlers may call `set`, also in the middle of the loop's `wait`
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._session: Listener | None = None
        self.heard = 0  # notifications, ever
        self._thread = Background("listener", using, self._listen, retry_in=1.0)

    @property
    def pulse(self) -> Pulse:
        return self._thread.pulse

    @property
    def listens(self) -> bool:
        return self._session is not None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()
        if session := self._session:
            session.interrupt()
        self._thread.join(timeout=2)

    def set(self) -> None:
        self._calls.put(None)

    def clear(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._calls.get_nowait()

    def wait(self, timeout: float) -> bool:
        """Whether somebody called."""
        try:
            self._calls.get(timeout=timeout)
        except queue.Empty:
            return False
        return True

    def _listen(self) -> float:
        self._session = session = get_engine(self._using).listen()
        if session is None:
            self._thread.stop()  # nothing to hear: polling is enough
            return 0.0
        try:
            self.set()  # for what was added before it listened
            fresh_until = time.monotonic() + _FRESH
            while not self._thread.stopping and time.monotonic() < fresh_until:
                with self._thread.pulse.at_rest():
                    heard = session.wait(_LISTEN)
                if heard:
                    self.heard += 1
                    self.set()
                    self._thread.pause(_ECHO)
                    self.set()
        finally:
            self._session = None
            session.close()
        return 0.0
