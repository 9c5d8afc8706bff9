"""What workers cost that have nothing to do."""

import time

from benchmarks import postgres
from benchmarks.arena import Arena
from benchmarks.peers.base import address, chosen_store
from benchmarks.processes import cpu_seconds

from .base import Column, Figures, Part

MINUTE, LONGEST = 60, 30  # seconds
_LATE = 11  # seconds that PostgreSQL may keep to itself what an idle session did before


class Idle(Part):
    title = "Idle workers"
    columns = (
        Column("cpu", "CPU s/min", higher_is_better=False),
        Column("transactions", "transactions/s", higher_is_better=False),
        Column("commands", "Redis commands/s", higher_is_better=False),
    )
    against = ""  # ratios of nearly nothing say nothing

    def measure(self, arena: Arena) -> Figures:
        workers = arena.start_and_settle()
        time.sleep(_LATE if chosen_store() == "postgres" else 2)
        pause = min(LONGEST, arena.size(MINUTE, least=5))
        cpu, served = cpu_seconds(workers.pids()), _served()
        time.sleep(pause)
        spent = cpu_seconds(workers.pids()) - cpu
        return {"cpu": spent * 60 / pause, **{name: (n - served[name]) / pause for name, n in _served().items()}}


def _served() -> dict[str, int]:
    """What the server has done so far, but for this question."""
    if chosen_store() == "postgres":
        return {"transactions": postgres.transactions()}
    if chosen_store() == "redis":
        import redis

        return {"commands": redis.Redis.from_url(address("redis")).info("stats")["total_commands_processed"] - 2}
    return {}
