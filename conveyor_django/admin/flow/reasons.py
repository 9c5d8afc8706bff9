"""Why a flow failed: the reasons of its failed jobs, those that differ in digits only taken together."""

import re
from collections import Counter
from typing import Any, NamedTuple
from uuid import UUID

from conveyor_django.models import Job
from conveyor_django.states import JobState

from ..changelist import with_reason
from ..display import MAX_REASON, own_words

SHOWN = 5
MAX_READ = 500  # failed jobs that are looked at
_DIGITS = re.compile(r"[0-9]+")


class Reasons(NamedTuple):
    rows: list[tuple[int, str]]  # how often, and what; the most frequent first
    others: int  # further ones
    through: list[tuple[int, str]]  # jobs that failed through their children, by name
    itself: int  # jobs that failed by themselves
    is_capped: bool
    first: UUID | None  # the earliest of these


def reasons_of(using: str, root_id: UUID) -> Reasons:
    failed: Any = with_reason(Job.objects.using(using).filter(root=root_id, state=JobState.FAILED))
    jobs = list(failed.only("name", "failed_by", "finished_at", "state")[:MAX_READ])
    itself = [job for job in jobs if not job.failed_by]
    words: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for job in itself:
        line = own_words(job, job.short_reason).strip().split("\n", 1)[0][:MAX_REASON]
        counts[words.setdefault(_DIGITS.sub("0", line), line)] += 1
    through = Counter(job.name for job in jobs if job.failed_by)
    first = min(itself, key=lambda job: (job.finished_at, job.pk), default=None)
    return Reasons(
        [(count, line) for line, count in counts.most_common(SHOWN)],
        max(0, len(counts) - SHOWN),
        [(count, name) for name, count in through.most_common(SHOWN)],
        len(itself),
        len(jobs) == MAX_READ,
        first.pk if first else None,
    )
