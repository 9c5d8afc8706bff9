"""Hearing of new work without asking."""

from abc import ABC, abstractmethod


class Listener(ABC):
    """A session that hears of new work."""

    @abstractmethod
    def wait(self, timeout: float) -> bool:
        """Wait for a wake-up, at most `timeout` seconds; whether one came."""

    @abstractmethod
    def interrupt(self) -> None:
        """End the `wait` of another thread; callable in any."""

    @abstractmethod
    def close(self) -> None: ...
