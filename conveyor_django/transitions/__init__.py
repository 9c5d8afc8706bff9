"""Every change of a job's state, one verb a room; each is one transaction, fenced and locked in ascending id.

Nothing outside this package writes a job's state.
"""

from conveyor_django import ports
from conveyor_django.engines import Place, children, place

from . import queues
from .cancel import cancel, cancel_some
from .check import Fault, Found, find, find_in_parents
from .claim import Claiming, unpaused
from .edit import change_delay, change_priority, change_priority_some, replace_data, update_data
from .enqueue import enqueue
from .locking import Reached
from .mend import mend
from .promote import next_due, promote, promote_due, promote_queue, promote_some
from .remove import remove, remove_some
from .rescue import declare_dead, give_back, rescue_stalled
from .retry import retry, retry_some
from .tidy import tidy, tidy_some
from .turn import Done, claim, finish, turn

__all__ = [
    "Claiming",
    "Done",
    "Fault",
    "Found",
    "Place",
    "Reached",
    "cancel",
    "cancel_some",
    "change_delay",
    "change_priority",
    "change_priority_some",
    "claim",
    "declare_dead",
    "enqueue",
    "find",
    "find_in_parents",
    "finish",
    "give_back",
    "mend",
    "next_due",
    "place",
    "promote",
    "promote_due",
    "promote_queue",
    "promote_some",
    "provide_verbs",
    "queues",
    "remove",
    "remove_some",
    "replace_data",
    "rescue_stalled",
    "retry",
    "retry_some",
    "tidy",
    "tidy_some",
    "turn",
    "unpaused",
    "update_data",
]


def provide_verbs() -> None:
    """Give `Job` its verbs, and its way to its children, once the app is ready."""
    ports.provide(
        retry=retry,
        cancel=cancel,
        remove=remove,
        promote=promote,
        change_priority=change_priority,
        change_delay=change_delay,
        update_data=update_data,
        children=children,
    )
