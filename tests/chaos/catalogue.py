"""What can strike, and what bugs can be planted, in words: known before Django is set up."""

from dataclasses import dataclass

_SERVERS = ("postgres", "mysql")


@dataclass(frozen=True)
class Traits:
    about: str
    databases: tuple[str, ...] = ("sqlite", "postgres", "mysql")
    own_server: tuple[str, ...] = ()  # databases where it can't be done to a server that others use
    usual: bool = False  # part of the mix that is run when none is named
    may_stall: bool = True  # leaves jobs that have to be rescued
    workers: int = 0  # at least so many processes
    slow: float = 0.0  # the share of jobs that take about as long as a lease
    nasty: float = 0.0  # the share of jobs that harm their own process
    steered: float = 0.0  # the share of flows that it interferes with


FAULTS = {
    "kill": Traits("kill -9 of a random worker every 200 ms", usual=True),
    "stop": Traits(
        "SIGSTOP of a worker for 1.5 to 3 leases, then SIGCONT, every 500 ms; half run on", usual=True, slow=0.08
    ),
    "sigterm": Traits(
        "SIGTERM of a worker every 200 to 400 ms: no attempt burnt, no stall", usual=True, may_stall=False
    ),
    "processors": Traits("6 of 100 jobs call os._exit, segfault, loop for ever, or eat memory", usual=True, nasty=0.06),
    "crowd": Traits("16 worker processes on one SQLite file", databases=("sqlite",), may_stall=False, workers=16),
    "terminate": Traits(
        "the server ends three of the workers' sessions every 200 to 300 ms", databases=_SERVERS, usual=True
    ),
    "proxy": Traits(
        "connections are reset, at random or between a COMMIT and its reply, or half open for 0.5 to 2 leases",
        databases=_SERVERS,
    ),
    "restart": Traits(
        "the database server crashes under load every 4 to 6 s, and starts again",
        databases=_SERVERS,
        own_server=_SERVERS,
    ),
    "readonly": Traits(
        "the database takes no writes for 1 to 3 s, every 2 to 4 s", databases=_SERVERS, own_server=("mysql",)
    ),
    "exhaust": Traits(
        "all connections of the server are taken for 1 to 3 s while workers lose theirs, every 2 to 3 s",
        databases=_SERVERS,
        own_server=_SERVERS,
    ),
    "snapshot": Traits("one transaction keeps its snapshot of the database for the whole run", may_stall=False),
    "clock": Traits(
        "workers' clocks are a day wrong, and jump; the sessions' time zone is +05:00",
        databases=_SERVERS,  # SQLite has no clock but its host's
        may_stall=False,
    ),
    "twice": Traits("every finishing call is sent twice", usual=True, may_stall=False),
    "admin": Traits(
        "10 times a second somebody cancels, retries, removes, promotes, pauses or prunes on live flows",
        usual=True,
        may_stall=False,
        steered=0.25,
    ),
}

PLANTS = {
    "fence": "any worker may write what became of an attempt, one that was declared dead too",
    "two-transactions": "a child's end and its parent's release are two transactions",
    "lock-order": "rows are locked one by one, in any order",
    "unlocked": "rows are read without their locks",
    "no-reconcile": "a claim whose reply was lost is never given back",
    "burnt-attempts": "a stall counts as an attempt",
    "early-release": "a parent is released by the first of its children that ends",
}


def described() -> str:
    """For `--help`."""
    width = max(map(len, FAULTS))
    lines = ["faults (* is in the usual mix):"]
    for name, traits in FAULTS.items():
        limits = "" if len(traits.databases) == 3 else f" [{', '.join(traits.databases)}]"
        lines.append(f"  {name:<{width}} {'*' if traits.usual else ' '} {traits.about}{limits}")
    lines += ["", "bugs to plant:", *(f"  {name:<{width + 4}} {about}" for name, about in PLANTS.items())]
    return "\n".join(lines)
