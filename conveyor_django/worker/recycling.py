"""When a worker process makes room for a new one: `--max-jobs-per-process` and `--max-memory-per-process`."""

import os
from pathlib import Path
from random import randrange

_STATM = Path("/proc/self/statm")  # Linux
MEGABYTE = 1024 * 1024


def spread(limit: int) -> int:
    """By chance up to a tenth less, so that processes that started together don't end together."""
    return limit - randrange(limit // 10 + 1)


def can_measure() -> bool:
    return _STATM.exists()


def resident_memory() -> int:
    """Bytes of physical memory that this process has right now."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
