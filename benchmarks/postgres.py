"""What a part asks of PostgreSQL itself, beside the peer."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import psycopg

from .peers.base import address


def ask(statement: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...]:
    """The first row."""
    with psycopg.connect(address("postgres"), autocommit=True) as connection:
        row = connection.execute(statement, parameters).fetchone()
    assert row
    return row


def tell(*statements: str) -> None:
    with psycopg.connect(address("postgres"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def set_for_all(name: str, value: str) -> None:
    """A setting of the database: what a site would do, and the only place where it does it."""
    tell(f"ALTER DATABASE {urlsplit(address('postgres')).path[1:]} SET {name} = {value}")


def mute() -> None:
    """Notifications go nowhere, as behind a pooler that shares sessions: workers have nothing but polling."""
    tell("CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql AS ''")
    set_for_all("search_path", "public, pg_catalog")


def transactions() -> int:
    """Of the benchmark's database since it was made."""
    columns = "xact_commit + xact_rollback"
    return int(ask(f"SELECT {columns} FROM pg_stat_database WHERE datname = current_database()")[0])
