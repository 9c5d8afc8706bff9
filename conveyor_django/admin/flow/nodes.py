"""What reading a flow yields: its jobs without what only rows show, and groups of siblings in one state."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple
from uuid import UUID

from conveyor_django.states import JobState

NARROW = 20  # children that are shown as they are; more are grouped by state
COLUMNS = ("pk", "parent_id", "depth", "state", "created_at", "started_at", "finished_at", "failed_by")
GROUPED = (  # the order of groups
    *(JobState.FAILED, JobState.ACTIVE, JobState.DELAYED, JobState.WAITING),
    *(JobState.WAITING_CHILDREN, JobState.CANCELLED, JobState.COMPLETED),
)


class Node(NamedTuple):
    pk: UUID
    parent_id: UUID | None
    depth: int
    state: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    failed_by: UUID | None

    @property
    def key(self) -> str:
        return key_of(self.pk)


@dataclass(frozen=True)
class Group:
    parent_id: UUID
    state: str
    count: int
    first: datetime | None = None  # earliest start
    last: datetime | None = None  # latest end
    median: timedelta | None = None  # of how long they ran
    ends: list[datetime] = field(default_factory=list)  # where all of them are known

    @property
    def key(self) -> str:
        return f"{key_of(self.parent_id)}.{self.state}"


def group_of(parent_id: UUID, state: str, nodes: Iterable[Node]) -> Group:
    members = list(nodes)
    ran = [node.finished_at - node.started_at for node in members if node.started_at and node.finished_at]
    return Group(
        parent_id,
        state,
        len(members),
        first=min((node.started_at for node in members if node.started_at), default=None),
        last=max((node.finished_at for node in members if node.finished_at), default=None),
        median=timedelta(seconds=median(span.total_seconds() for span in ran)) if ran else None,
        ends=sorted(node.finished_at for node in members if node.finished_at),
    )


def key_of(pk: UUID) -> str:
    """An id as URLs and elements of the page name it: 22 characters."""
    return base64.urlsafe_b64encode(pk.bytes).decode().rstrip("=")


def id_of(key: str) -> UUID | None:
    try:
        return UUID(bytes=base64.urlsafe_b64decode(f"{key}=="))
    except (ValueError, binascii.Error):
        return None
