"""What a worker says when it starts: which queues, processors and database it has."""

import textwrap
from collections.abc import Iterator, Sequence

from django.core.management.base import CommandError
from django.db import DatabaseError, connections

from conveyor_django import registry
from conveyor_django.encoding import printable

from .base import checked_queues
from .output import Terminal, count_of

_SHOWN = 60  # processors by name
_WIDTH, _INDENT = 100, 15


def queues_to_serve(named: list[str]) -> list[str]:
    """Those named, else those with a processor; raises `CommandError` when there is neither."""
    queues = checked_queues(named) or registry.registered_queues()
    if not queues:
        raise CommandError(
            "No processor is registered, so there is no queue to serve. Processors are looked for in the "
            f'`{registry.MODULE}` module of each installed app: write @processor("queue") over a function in '
            f"<app>/{registry.MODULE}.py, or name the queues."
        )
    return queues


def introduce(terminal: Terminal, using: str, queues: Sequence[str], *, concurrency: int, processes: int) -> None:
    found = [processor for processor in registry.processors.values() if processor.queue_name in queues]
    labels = sorted(_label(processor) for processor in found)
    jobs = count_of(concurrency, "job") + " at a time"
    facts = {
        "database": database_label(using),
        "queues": ", ".join(printable(name) for name in queues),
        "processors": f"{len(labels)}: {_listed(labels)}" if labels else "none",
        "concurrency": jobs if processes == 1 else f"{jobs} in each of {processes} processes",
    }
    terminal.say(terminal.strong("Conveyor worker"))
    for name, value in facts.items():
        first, *others = textwrap.wrap(value, _WIDTH - _INDENT, break_on_hyphens=False, break_long_words=False)
        terminal.say(f"  {terminal.quiet(f'{name:<12}')} {first}")
        for line in others:
            terminal.say(" " * _INDENT + line)
    terminal.say(terminal.quiet("Ctrl-C or SIGTERM lets the running jobs end; a second one ends at once."))


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return ", ".join(labels[:_SHOWN]) + more


def _label(processor: registry.Processor) -> str:
    return f"{printable(processor.queue_name)}/{printable(processor.name) if processor.name else '*'}"


def unserved(queues: Sequence[str]) -> Iterator[str]:
    """A warning for each queue without a processor."""
    known = registry.registered_queues()
    for name in queues:
        if name not in known:
            having = f"; there are some for {', '.join(map(printable, known))}" if known else ""
            yield (
                f"Queue {printable(name)!r} has no processors: its jobs will fail. Processors are looked for in "
                f"the `{registry.MODULE}` module of each installed app{having}."
            )


def database_label(using: str) -> str:
    """Alias, vendor and name; never its password."""
    connection = connections[using]
    try:
        vendor = connection.display_name  # MariaDB or MySQL? The server has to be asked
    except DatabaseError:
        vendor = "MySQL or MariaDB"
    settings = connection.settings_dict
    host = f" on {printable(settings['HOST'])}" if settings.get("HOST") else ""
    return f"{using}: {vendor} {printable(settings['NAME'])}{host}"
