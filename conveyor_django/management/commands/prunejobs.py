from typing import Any

from django.core.management.base import CommandParser

from conveyor_django.management.base import ConveyorCommand, checked_queues
from conveyor_django.management.durations import seconds_of
from conveyor_django.management.output import Terminal, count_of
from conveyor_django.transitions import queues
from conveyor_django.worker.log import duration


class Command(ConveyorCommand):
    help = "Delete finished flows as a whole: those whose root, with all jobs below it, finished long ago."
    prints_data = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--older-than",
            required=True,
            metavar="AGE",
            help="How long ago the root must have finished: 45 (seconds), 30m, 12h, 7d, 2w.",
        )
        parser.add_argument(
            "--queue",
            action="append",
            dest="queues",
            metavar="QUEUE",
            help="Only flows whose root is in this queue; may be given several times.",
        )

    def act(self, using: str, terminal: Terminal, **options: Any) -> None:
        older_than = seconds_of(options["older_than"], "--older-than")
        names: list[str | None] = [*checked_queues(options["queues"] or [])]
        removed = sum(queues.prune(using, older_than, name) for name in names or [None])
        if options["format"] == "json":
            terminal.say_json({"removed": removed})
        else:
            age = duration(older_than)
            terminal.say(f"{count_of(removed, 'job')} removed, of flows that finished over {age} ago.")
