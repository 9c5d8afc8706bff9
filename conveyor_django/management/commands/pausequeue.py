from typing import Any

from django.core.management.base import CommandParser

from conveyor_django import Queue
from conveyor_django.encoding import printable
from conveyor_django.management.base import ConveyorCommand, checked_queues
from conveyor_django.management.output import Terminal, count_of
from conveyor_django.states import JobState


class Command(ConveyorCommand):
    help = "Pause queues: workers take no more of their jobs until resumequeue. What runs, runs on."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("queues", nargs="+", metavar="QUEUE")

    def act(self, using: str, terminal: Terminal, **options: Any) -> None:
        for name in checked_queues(options["queues"]):
            queue = Queue(name, using)
            was_paused = queue.is_paused()
            queue.pause()
            waiting = count_of(queue.count(JobState.WAITING), "job")
            active = count_of(queue.count(JobState.ACTIVE), "job")
            done = "was paused already" if was_paused else "is paused"
            terminal.say(f"{printable(name)} {done}: {waiting} waiting, {active} active.")
