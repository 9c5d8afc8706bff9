from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from conveyor_django.encoding import printable
from conveyor_django.engines import get_engine
from conveyor_django.ids import parse_id
from conveyor_django.management.base import ConveyorCommand
from conveyor_django.management.flow_tree import Node, read_tree
from conveyor_django.management.output import Terminal, count_of
from conveyor_django.models import Job
from conveyor_django.states import JobState
from conveyor_django.worker.log import duration

MAX_LABEL = 60
STATE_WIDTH = len("○ waiting-children")


class Command(ConveyorCommand):
    help = "Show the tree of a job and all below it: states, durations of the latest attempts, reasons."
    prints_data = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("job", metavar="ID", help="The id of a job.")
        parser.add_argument("--root", action="store_true", help="The whole flow that the job is in.")

    def act(self, using: str, terminal: Terminal, **options: Any) -> None:
        top = _find(using, options["job"])
        if options["root"]:
            top = _find(using, top.root_id)
        nodes = read_tree(using, top, terminal.branches())
        now = get_engine(using).now()
        if options["format"] == "json":
            terminal.say_json({"id": str(top.pk), "jobs": [node.as_json(now) for node in nodes]})
            return
        for line in _lines(nodes, terminal, now):
            terminal.say(line)
        terminal.say()
        terminal.say(_total(nodes, terminal))


def _find(using: str, job_id: object) -> Job:
    if job := Job.objects.using(using).find(job_id):
        return job
    if parse_id(job_id) is None:
        raise CommandError(f"{printable(job_id)!r} is not the id of a job: that is a UUID, as the admin shows it.")
    raise CommandError(
        f"No job has the id {job_id} in database {using!r}. It may have been removed, or be in another "
        "database (--database)."
    )


def _lines(nodes: Sequence[Node], terminal: Terminal, now: datetime) -> Iterator[str]:
    names = {node.job.pk: node.job.name for node in nodes}
    labels = [printable(node.job.name, 80) for node in nodes]
    width = max(len(node.branch) + len(label) for node, label in zip(nodes, labels, strict=True))
    queue_width = max(len(printable(node.job.queue_name, 40)) for node in nodes)
    for node, label in zip(nodes, labels, strict=True):
        job, ran = node.job, node.ran(now)
        cells = [
            f"{terminal.quiet(node.branch)}{label:<{min(width, MAX_LABEL) - len(node.branch)}}",
            terminal.in_color_of(job.state, f"{terminal.with_icon(job.state):<{STATE_WIDTH}}"),
            f"{'' if ran is None else duration(ran):>11}",
            f"{printable(job.queue_name, 40):<{queue_width}}",
            terminal.quiet(str(job.pk)),
            _attempts(job),
        ]
        yield "  ".join(cells).rstrip()
        if remark := _remark(node, names, now):
            styled = terminal.bad(remark) if job.state == JobState.FAILED else terminal.quiet(remark)
            yield terminal.quiet(node.under) + styled


def _attempts(job: Job) -> str:
    many = job.attempts_made > 1 or (job.attempts_made and job.max_attempts > 1)
    return f"attempt {job.attempts_made} of {job.max_attempts}" if many else ""


def _remark(node: Node, names: dict[Any, str], now: datetime) -> str:
    job = node.job
    if job.state == JobState.DELAYED and job.run_at:
        return f"due in {duration(max(0.0, (job.run_at - now).total_seconds()))}"
    if job.state != JobState.FAILED:
        return ""
    if job.failed_by in names:
        return f"through its child {printable(names[job.failed_by], 80)}"
    return printable(node.reason.strip().partition("\n")[0], 300)


def _total(nodes: Sequence[Node], terminal: Terminal) -> str:
    counts = Counter(node.job.state for node in nodes)
    parts = [terminal.in_color_of(state, f"{counts[state]:,} {state}") for state in JobState.values if counts[state]]
    return f"{count_of(len(nodes), 'job')}: {', '.join(parts)}"
