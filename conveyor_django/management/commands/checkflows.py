import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from conveyor_django.management.base import ConveyorCommand
from conveyor_django.management.output import Terminal, count_of
from conveyor_django.transitions import Fault, find, mend

_SHOWN = 10  # ids of each kind of fault


@dataclass
class Tally:
    count: int = 0
    mended: int = 0
    ids: list[UUID] = field(default_factory=list)  # the first ones

    def as_json(self) -> dict[str, Any]:
        return {"count": self.count, "mended": self.mended, "ids": [str(job_id) for job_id in self.ids]}


class Command(ConveyorCommand):
    help = (
        "Look for what must not be: counts that differ, parents that wait for nothing or were released too early, "
        "orphaned jobs, broken trees. The exit code is 1 when something is left that is wrong."
    )
    prints_data = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--fix", action="store_true", help="Set right what is found.")

    def act(self, using: str, terminal: Terminal, **options: Any) -> None:
        found = _look(using, fix=options["fix"])
        left = _look(using) if found and options["fix"] else found
        if options["format"] == "json":
            terminal.say_json({"found": _as_json(found), "left": _as_json(left)})
        else:
            _say(terminal, found, left)
        if left:
            terminal.flush()
            sys.exit(1)


def _look(using: str, *, fix: bool = False) -> dict[Fault, Tally]:
    tallies: dict[Fault, Tally] = defaultdict(Tally)
    for found in find(using):
        tally = tallies[found.fault]
        tally.count += len(found.ids)
        tally.ids += found.ids[: _SHOWN - len(tally.ids)]
        if fix:
            tally.mended += mend(using, found)
    return tallies


def _as_json(tallies: dict[Fault, Tally]) -> dict[str, Any]:
    return {fault.value: tally.as_json() for fault, tally in sorted(tallies.items())}


def _say(terminal: Terminal, found: dict[Fault, Tally], left: dict[Fault, Tally]) -> None:
    if not found:
        terminal.say("All flows are as they should be.")
    for fault, tally in sorted(found.items()):
        mended = f", {tally.mended:,} set right" if tally.mended else ""
        terminal.say(f"{terminal.bad(fault)}: {count_of(tally.count, 'job')}{mended}")
        for job_id in tally.ids:
            terminal.say(f"  {job_id}")
        if tally.count > len(tally.ids):
            terminal.say(terminal.quiet(f"  and {tally.count - len(tally.ids):,} more"))
    if left is not found:
        number = sum(tally.count for tally in left.values())
        terminal.say(f"{count_of(number, 'job')} left that could not be set right." if left else "All set right.")
    elif found:
        terminal.say("Run it with --fix to set them right.")
