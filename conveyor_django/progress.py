"""How far a flow is, for whoever waits for it: a stage and two numbers, never data."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.core.cache import cache
from django.db.models import Count, Q
from django.utils.formats import number_format

from .ids import parse_id
from .models import Job
from .states import FINISHED, UNSUCCESSFUL, JobState

MAX_AGE = timedelta(days=7)  # of a token; whoever loads the page again has a new one
SALT = "conveyor_django.flow_progress"
ROWS_A_SECOND = 5_000  # that looking at one flow may read
SHORTEST, LONGEST = 2, 30  # seconds between two looks


class Stage(StrEnum):
    WAITING = "waiting"  # nothing of it has begun
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"  # or cancelled
    GONE = "gone"


@dataclass(frozen=True)
class Progress:
    stage: Stage
    done: int = 0
    total: int = 0

    @property
    def percent(self) -> int:
        """Rounded down: 100 means completed."""
        if self.stage == Stage.COMPLETED:
            return 100
        return min(99, self.done * 100 // self.total) if self.total else 0

    @property
    def figures(self) -> dict[str, str]:
        """As pages show them."""
        done, total = (number_format(number, force_grouping=True) for number in (self.done, self.total))
        return {"percent": str(self.percent), "done": done, "total": total}

    @property
    def interval(self) -> int:
        """Seconds until it is worth another look."""
        return max(SHORTEST, _seconds(self.total))


class _Counts(NamedTuple):
    total: int
    finished: int
    completed: int
    started: int


def progress_of(using: str, root_id: UUID) -> Progress:
    """In two queries: the root by its primary key, and its flow's counts through the index on `root`.

    Counting reads all rows of the flow. So a large flow's counts are cached until the next look is due, and it doesn't
    matter how many people look. A completed flow isn't counted.
    """
    state = Job.objects.using(using).filter(pk=root_id).values_list("state", flat=True).first()
    if state is None:
        return Progress(Stage.GONE)
    if state == JobState.COMPLETED:
        return Progress(Stage.COMPLETED)
    counts = _counts(using, root_id, state)
    if state in UNSUCCESSFUL:
        return Progress(Stage.FAILED, counts.completed, counts.total)
    stage = Stage.RUNNING if counts.started or counts.finished else Stage.WAITING
    return Progress(stage, counts.finished, counts.total)


def _counts(using: str, root_id: UUID, state: str) -> _Counts:
    key = f"{SALT}:{using}:{root_id}:{state}"  # with the state, so that the last numbers are new ones
    if kept := cache.get(key):
        return _Counts(*kept)
    counts = _Counts(
        **Job.objects.using(using)
        .filter(root=root_id)
        .aggregate(
            total=Count("pk"),
            finished=Count("pk", filter=Q(state__in=FINISHED)),
            completed=Count("pk", filter=Q(state=JobState.COMPLETED)),
            started=Count("started_at"),
        )
    )
    if seconds := _seconds(counts.total):
        cache.set(key, tuple(counts), seconds)
    return counts


def _seconds(total: int) -> int:
    """For how long the counts of so many jobs are good enough; 0 for those that cost nothing worth mentioning."""
    return min(LONGEST, total // ROWS_A_SECOND)


def token_of(using: str, root_id: UUID) -> str:
    """For URLs: names one flow, and can't be made or changed without the site's `SECRET_KEY`."""
    return signing.dumps([using, str(root_id)], salt=SALT)


def read_token(token: str) -> tuple[str, UUID] | None:
    """What `token_of` was given; None if it is none of ours, too old, or of a database that is no more."""
    try:
        using, root_id = signing.loads(token, salt=SALT, max_age=MAX_AGE)
    except signing.BadSignature:
        return None
    uuid = parse_id(root_id)
    return (using, uuid) if uuid and using in settings.DATABASES else None
