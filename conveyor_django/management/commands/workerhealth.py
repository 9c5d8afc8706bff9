import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import Count

from conveyor_django.conf import get_settings
from conveyor_django.encoding import printable
from conveyor_django.engines import get_engine
from conveyor_django.management.base import ConveyorCommand, checked_queues
from conveyor_django.management.durations import seconds_of
from conveyor_django.management.output import Cell, Terminal, count_of
from conveyor_django.models import Job, WorkerProcess
from conveyor_django.worker.heartbeat_file import HeartbeatFile
from conveyor_django.worker.log import duration

HEADS = ["host", "pid", "queues", "heartbeat", "running"]
_WANTED = ("host", "pid", "queue")


@dataclass(frozen=True)
class Living:
    worker: WorkerProcess
    age: float  # seconds since its last heartbeat
    running: int

    def as_json(self) -> dict[str, Any]:
        return {
            "id": str(self.worker.pk),
            "host": self.worker.host,
            "pid": self.worker.pid,
            "queues": self.worker.queues,
            "concurrency": self.worker.concurrency,
            "heartbeat_seconds": self.age,
            "running": self.running,
        }

    def cells(self) -> list[Cell]:
        queues = "every queue" if self.worker.queues is None else ", ".join(map(printable, self.worker.queues))
        facts = [printable(self.worker.host), self.worker.pid, queues, f"{duration(self.age)} ago", self.running]
        return [Cell(fact) for fact in facts]


class Command(ConveyorCommand):
    help = "Say which workers live, or whether a heartbeat file is fresh. The exit code is 1 when there is none."
    prints_data = True
    requires_system_checks = []  # for probes: quick, and about the workers only

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add = parser.add_argument
        add("--host", help="Only workers on this host, by its own name for itself.")
        add("--pid", type=int, help="Only the worker in this process.")
        add("--queue", help="Only workers that serve this queue.")
        add("--heartbeat-file", metavar="PATH", help="Look at this file of runworker's, and at no database.")
        add("--max-age", metavar="AGE", help="How old the last heartbeat may be; by default as old as a lease.")

    def act(self, using: str, terminal: Terminal, **options: Any) -> None:
        limit = options["max_age"]
        max_age = get_settings().HEARTBEAT_TIMEOUT if limit is None else seconds_of(limit, "--max-age")
        if options["heartbeat_file"]:
            healthy = _look_at_file(terminal, max_age, options)
        else:
            healthy = _look_at_workers(using, terminal, max_age, options)
        if not healthy:
            terminal.flush()
            sys.exit(1)


def _look_at_file(terminal: Terminal, max_age: float, options: dict[str, Any]) -> bool:
    if any(options[name] is not None for name in _WANTED):
        raise CommandError("Give --heartbeat-file, or --host, --pid and --queue.")
    path = options["heartbeat_file"]
    written = HeartbeatFile(path).time()
    age = None if written is None else max(0.0, round(time.time() - written, 1))
    healthy = age is not None and age <= max_age
    if options["format"] == "json":
        terminal.say_json({"healthy": healthy, "heartbeat_seconds": age})
    elif age is None:
        terminal.say(terminal.bad(f"There is no file {printable(path)}."))
    else:
        said = f"The last heartbeat was {duration(age)} ago."
        terminal.say(said if healthy else terminal.bad(said))
    return healthy


def _look_at_workers(using: str, terminal: Terminal, max_age: float, options: dict[str, Any]) -> bool:
    found = _living(using, max_age, options)
    if options["format"] == "json":
        terminal.say_json({"healthy": bool(found), "workers": [living.as_json() for living in found]})
    elif found:
        terminal.table(HEADS, [living.cells() for living in found])
        terminal.say(f"{count_of(len(found), 'worker')}.")
    else:
        wanted = " ".join(f"--{name} {printable(options[name])}" for name in _WANTED if options[name] is not None)
        terminal.say(terminal.bad(f"No worker lives{f' ({wanted})' if wanted else ''}."))
    return bool(found)


def _living(using: str, max_age: float, options: dict[str, Any]) -> list[Living]:
    now = get_engine(using).now()
    alive = {"dead_at": None, "expires_at__gt": now, "heartbeat_at__gte": now - timedelta(seconds=max_age)}
    wanted = {name: options[name] for name in ("host", "pid") if options[name] is not None}
    workers = WorkerProcess.objects.using(using).filter(**alive, **wanted).order_by("host", "pid", "pk")
    active = Job.objects.using(using).active().order_by().values_list("worker").annotate(Count("pk"))
    running: Counter[Any] = Counter(dict(active))
    queue = None if options["queue"] is None else checked_queues([options["queue"]])[0]
    return [
        Living(worker, round(max(0.0, (now - worker.heartbeat_at).total_seconds()), 1), running[worker.pk])
        for worker in workers
        if queue is None or worker.queues is None or queue in worker.queues
    ]
