"""A thread's connection with the database server, as another thread may cut it."""

import os
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any


class Line:
    def __init__(self, connection: Any) -> None:
        self._connection = connection  # Django's
        self._session: Any = None
        self._number = -1
        self.note()

    def note(self) -> None:
        """Of the session that is open now; in its own thread, which some drivers insist on."""
        session = self._connection.connection
        if hasattr(session, "fileno"):  # SQLite's has none
            self._session, self._number = session, session.fileno()

    def cut(self, still_silent: Callable[[], bool]) -> bool:
        """Let what waits for the server fail; whether there was a session to cut."""
        if self._session is None or self._connection.connection is not self._session:
            return False
        with suppress(OSError), closing(socket.socket(fileno=os.dup(self._number))) as line:
            if still_silent():  # else it may have been closed, and its number be another's by now
                line.shutdown(socket.SHUT_RDWR)
                return True
        return False
