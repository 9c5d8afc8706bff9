"""Processors with `atomic=True`: what they write and what came of their job are one transaction."""

from contextlib import ExitStack, suppress

from django.db import DatabaseError, Error, InterfaceError, connections, transaction

from conveyor_django.conf import get_settings
from conveyor_django.engines import Engine, get_engine
from conveyor_django.exceptions import LostLease, TryAgain
from conveyor_django.outcomes import Ending, Failed, GivenBack, Outcome, Recorded
from conveyor_django.transitions import finish

from .attempt import Attempt


def run(attempt: Attempt, using: str) -> Ending:
    """Run the processor, in a transaction with its job's end where it is registered so.

    That transaction is rolled back when the processor fails and when the lease was lost.
    """
    if not attempt.is_atomic:
        return attempt.run()
    engine = get_engine(using)
    try:
        outcome = _run_and_record(attempt, engine)
    except Exception as error:
        # given back even if the reply to a commit was lost: a job that has ended isn't this worker's any more,
        # and then the fence refuses it
        return GivenBack() if _passes(engine, error) else attempt.failure(error)
    return outcome if isinstance(outcome, Failed) else Recorded(outcome)


def _run_and_record(attempt: Attempt, engine: Engine) -> Outcome:
    own = not connections[engine.using].in_atomic_block
    with ExitStack() as after, engine.begin():
        outcome = attempt.run()
        if isinstance(outcome, Failed):
            transaction.set_rollback(True, engine.using)
            return outcome
        if own:  # from here on it holds locks that others need; until now it may have idled as long as it liked
            after.callback(_end_limit, engine)
            engine.limit_idle_transactions(get_settings().HEARTBEAT_TIMEOUT)
        if finish(engine.using, attempt.worker, [attempt.report(outcome)]):
            # if the lease is lost, the fence refuses this too; if not, the processor took it from itself
            raise LostLease("the job's own atomic processor can't cancel, retry or remove it")
        return outcome


def _end_limit(engine: Engine) -> None:
    with suppress(Error):  # the session is gone, and its limit with it
        engine.limit_idle_transactions(None)


def _passes(engine: Engine, error: Exception) -> bool:
    """Whether the attempt came to nothing through no fault of the processor's."""
    if isinstance(error, DatabaseError) and engine.is_conflict(error):
        return True
    if isinstance(error, (DatabaseError, InterfaceError)):
        return engine.is_outage(error)
    return isinstance(error, TryAgain)
