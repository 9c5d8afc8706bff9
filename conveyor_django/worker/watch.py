"""Seeing new work where the database can't tell of it: how often to look, and where a look costs next to nothing."""

from typing import NamedTuple

from django.db import Error

from conveyor_django.engines import get_engine


class Pace(NamedTuple):
    """The longer nothing has happened, the longer the pause before the next look."""

    shortest: float  # seconds
    longest: float
    share: float  # of the time since something happened

    def pause(self, idle: float) -> float:
        return min(self.longest, max(self.shortest, idle * self.share))


class Watch:
    """Whether other sessions have committed, on the connection of the loop's thread."""

    pace = Pace(0.005, 0.1, 0.1)

    def __init__(self, using: str) -> None:
        self._using = using
        self._seen: int | None = None

    @property
    def works(self) -> bool:
        return self._seen is not None

    def mark(self) -> None:
        """Whatever is committed from now on is news."""
        self._seen = get_engine(self._using).data_version()

    def has_news(self) -> bool:
        try:
            return self._seen != get_engine(self._using).data_version()
        except Error:
            return True  # the loop's next turn meets it too, and knows what to do
