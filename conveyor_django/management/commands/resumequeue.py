from typing import Any

from django.core.management.base import CommandParser

from conveyor_django import Queue
from conveyor_django.encoding import printable
from conveyor_django.management.base import ConveyorCommand, checked_queues
from conveyor_django.management.output import Terminal, count_of
from conveyor_django.states import JobState


class Command(ConveyorCommand):
    help = "Resume paused queues."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("queues", nargs="+", metavar="QUEUE")

    def act(self, using: str, terminal: Terminal, **options: Any) -> None:
        for name in checked_queues(options["queues"]):
            queue = Queue(name, using)
            done = "is resumed" if queue.is_paused() else "was not paused"
            queue.resume()
            terminal.say(f"{printable(name)} {done}: {count_of(queue.count(JobState.WAITING), 'job')} waiting.")
