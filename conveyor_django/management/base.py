"""What the commands share: the database they are for, and errors that say what to do."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections, router

from conveyor_django.encoding import check_name, clean_text, printable
from conveyor_django.exceptions import ConveyorError
from conveyor_django.models import Job
from conveyor_django.redaction import redact_text

from .output import Terminal


class ConveyorCommand(BaseCommand):
    """Commands define `act(using, terminal, **options)`."""

    prints_data = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--database",
            metavar="ALIAS",
            help="The database that holds the jobs; by default what the router says for them.",
        )
        if self.prints_data:
            parser.add_argument("--format", choices=["text", "json"], default="text", help="json is for programs.")

    def handle(self, *args: Any, **options: Any) -> None:
        terminal = Terminal(self.stdout, self.style, force_color=options["force_color"])
        using = chosen_database(options["database"])
        with explained_errors(using):
            self.act(using, terminal, **options)

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except BrokenPipeError:  # who read the output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the end
            sys.exit(1)

    def act(self, using: str, terminal: Terminal, **options: Any) -> None:
        raise NotImplementedError


def chosen_database(given: str | None) -> str:
    alias = given or router.db_for_write(Job)
    if alias not in connections:
        known = ", ".join(sorted(connections))
        raise CommandError(f"There is no database {printable(alias)!r} in DATABASES; name one of: {known}.")
    return alias


@contextmanager
def explained_errors(using: str) -> Iterator[None]:
    try:
        yield
    except ConveyorError as error:
        raise CommandError(_sentence(error)) from error
    except (DatabaseError, InterfaceError) as error:
        require_tables(using)
        raise CommandError(f"Database {using!r}: {_sentence(error)}") from error


def is_reachable(using: str) -> bool:
    try:
        connections[using].ensure_connection()
    except (DatabaseError, InterfaceError):
        return False
    return True


def require_tables(using: str) -> None:
    """Raises `CommandError` when the database can't be reached, or wasn't migrated."""
    connection = connections[using]
    try:
        tables = connection.introspection.table_names()
    except (DatabaseError, InterfaceError) as error:
        raise CommandError(
            f"Can't reach database {using!r}: {_sentence(error)} Is it running, and is DATABASES[{using!r}] right?"
        ) from error
    if Job._meta.db_table not in tables:
        option = "" if using == DEFAULT_DB_ALIAS else f" --database {using}"
        raise CommandError(f"Database {using!r} has no tables for jobs yet: run `manage.py migrate{option}`.")


def checked_queues(names: list[str]) -> list[str]:
    """Each name once; raises `InvalidNode`."""
    return [check_name(name, "queue name") for name in dict.fromkeys(names)]


def _sentence(error: BaseException) -> str:
    text = printable(redact_text(" ".join(clean_text(error).split())), 500)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")
