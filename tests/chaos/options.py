"""The command line, and what it means for the processes that are started."""

import argparse
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .catalogue import FAULTS, PLANTS, Traits, described

_SHORT_LEASE = (0.3, 1.5)  # seconds: heartbeat interval and timeout
_LONG_LEASE = (1.0, 30.0)  # where nothing is to stall, and a busy machine is no reason to: the package's own timeout


@dataclass(frozen=True)
class Options:
    database: str
    seed: int
    seconds: float
    faults: tuple[str, ...]
    jobs: int | None
    workers: int
    backlog: int
    patience: float  # seconds in which nothing changes, until jobs count as stuck
    plant: str
    json: Path | None
    logs: Path | None
    command: str

    @property
    def traits(self) -> list[Traits]:
        return [FAULTS[name] for name in self.faults]

    @property
    def may_stall(self) -> bool:
        return any(traits.may_stall for traits in self.traits)

    @property
    def lease(self) -> tuple[float, float]:
        return _SHORT_LEASE if self.may_stall else _LONG_LEASE

    @property
    def own_server(self) -> bool:
        return any(self.database in traits.own_server for traits in self.traits)


def parse(arguments: Sequence[str]) -> Options:
    parser = _parser()
    given = parser.parse_args(arguments)
    usual = [name for name, traits in FAULTS.items() if traits.usual and given.db in traits.databases]
    faults = tuple(given.faults.split(",")) if given.faults else tuple(usual)
    for name in faults:
        if name not in FAULTS:
            parser.error(f"there is no fault {name!r}; known are {', '.join(FAULTS)}")
        if given.db not in FAULTS[name].databases:
            parser.error(f"{name} can't be done to {given.db}")
    return Options(
        database=given.db,
        seed=given.seed,
        seconds=given.seconds,
        faults=faults,
        jobs=given.jobs,
        workers=max(given.workers, *(FAULTS[name].workers for name in faults)),
        backlog=given.backlog,
        patience=given.patience,
        plant=given.plant,
        json=given.json,
        logs=given.logs,
        command=shlex.join(["python", "-m", "tests.chaos", *arguments]),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", epilog=described(), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--db", choices=["sqlite", "postgres", "mysql"], default="sqlite", help="which database (sqlite)")
    add("--seed", type=int, default=7, metavar="N", help="decides what is added, and what strikes when (7)")
    add("--seconds", type=float, default=60, metavar="S", help="how long faults strike (60)")
    add("--faults", default="", metavar="NAME,...", help="which; by default a mix that suits the database")
    add("--jobs", type=int, metavar="N", help="add about so many jobs and no more")
    add("--workers", type=int, default=4, metavar="N", help="worker processes (4)")
    add("--backlog", type=int, default=300, metavar="N", help="unfinished jobs at a time (300)")
    add("--patience", type=float, default=30, metavar="S", help="without a change after which jobs are stuck (30)")
    add("--plant", choices=list(PLANTS), default="", metavar="BUG", help="put a bug into the workers")
    add("--json", type=Path, metavar="FILE", help="write the result there too")
    add("--logs", type=Path, metavar="DIR", help="keep what workers, processors and an own server wrote")
    return parser


def environment(options: Options, folder: Path, port: int | None) -> dict[str, str]:
    """For this process and all that it starts; to be set before Django is."""
    is_file = options.database == "sqlite"
    variables = {
        "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
        "CONVEYOR_TEST_DATABASE": options.database,
        "CONVEYOR_TEST_NAME": str(folder / "chaos.sqlite3") if is_file else f"chaos_conveyor_{os.getpid()}",
        "CONVEYOR_TEST_HEARTBEAT": "{},{}".format(*options.lease),
        "CONVEYOR_CHAOS_FOLDER": str(folder),
    }
    if port:
        variables[f"CONVEYOR_TEST_{options.database.upper()}_PORT"] = str(port)
    return variables
