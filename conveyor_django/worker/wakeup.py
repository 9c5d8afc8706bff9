"""Wake-ups: what makes a sleeping loop turn before its poll interval is over."""

import selectors
import socket
import threading
import time
from collections.abc import Set
from contextlib import suppress

from django.db import Error

from conveyor_django.engines import Listener, get_engine
from conveyor_django.ids import new_id

from .background import Background
from .pulse import Pulse

_ECHO = 0.025  # seconds: producers say the same thing once in 20 ms, what was added meanwhile is not announced
_FRESH = 60.0  # seconds: then another session, since one that has become deaf can't be told from a quiet one


class WakeUp:
    """An event that also hears the database's notifications, where it has them.

    `wait` and `clear` are for the loop's thread. A thread of its own makes sessions, which may take its time; the loop
    itself listens to them, since waking one thread through another costs as much as a short job.
    """

    def __init__(self, using: str) -> None:
        self._using = using
        # a socket: signal handlers may call `set`, also in the middle of the loop's `wait`
        self._inbox, self._outbox = socket.socketpair()
        self._inbox.setblocking(False)
        self._outbox.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._inbox, selectors.EVENT_READ)
        self._session: Listener | None = None
        self._number = -1  # its file's
        self._offered: Listener | None = None  # by the thread that made it
        self._call = ""  # what that thread has told, to be heard by the session
        self._echoed = False
        self._lost = threading.Event()
        self._error: Error | None = None
        self._echo_at = float("inf")
        self.heard = 0  # notifications, ever
        self._thread = Background("listener", using, self._listen, retry_in=1.0)

    @property
    def pulse(self) -> Pulse:
        return self._thread.pulse

    @property
    def listens(self) -> bool:
        """Whether what is told is heard: a pooler between here and the server may keep it back."""
        return self._session is not None and self._echoed

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()
        self._lost.set()
        self._thread.join(timeout=2)
        self._listen_to(None)
        if self._offered is not None:
            self._offered.close()
        for resource in (self._selector, self._inbox, self._outbox):
            resource.close()

    def set(self) -> None:
        with suppress(OSError):  # full: it is set; or closed
            self._outbox.send(b"!")

    def clear(self) -> None:
        with suppress(BlockingIOError):
            while self._inbox.recv(4096):
                pass

    def wait(self, timeout: float) -> bool:
        """Whether somebody called."""
        if self._offered is not None:
            offered, self._offered = self._offered, None
            self._listen_to(offered)
            self._echo_at = time.monotonic() + _ECHO  # what was told just before isn't told again so soon
            return True  # for what was added before it listened
        left = self._echo_at - time.monotonic()
        events = self._selector.select(max(0.0, min(timeout, left)))
        called = any(key.fileobj is self._inbox for key, _ in events)
        if len(events) > called and (heard := self._hears()):
            self._echoed = self._echoed or self._call in heard
            if heard != {self._call}:
                self.heard += 1
                self._echo_at = time.monotonic() + _ECHO
                return True
        if time.monotonic() >= self._echo_at:
            self._echo_at = float("inf")
            self.heard += 1  # of what was added meanwhile, delayed jobs among it
            return True
        return called

    def _hears(self) -> Set[str]:
        assert self._session is not None
        try:
            return self._session.heard()
        except Error as error:
            self._error = error
            self._listen_to(None)
            self._lost.set()
            return set()

    def _listen_to(self, session: Listener | None) -> None:
        if self._session is not None:
            self._selector.unregister(self._number)
            self._session.close()
        self._session, self._echoed = session, False
        if session is not None:
            self._number = session.fileno()  # one that is lost has none any more
            self._selector.register(self._number, selectors.EVENT_READ)

    def _listen(self) -> float:
        self._lost.clear()
        if self._thread.stopping:  # `stop` may have come before this
            return 0.0
        session = get_engine(self._using).listen()
        if session is None:
            self._thread.stop()  # nothing to hear: polling is enough
            return 0.0
        self._call = f"{new_id()}"
        self._offered = session
        self.set()
        get_engine(self._using).notify([self._call])
        with self._thread.pulse.at_rest():
            self._lost.wait(_FRESH)
        error, self._error = self._error, None
        if error is not None:
            raise error
        return 0.0
