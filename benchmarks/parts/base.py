"""What a part of the benchmark is: who enters, what is measured, and how it is shown."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

from benchmarks.arena import Arena
from benchmarks.peers import PEERS

Figures = dict[str, Any]


@dataclass(frozen=True)
class Column:
    key: str
    heading: str
    higher_is_better: bool = True


@dataclass(frozen=True)
class Entrant:
    label: str
    peer: str
    store: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """What the command line asks for."""

    peers: tuple[str, ...]
    store: str  # of those that can choose
    finished: int = 200_000
    waiting: int = 100_000
    churn: int = 50_000


class Part(ABC):
    title: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    against: ClassVar[str] = "floor"  # the entrant that ratios are to
    patience: ClassVar[float] = 240  # seconds for one entrant in one round

    def entrants(self, choice: Choice) -> list[Entrant]:
        """By default each peer."""
        return [Entrant(name, name, store_of(name, choice.store)) for name in choice.peers]

    def before(self, arena: Arena) -> None:  # noqa: B027 - most have nothing to do
        """With a store that is there, and empty: the peer hasn't made its tables yet."""

    @abstractmethod
    def measure(self, arena: Arena) -> Figures:
        """In a process of its own, with an empty store; a column that doesn't apply is left out."""

    def described(self, runs: dict[str, list[Figures]]) -> list[str]:
        """In lines of text, where a table wouldn't do."""
        raise NotImplementedError


def store_of(peer: str, wanted: str) -> str:
    stores = PEERS[peer].stores
    return wanted if wanted in stores else stores[0]
