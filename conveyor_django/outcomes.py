"""What an attempt came to, as a value: the executor makes one and writes nothing, `transitions.finish` applies it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Completed:
    value: Any = None  # normalized JSON
    text: str | None = None  # the same, as the database is given it; None: not encoded yet


@dataclass(frozen=True, slots=True)
class Failed:
    reason: str
    stacktrace: str = ""
    retry_in: float = 0.0  # seconds, when attempts are left
    discarded: bool = False  # no more attempts, even if some are left


@dataclass(frozen=True, slots=True)
class Delayed:
    """The processor asked to run again later; the attempt isn't counted."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GivenBack:
    """Leased, but not run to its end by this worker; the attempt isn't counted."""


Outcome = Completed | Failed | Delayed | GivenBack


@dataclass(frozen=True, slots=True)
class Recorded:
    """The processor's own transaction has recorded this outcome: nothing is left to write."""

    outcome: Outcome


Ending = Outcome | Recorded


class Report(NamedTuple):
    """What a worker has to say of one job it leases: its outcome if it ended, else only news."""

    job_id: UUID
    epoch: int
    parent_id: UUID | None
    attempts_left: bool
    queue_name: str = ""
    removes: bool = False  # once completed, maintenance has something to remove here or right below
    outcome: Outcome | None = None
    progress: tuple[Any] | None = None  # one value, or nothing new
    log_lines: Sequence[str] = ()

    @property
    def pk(self) -> UUID:
        return self.job_id

    @property
    def is_final_failure(self) -> bool:
        """Whether the job can end as failed by this, so that its ancestors may be concerned."""
        return isinstance(self.outcome, Failed) and (self.outcome.discarded or not self.attempts_left)
