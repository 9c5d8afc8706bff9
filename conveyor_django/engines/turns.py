"""What a worker's turn at the database is made of."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from conveyor_django.models import Job


class Ended(NamedTuple):
    """Attempts of one worker that ended alike, and what to write for each while it still has the lease."""

    worker: UUID
    ids: Sequence[UUID]  # ascending
    epochs: Sequence[int]
    values: Mapping[str, Any]  # field: the same for all
    each: Mapping[str, Sequence[str]]  # field: JSON, one for each
    clock: Sequence[str]  # fields that get the time
    parents: Sequence[UUID]  # of those that have one
    release: "Release"

    def only(self, numbers: Iterable[int]) -> "Ended":
        """Some of the attempts."""
        kept = list(numbers)
        return self._replace(
            ids=[self.ids[number] for number in kept],
            epochs=[self.epochs[number] for number in kept],
            each={name: [values[number] for number in kept] for name, values in self.each.items()},
        )


class Release(NamedTuple):
    """What becomes of a parent whose `field` is `held` once its last unfinished child has ended."""

    field: str
    held: str
    ready: str
    later: str  # if its delay is not over


Place = tuple[int, int, UUID]  # of a job in its queue: priority, position, id


class Taking(NamedTuple):
    """Which waiting jobs a worker leases, and what to write of each."""

    worker: UUID
    rooms: Mapping[str, int]  # queue: how many
    values: Mapping[str, Any]
    add: Mapping[str, int]  # field: how much more
    clock: Sequence[str]
    after: Mapping[str, Place] = MappingProxyType({})  # queue: look at what comes after this only, if that is quicker


class Turn(NamedTuple):
    """What came of it."""

    refused: set[UUID]  # whose leases were lost: nothing of them was written
    released: set[str]  # the queues of parents that became ready
    taken: list[Job]  # in the order in which to start them
