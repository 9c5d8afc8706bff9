"""The statements and pieces that the engines share."""

from collections.abc import Sized
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from conveyor_django.models import Job, JobError, JobLog, WorkerProcess

JOB = Job._meta.db_table
HISTORY = (JobLog._meta.db_table, JobError._meta.db_table)
CHANNEL = "conveyor_django"  # of notifications
CLOCK = "clock_timestamp()"  # PostgreSQL's; now() would be the transaction's start
LARGE = frozenset({"data", "return_value", "progress", "failed_reason", "stacktrace"})

SUBTREE = f"""
WITH RECURSIVE sub(id, parent_id) AS (
    SELECT id, parent_id FROM {JOB} WHERE id IN ({{marks}})
    UNION
    SELECT c.id, c.parent_id FROM sub {{join}} {JOB} c {{hint}} ON c.parent_id = sub.id {{only}}
) SELECT id, parent_id FROM sub"""

ANCESTORS = f"""
WITH RECURSIVE up(id, parent_id, state, policy, failed_by) AS (
    SELECT id, parent_id, state, fail_parent_on_child_failure, failed_by FROM {JOB} WHERE id IN ({{marks}})
    UNION
    SELECT p.id, p.parent_id, p.state, p.fail_parent_on_child_failure, p.failed_by
    FROM up {{join}} {JOB} p {{hint}} ON p.id = up.parent_id WHERE {{condition}}
) SELECT id, parent_id, state, policy FROM up"""


class Ancestor(NamedTuple):
    id: UUID
    parent_id: UUID | None
    state: str
    policy: str


# conditions of ANCESTORS: go on above a job while it
# an active one too: its attempt may end in the same transaction, and it then waits for the child that fails
FAILS_WITH_CHILD = "up.state IN ('waiting-children', 'active') AND up.policy = 'fail'"
FAILED_THROUGH_CHILD = "up.state = 'failed' AND up.failed_by IS NOT NULL"

WAITING_QUEUES = f"""
WITH RECURSIVE q(name) AS (
    SELECT min(queue_name) FROM {JOB} WHERE state = 'waiting'
    UNION ALL
    SELECT (SELECT min(queue_name) FROM {JOB} WHERE state = 'waiting' AND queue_name > q.name)
    FROM q WHERE q.name IS NOT NULL
) SELECT name FROM q WHERE name IS NOT NULL"""

_WORKER = WorkerProcess._meta.db_table
CHORES = f"""
SELECT EXISTS (SELECT FROM {_WORKER} WHERE dead_at IS NULL AND expires_at < clock_timestamp())
    OR EXISTS (SELECT FROM {_WORKER} WHERE dead_at < clock_timestamp() - %s)
    OR EXISTS (SELECT FROM {JOB} WHERE removal_due)
    OR EXISTS (SELECT FROM {JOB} j WHERE j.state = 'active'
        AND NOT EXISTS (SELECT FROM {_WORKER} w WHERE w.id = j.worker AND w.dead_at IS NULL))"""


@cache
def columns(*, lean: bool = False) -> str:
    return ", ".join(str(f.column) for f in Job._meta.concrete_fields if not (lean and f.name in LARGE))


def marks(values: Sized) -> str:
    return ", ".join(["%s"] * len(values))


def as_uuid(value: Any) -> UUID | None:
    return value if value is None or isinstance(value, UUID) else UUID(str(value))
