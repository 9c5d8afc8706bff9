"""Where claims go on from while those from a queue's front take long."""

import time
from collections.abc import Mapping, Sequence

from conveyor_django.transitions import Claiming, Place

_SLOW = 0.02  # seconds that a turn takes if it looks from the front
_TIMES = 9  # as long as such a turn takes, the front isn't looked at again


class Bookmarks:
    """While somebody's old snapshot keeps the database from tidying up, all that was claimed lies at the front.

    Only for short jobs, which are leased ahead of more urgent ones in any case.
    """

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}  # queue: the last job that was claimed there
        self._slow = 0  # turns in a row
        self._front_at = 0.0  # monotonic

    def after(self) -> Mapping[str, Place]:
        """Where to go on; nothing means at the front."""
        return self._places if time.monotonic() < self._front_at else {}

    def note(self, claiming: Claiming, claimed: Sequence[tuple[str, Place]], seconds: float) -> None:
        """Which queues' jobs a claim gave, and how long its turn took."""
        last = dict(sorted(claimed))
        if claiming.after:
            self._places = {**self._places, **last}
            if len(claimed) < claiming.limit:
                self._front_at = 0.0  # there may be more before
            return
        self._places = last
        self._slow = self._slow + 1 if seconds > _SLOW else 0
        if self._slow > 1:  # once may be chance
            self._front_at = time.monotonic() + _TIMES * seconds
