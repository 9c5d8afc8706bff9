"""Connections that have ended or had their time: Django looks after those of requests, and nobody after a worker's."""

from contextlib import suppress

from django.db import Error, connections


def close_stale_connections(but: str | None = None) -> None:
    """Of this thread, but for that alias."""
    for connection in connections.all(initialized_only=True):
        if connection.alias != but:
            with suppress(Error):  # one that can't even be closed is gone all the same
                connection.close_if_unusable_or_obsolete()
