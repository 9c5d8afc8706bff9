from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser

from conveyor_django.encoding import printable
from conveyor_django.management.base import ConveyorCommand, checked_queues
from conveyor_django.management.output import Cell, Terminal
from conveyor_django.management.queue_table import QueueLine, read_queues
from conveyor_django.states import JobState
from conveyor_django.worker.log import duration

STATES = ["waiting", "active", "delayed", "waiting-children", "completed", "failed", "cancelled"]
HEADS = ["queue", *STATES, "oldest waiting", "paused", "workers"]


class Command(ConveyorCommand):
    help = "Show the queues: how many jobs are in each state, how long the oldest waits, pauses and workers."
    prints_data = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("queues", nargs="*", metavar="QUEUE", help="Only these; all by default.")

    def act(self, using: str, terminal: Terminal, **options: Any) -> None:
        lines = read_queues(using, checked_queues(options["queues"]))
        if options["format"] == "json":
            terminal.say_json([line.as_json() for line in lines])
        elif lines:
            terminal.table(HEADS, [list(_cells(line, terminal)) for line in lines])
        else:
            terminal.say("No queues yet: there is no job, no worker and no registered processor.")


def _cells(line: QueueLine, terminal: Terminal) -> Iterator[Cell]:
    yield Cell(printable(line.name, 60), terminal.strong)
    for state in STATES:
        yield _count(line.counts[state], state, terminal)
    yield _seconds(line.oldest_waiting, terminal)
    yield _seconds(line.paused_for, terminal)
    is_stuck = not line.workers and line.counts[JobState.WAITING]
    yield Cell(f"{line.workers:,}", _styler(JobState.FAILED, terminal) if is_stuck else str)


def _count(number: int, state: str, terminal: Terminal) -> Cell:
    return Cell(f"{number:,}", _styler(state, terminal)) if number else Cell("0", terminal.quiet)


def _seconds(value: float | None, terminal: Terminal) -> Cell:
    return Cell("-", terminal.quiet) if value is None else Cell(duration(value))


def _styler(state: str, terminal: Terminal) -> Any:
    return lambda text: terminal.in_color_of(state, text)
