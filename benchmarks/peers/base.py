"""What a peer has to be able to do. Numbers go into jobs, and come back in the handlers' marks."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

ENVIRONMENT = Path(sys.executable).parent


class Peer:
    """Subclasses say what they have; times are seconds, moments nanoseconds of the monotonic clock."""

    bulk = False  # has `add_many`
    flows = False  # has `add_flow`
    most = 10_000  # jobs to drain at most: the slow ones would take minutes

    def prepare(self) -> None:
        """Make tables and the like in an empty store."""

    def workers(self) -> list[list[str]]:
        """Command lines of its workers, in the best setting that its documentation leads to on 2 cores."""
        raise NotImplementedError

    def add(self, number: int) -> None:
        raise NotImplementedError

    def add_many(self, count: int) -> None:
        raise NotImplementedError

    def add_flow(self, number: int, children: int) -> None:
        raise NotImplementedError

    def unfinished(self) -> int:
        """How many jobs the store holds that aren't done; 0 where nobody can tell."""
        return 0

    def close(self) -> None:
        """Let go of processes and connections."""

    # What is timed. A peer whose producer is a program of its own times itself.

    def time_adding(self, count: int) -> float:
        return seconds(lambda: [self.add(number) for number in range(count)])

    def time_adding_many(self, count: int) -> float:
        return seconds(lambda: self.add_many(count))

    def time_flows(self, count: int, children: int) -> tuple[int, list[float]]:
        """When the first was added, and how long each took to add."""
        began = time.monotonic_ns()
        return began, [seconds(lambda n=number: self.add_flow(n, children)) for number in range(count)]

    def send(self, count: int, pause: float) -> list[int]:
        """Adds jobs one by one with pauses between them; when each was added."""
        sent = []
        for number in range(count):
            self.add(number)
            sent.append(time.monotonic_ns())
            time.sleep(pause)
        return sent


def seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def command(name: str) -> str:
    """A program of this environment."""
    return str(ENVIRONMENT / name)


def address(store: str) -> str:
    return os.environ[f"BENCH_{store.upper()}"]


def chosen_store() -> str:
    return os.environ["BENCH_STORE"]
