"""Pages by id instead of by number: the last page of a table of millions is as near as the first."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import QueryDict

from conveyor_django.ids import parse_id

BEFORE, AFTER = "before", "after"
LOOK = 50_000  # jobs that one page goes through, where no index has what the filters ask for


@dataclass(frozen=True)
class Cursor:
    """Where a page begins: below `before`, or above `after`; at the newest job if neither is given."""

    before: UUID | None = None
    after: UUID | None = None

    @classmethod
    def of(cls, query: QueryDict) -> "Cursor":
        """Raises ValueError for what is no id, and for both at once."""
        ids = {name: parse_id(query[name]) for name in (BEFORE, AFTER) if name in query}
        if None in ids.values() or len(ids) > 1:
            raise ValueError("one id of a job is wanted")
        return cls(**ids)


@dataclass(frozen=True)
class Page:
    rows: list[Any]
    is_first: bool
    newer: UUID | None = None  # `after` of the link to newer jobs
    older: UUID | None = None  # `before` of the link to older ones
    stopped: bool = False  # by LOOK: there may be more that match behind


def read(jobs: QuerySet[Any], cursor: Cursor, size: int, *, through: QuerySet[Any] | None) -> Page:
    """`through` are the jobs of which no more than LOOK are gone through; None where an index answers."""
    if cursor.after:
        page = _newer(jobs, cursor.after, size, through)
        if page.newer:
            return page
        cursor = Cursor()  # at the top: a full page of the newest
    return _older(jobs, cursor.before, size, through)


def _older(jobs: QuerySet[Any], before: UUID | None, size: int, through: QuerySet[Any] | None) -> Page:
    below = {"pk__lt": before} if before else {}
    edge = _edge(through, below, "-pk")
    rows = list(jobs.filter(**below, **({"pk__gte": edge} if edge else {})).order_by("-pk")[: size + 1])
    is_full, rows = len(rows) > size, rows[:size]
    newest = rows[0].pk if rows else before and UUID(int=max(0, before.int - 1))
    return Page(
        rows,
        is_first=before is None,
        newer=newest if before else None,
        older=rows[-1].pk if is_full else edge,
        stopped=not is_full and edge is not None,
    )


def _newer(jobs: QuerySet[Any], after: UUID, size: int, through: QuerySet[Any] | None) -> Page:
    above = {"pk__gt": after}
    edge = _edge(through, above, "pk")
    rows = list(jobs.filter(**above, **({"pk__lte": edge} if edge else {})).order_by("pk")[: size + 1])
    is_full, rows = len(rows) > size, rows[:size][::-1]
    return Page(
        rows,
        is_first=False,
        newer=rows[0].pk if is_full else edge,
        older=rows[-1].pk if rows else UUID(int=min(after.int + 1, (1 << 128) - 1)),
        stopped=not is_full and edge is not None,
    )


def _edge(through: QuerySet[Any] | None, beyond: dict[str, UUID], order: str) -> UUID | None:
    """The last job that is looked at; None if they end before."""
    if through is None:
        return None
    found: list[UUID] = list(through.filter(**beyond).order_by(order).values_list("pk", flat=True)[LOOK - 1 : LOOK])
    return found[0] if found else None


def count_newer(jobs: QuerySet[Any], after: UUID, limit: int, *, through: QuerySet[Any]) -> int:
    """How many are above `after`: as far as `limit`, and as LOOK goes."""
    edge = _edge(through, {"pk__gt": after}, "pk")
    newer = jobs.filter(pk__gt=after, **({"pk__lte": edge} if edge else {}))
    return newer.order_by().values("pk")[:limit].count()
