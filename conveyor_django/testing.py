"""For tests: run jobs inline, inside `TestCase` too."""

from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.db import DatabaseError, connections, router, transaction

from .ids import new_id
from .models import Job
from .outcomes import Ending, Recorded
from .transitions import claim, finish, promote_due, tidy
from .worker import atomic, contexts
from .worker.attempt import Attempt


def drain(*queues: str, using: str | None = None) -> int:
    """Run the jobs of these queues (of all, by default) in this thread and connection until none is waiting.

    Returns how many attempts ran. Works inside `TestCase` and `atomic()`: each step is a savepoint. Timeouts
    are not enforced, delayed jobs that aren't due stay, a failing job is recorded as a worker would.
    """
    alias = using or router.db_for_write(Job)
    worker = new_id()
    count = 0
    _promote_all_due(alias)
    while jobs := claim(alias, worker, list(queues) or None, 1, leased=False):
        attempt = Attempt(jobs[0], worker)
        ending = _run(attempt, alias)
        if not isinstance(ending, Recorded):
            finish(alias, worker, [attempt.report(ending)])
        count += 1
        _promote_all_due(alias)
    while tidy(alias):
        pass
    return count


def _promote_all_due(alias: str) -> None:
    while promote_due(alias) == 0:
        pass


def _run(attempt: Attempt, using: str) -> Ending:
    connection: Any = connections[using]  # its `savepoint` can be None, whatever the stubs say
    savepoint = connection.savepoint()  # none outside of atomic()
    ending = contexts.fresh().run(async_to_sync(attempt.arun)) if attempt.is_async else atomic.run(attempt, using)
    try:
        connection.savepoint_commit(savepoint)
    except DatabaseError:  # a statement of the processor failed, and with it the caller's transaction
        transaction.set_rollback(False, using)
        connection.savepoint_rollback(savepoint)
    return ending


adrain = sync_to_async(drain)

__all__ = ["adrain", "drain"]
