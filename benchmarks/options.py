"""The command line."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .parts import PARTS, USUAL
from .parts.base import Choice
from .peers import PEERS


@dataclass(frozen=True)
class Options:
    parts: tuple[str, ...]
    choice: Choice
    rounds: int
    scale: float
    folder: Path  # where results go
    logs: Path | None
    document: bool


def parse(arguments: Sequence[str]) -> Options:
    parser = _parser()
    given = parser.parse_args(arguments)
    parts, peers = _names(given.parts, list(PARTS)), _names(given.peers, list(PEERS))
    own = {"conveyor"} if given.peers == "none" else {"conveyor", "floor"}
    for kind, names, known in (("part", parts, PARTS), ("peer", peers, PEERS)):
        for name in names:
            if name not in known:
                parser.error(f"there is no {kind} {name!r}; known are {', '.join(known)}")
    return Options(
        parts=parts,
        choice=Choice(
            peers=tuple(name for name in PEERS if name in {*own, *peers}),
            store=given.db,
            finished=given.finished,
            waiting=given.waiting,
            churn=given.churn,
        ),
        rounds=given.rounds,
        scale=given.scale,
        folder=given.out,
        logs=given.logs,
        document=given.document,
    )


def _names(text: str, everything: list[str]) -> tuple[str, ...]:
    names = everything if text == "all" else text.split(",")
    return tuple(name for name in names if name not in ("", "none"))


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, [*PARTS, *PEERS]))
    parts = "\n".join(f"  {name:{width}}  {part.title}" for name, part in PARTS.items())
    peers = "\n".join(f"  {name:{width}}  {entry.title}" for name, entry in PEERS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        epilog=f"parts:\n{parts}\n\npeers:\n{peers}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--parts", default=",".join(USUAL), metavar="NAME,...", help="what is measured, or all (%(default)s)")
    add("--peers", default=",".join(PEERS), metavar="NAME,...", help="beside whom, all or none (all that can be)")
    add("--db", default="postgres", choices=["postgres", "mysql", "sqlite"], help="of those that can choose")
    add("--rounds", type=int, default=3, metavar="N", help="how often (%(default)s)")
    add("--scale", type=float, default=1.0, metavar="X", help="times all numbers of jobs (%(default)s)")
    add("--finished", type=int, default=Choice.finished, metavar="N", help="growth: finished rows (%(default)s)")
    add("--waiting", type=int, default=Choice.waiting, metavar="N", help="growth: waiting rows (%(default)s)")
    add("--churn", type=int, default=Choice.churn, metavar="N", help="growth: jobs under a snapshot (%(default)s)")
    results = Path(os.environ.get("BENCH_RESULTS", "build/benchmarks"))
    add("--out", type=Path, default=results, metavar="DIR", help="for results.json and chart.svg (%(default)s)")
    add("--logs", type=Path, metavar="DIR", help="keep what workers and servers wrote")
    add("--document", action="store_true", help="put the tables and the chart into docs/ too")
    return parser
