"""Hearing of new work without asking."""

from abc import ABC, abstractmethod


class Listener(ABC):
    """A session that hears of new work. Used by one thread at a time."""

    @abstractmethod
    def fileno(self) -> int:
        """For a selector: readable when there may be something to hear."""

    @abstractmethod
    def heard(self) -> set[str]:
        """The queues of the wake-ups that have come since the last call; doesn't wait."""

    @abstractmethod
    def close(self) -> None: ...
