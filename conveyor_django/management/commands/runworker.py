import gc
import logging
import math
import os
import sys
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import InterfaceError, OperationalError, connections
from django.utils.autoreload import get_child_arguments

from conveyor_django import Worker
from conveyor_django.encoding import printable
from conveyor_django.management.base import ConveyorCommand, chosen_database, is_reachable, require_tables
from conveyor_django.management.logs import logging_to
from conveyor_django.management.output import Terminal
from conveyor_django.management.startup import introduce, queues_to_serve, unserved
from conveyor_django.worker.attendant import Attendant
from conveyor_django.worker.recycling import MEGABYTE, can_measure, resident_memory
from conveyor_django.worker.supervisor import SLOT, SUPERVISED, Supervisor, heartbeat_file_of

_LIFETIMES = ("max_jobs_per_process", "max_memory_per_process")
_REPLACING = ("reload", *_LIFETIMES)  # a process ends so that its supervisor starts another one
_RELOAD_PAUSE = 5.0  # seconds at most until code that could not be loaded is tried again


class Command(ConveyorCommand):
    help = (
        "Process jobs until SIGTERM or Ctrl-C; then running jobs have the time of --shutdown-timeout to end, what is "
        "left goes back to its queue, and the exit code is 0. A second signal ends at once."
    )
    _is_program = False  # started from a command line, not by call_command
    _supervisor: int | None = None
    _slot = ""  # which of its processes this one is

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add = parser.add_argument
        add("queues", nargs="*", metavar="QUEUE", help="By default the queues that have a processor.")
        add("--concurrency", type=int, default=1, metavar="N", help="Jobs at a time in each process (1).")
        add("--processes", type=int, default=1, metavar="N", help="Processes; those that die are replaced (1).")
        add("--until-idle", action="store_true", help="End when nothing is left to do.")
        add("--max-jobs", type=int, metavar="N", help="End after N attempts, in each process.")
        add("--max-jobs-per-process", type=int, metavar="N", help="Replace a process after about N attempts.")
        add("--max-memory-per-process", type=int, metavar="MB", help="Replace a process that has more memory (Linux).")
        add(
            "--poll-interval",
            type=float,
            default=1.0,
            metavar="S",
            help="Most seconds between looks for jobs (1).",
        )
        add("--shutdown-timeout", type=float, default=30.0, metavar="S", help="Seconds for running jobs (30).")
        add("--heartbeat-file", metavar="PATH", help="A file that is written anew as long as the worker is well.")
        add("--reload", action="store_true", help="Start anew when the code changes: for development.")

    def run_from_argv(self, argv: list[str]) -> None:
        self._is_program = True
        if pid := os.environ.pop(SUPERVISED, None):  # popped: not for what processors start
            self._supervisor = int(pid)
            self._slot = os.environ.pop(SLOT)
            self.requires_system_checks = []  # the supervisor made them
        super().run_from_argv(argv)

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        using = chosen_database(options["database"])
        databases = {"databases": [using]} if is_reachable(using) else {}
        return {**super().get_check_kwargs(options), **databases}

    def check(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().check(*args, **kwargs)
        except (OperationalError, InterfaceError):  # the database went away meanwhile: the worker waits for it
            super().check(*args, **{**kwargs, "databases": None})

    def act(self, using: str, terminal: Terminal, **options: Any) -> None:
        _check_options(options)
        queues = queues_to_serve(options["queues"])
        if connections[using].in_atomic_block:
            raise CommandError(
                "runworker needs transactions of its own; inside TestCase or atomic() use "
                "conveyor_django.testing.drain()."
            )
        if is_reachable(using):
            require_tables(using)
        if not self._supervisor:
            self._introduce(using, terminal, queues, options)
        connections[using].close()  # the worker's threads have their own
        many = options["processes"] > 1 or any(options[name] for name in _REPLACING)
        redirected = options.get("stdout") is not None  # who does that wants to read it there
        with logging_to(terminal, options["verbosity"], always=redirected, with_pid=many):
            supervises = many and not self._supervisor
            code = self._supervise(options) if supervises else self._work(using, queues, options)
        if code:
            sys.exit(code)

    def _introduce(self, using: str, terminal: Terminal, queues: list[str], options: dict[str, Any]) -> None:
        for warning in [*unserved(queues), *_too_little_memory(options["max_memory_per_process"])]:
            self.stderr.write(f"Warning: {warning}", self.style.WARNING)
        if options["verbosity"]:
            numbers = {name: options[name] for name in ("concurrency", "processes")}
            introduce(terminal, using, queues, **numbers)
            terminal.flush()

    def _supervise(self, options: dict[str, Any]) -> int:
        if not self._is_program:
            flags = ", ".join(map(_flag, ("processes", *_REPLACING)))
            raise CommandError(f"{flags} start processes: use the command line, not call_command().")
        pause = {"longest_pause": _RELOAD_PAUSE} if options["reload"] else {}
        finite = options["until_idle"] or options["max_jobs"] is not None
        supervisor = Supervisor(
            get_child_arguments(),
            options["processes"],
            finite=finite,
            heartbeat_file=options["heartbeat_file"],
            **pause,
        )
        return supervisor.run()

    def _work(self, using: str, queues: list[str], options: dict[str, Any]) -> int:
        settings = {name: options[name] for name in ("concurrency", "poll_interval", "shutdown_timeout")}
        worker = Worker(queues, using=using, **settings)
        worker.heartbeat_file = heartbeat_file_of(self._slot, options["heartbeat_file"])
        limits = {name: options[name] for name in ("until_idle", "max_jobs", *_REPLACING)}
        if self._is_program:
            gc.freeze()  # the site's code stays: collections need not look at it again and again
        code = Attendant(worker, supervisor=self._supervisor, ends_itself=self._is_program).run(**limits)
        if worker.left_behind and self._is_program:
            logging.shutdown()
            self.stdout.flush()
            os._exit(code)  # not waiting for threads whose jobs were given back
        return code


_MOST = 2**31 - 1  # the column of a worker's concurrency


def _check_options(options: dict[str, Any]) -> None:
    if (path := options["heartbeat_file"]) and not os.access(os.path.dirname(os.path.abspath(path)), os.W_OK):
        raise CommandError(f"--heartbeat-file: can't write into the folder of {printable(path)}.")
    for name in ("concurrency", "processes", "max_jobs", *_LIFETIMES):
        # some versions of argparse make an empty list of `--`
        if options[name] is not None and (options[name] == [] or options[name] < 1):
            raise CommandError(f"{_flag(name)} must be 1 or more, not {options[name]}.")
        if options[name] is not None and options[name] > _MOST:
            raise CommandError(f"{_flag(name)} must be at most {_MOST}, not {options[name]}.")
    for name in ("poll_interval", "shutdown_timeout"):
        if options[name] == [] or not (math.isfinite(options[name]) and options[name] >= 0):
            raise CommandError(f"{_flag(name)} must be a number of seconds, 0 or more, not {options[name]}.")
    if options["max_jobs"] and options["max_jobs_per_process"]:
        raise CommandError("--max-jobs ends a process, --max-jobs-per-process has it replaced: use one of them.")
    if options["max_memory_per_process"] and not can_measure():
        raise CommandError("--max-memory-per-process needs /proc/self/statm, which this system (not Linux?) hasn't.")


def _too_little_memory(limit: int | None) -> Iterator[str]:
    if limit and (used := resident_memory() / MEGABYTE) > limit:
        yield (
            f"--max-memory-per-process: a process has {used:.0f} MB before its first job, so with a limit of {limit} "
            "MB each is replaced as soon as it has begun one."
        )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
