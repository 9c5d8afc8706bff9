"""Wake-ups: what makes a sleeping loop turn before its poll interval is over."""

import threading

from conveyor_django.engines import get_engine

from .background import Background

_ECHO = 0.025  # seconds: producers say the same thing once in 20 ms, what was added meanwhile is not announced


class WakeUp:
    """An event that also hears the database's notifications, where it has them."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._event = threading.Event()
        self._thread = Background("listener", self._listen, retry_in=1.0)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()
        self._thread.join(timeout=2)

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event.clear()

    def wait(self, timeout: float) -> None:
        self._event.wait(timeout)

    def _listen(self) -> float:
        session = get_engine(self._using).listen()
        if session is None:
            self._thread.stop()  # nothing to hear: polling is enough
            return 0.0
        try:
            while not self._thread.stopping:
                if session.wait(timeout=0.5):
                    self.set()
                    self._thread.pause(_ECHO)
                    self.set()
        finally:
            session.close()
        return 0.0
