"""What a place to store jobs has to be able to do."""

from abc import ABC, abstractmethod


class Unavailable(Exception):
    """This machine lacks what a peer needs; the message says what."""


class Service(ABC):
    """Somewhere to store jobs. `address` is what peers are given."""

    address: str

    @abstractmethod
    def empty(self) -> None:
        """As if it were new, so that no peer pays for another."""

    def stop(self) -> None:  # noqa: B027 - a folder needs nothing
        """Its data are not wanted any more."""
