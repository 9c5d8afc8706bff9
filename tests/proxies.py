"""A way to the database that can be cut without anybody being told."""

import os
import selectors
import socket
import threading
from contextlib import suppress
from typing import Any

from django.db import connection


class Proxy:
    """Forwards to the test's database; what is frozen stays open and says nothing more. A context manager."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._inbox, self._outbox = socket.socketpair()
        self._selector.register(self._inbox, selectors.EVENT_READ)
        self._to: dict[socket.socket, socket.socket] = {}
        self._frozen: set[socket.socket] = set()
        self._freezing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def environment(self) -> dict[str, str]:
        """For a process that shall go this way."""
        vendor = "POSTGRES" if connection.vendor == "postgresql" else "MYSQL"
        host, port = self._listening.getsockname()
        return {f"CONVEYOR_TEST_{vendor}_HOST": host, f"CONVEYOR_TEST_{vendor}_PORT": str(port)}

    def freeze(self) -> None:
        """All connections that there are; new ones work."""
        self._freezing.clear()
        self._outbox.send(b"f")
        assert self._freezing.wait(10)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._outbox.send(b"e")
        self._thread.join(10)
        for end in [*self._to, self._listening, self._inbox, self._outbox]:
            end.close()
        self._selector.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._inbox:
                    if self._inbox.recv(1) == b"e":
                        return
                    self._frozen.update(self._to)
                    self._freezing.set()
                elif key.fileobj is self._listening:
                    self._accept()
                else:
                    self._forward(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._listening.accept()
        settings = connection.settings_dict
        server = socket.create_connection((settings["HOST"], int(settings["PORT"])))
        self._to[client], self._to[server] = server, client
        for end in (client, server):
            self._selector.register(end, selectors.EVENT_READ)

    def _forward(self, end: Any) -> None:
        with suppress(OSError):
            if data := end.recv(65536):
                if end not in self._frozen:
                    self._to[end].sendall(data)
                return
        self._selector.unregister(end)
        if end not in self._frozen:
            with suppress(OSError):
                self._to[end].shutdown(socket.SHUT_WR)


def has_sockets() -> bool:
    return connection.vendor != "sqlite" and not os.path.isabs(str(connection.settings_dict["HOST"]))
