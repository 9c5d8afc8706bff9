"""How a worker of several queues shares its free slots among them."""

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

_LOOK_EVERYWHERE = 0.05  # seconds: how long a queue that was empty isn't asked while others have work


class Shares:
    """Remembers which queues have work, so that a turn needs to ask only those."""

    def __init__(self, queue_names: Sequence[str] | None) -> None:
        self._only = queue_names[0] if queue_names and len(queue_names) == 1 else None
        self._busy: set[str] = set()
        self._look_at = 0.0  # monotonic

    def rooms(self, free: int, served: Mapping[str, int]) -> dict[str, int]:
        """How many jobs of which queues; nothing means that all queues should be asked."""
        if self._only is not None:
            return {self._only: free}
        if not self._busy or time.monotonic() >= self._look_at:
            return {}
        names = sorted(self._busy, key=lambda name: served.get(name, 0))[:free]
        share, more = divmod(free, len(names))
        return {name: share + (turn < more) for turn, name in enumerate(names)}

    def note(self, free: int, rooms: Mapping[str, int], queues_of_jobs: Collection[str]) -> None:
        """What was given when so many were asked for."""
        if self._only is not None:
            return
        if rooms:
            given = Counter(queues_of_jobs)
            self._busy -= {name for name, room in rooms.items() if given[name] < room}
        else:
            busy = set(queues_of_jobs)
            self._busy = busy if len(busy) < free else set()  # else some were not asked
            self._look_at = time.monotonic() + _LOOK_EVERYWHERE
