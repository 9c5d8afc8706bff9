from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from conveyor_django import Queue
from conveyor_django.encoding import printable
from conveyor_django.ids import parse_id
from conveyor_django.management.base import ConveyorCommand, checked_queues
from conveyor_django.management.output import Terminal, count_of
from conveyor_django.models import Job
from conveyor_django.states import FINISHED, JobState
from conveyor_django.transitions import retry


class Command(ConveyorCommand):
    help = (
        "Let finished jobs run again: the ones named, or all that failed, in every queue or in those of --queue. "
        "A parent that failed through children takes those with it."
    )
    prints_data = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("ids", nargs="*", metavar="ID", help="Ids of jobs in any finished state.")
        parser.add_argument(
            "--queue",
            action="append",
            dest="queues",
            metavar="QUEUE",
            help="Only this queue's jobs; may be given several times.",
        )
        parser.add_argument("--state", default=JobState.FAILED.value, choices=sorted(FINISHED))

    def act(self, using: str, terminal: Terminal, **options: Any) -> None:
        names = checked_queues(options["queues"] or [])
        if options["ids"] and names:
            raise CommandError("Give the ids of jobs or --queue, not both.")
        if options["ids"]:
            retried = len(retry(using, _stored_ids(using, options["ids"])))
        else:
            queues = names or _queues_with(using, options["state"])
            retried = sum(Queue(name, using).retry_jobs(options["state"]) for name in queues)
        if options["format"] == "json":
            terminal.say_json({"retried": retried})
        else:
            terminal.say(f"{count_of(retried, 'job')} will run again.")


def _stored_ids(using: str, given: list[str]) -> list[UUID]:
    ids = {text: parse_id(text) for text in given}
    stored = Job.objects.using(using).in_bulk([job_id for job_id in ids.values() if job_id])
    for text, job_id in ids.items():
        if job_id not in stored:
            raise CommandError(f"No job has the id {printable(text)!r}; nothing was retried.")
    return list(stored)


def _queues_with(using: str, state: str) -> list[str]:
    jobs = Job.objects.using(using).in_state(state)
    return list(jobs.order_by("queue_name").values_list("queue_name", flat=True).distinct())
