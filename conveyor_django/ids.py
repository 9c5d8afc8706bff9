"""Job ids: UUIDv7, strictly ascending within a process, so that an id's order is the order of adding."""

import os
import threading
import time
from datetime import datetime
from uuid import UUID

from .encoding import text_of

try:
    from uuid import uuid7  # type: ignore[attr-defined,unused-ignore]  # Python 3.14 and newer
except ImportError:
    from uuid6 import uuid7

_BLOCK = 1 << 24  # ids of one block differ in these low bits only: more than any flow has jobs
_lock = threading.Lock()
_last = 0
_last_ms = 0


def new_ids(count: int) -> list[UUID]:
    """`count` ascending ids, all above every id made before in this process."""
    global _last, _last_ms
    with _lock:
        now_ms = time.time_ns() // 1_000_000
        base = (_last | (_BLOCK - 1)) + 1
        if now_ms > _last_ms:  # else within one millisecond, or the clock went back
            base = max(base, uuid7().int & -_BLOCK)
            _last_ms = now_ms
        _last = base + count - 1
    return [UUID(int=base + offset) for offset in range(count)]


def _begin_anew() -> None:
    """In a forked process: what is above the last id is not its own, even if the clock goes back."""
    global _last, _last_ms
    _last = _last_ms = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def new_id() -> UUID:
    return new_ids(1)[0]


def first_id_at(moment: datetime) -> UUID:
    """The lowest id that can be made at this moment, to the millisecond: what was added since then isn't below it."""
    return UUID(int=int(moment.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62)


def parse_id(value: object) -> UUID | None:
    """The UUID that a `str` or `UUID` means, None for anything else."""
    if isinstance(value, UUID):
        return value
    text = text_of(value)
    try:
        return UUID(text) if text is not None else None
    except ValueError:
        return None
