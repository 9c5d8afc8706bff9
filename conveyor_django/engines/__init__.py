"""What differs between databases: locks, raw SQL, clocks and wake-ups. Nothing above asks for a vendor."""

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from .base import Engine
from .bounded import BoundedCount, BoundedMax, BoundedMin
from .children import children
from .leased import place
from .listener import Listener
from .mysql import MySQLEngine
from .postgresql import PostgresEngine
from .sqlite import SQLiteEngine
from .turns import Ended, Place, Release, Taking, Turn

__all__ = [
    "BoundedCount",
    "BoundedMax",
    "BoundedMin",
    "Ended",
    "Engine",
    "Listener",
    "Place",
    "Release",
    "Taking",
    "Turn",
    "children",
    "get_engine",
    "place",
]

_ENGINES: dict[str, type[Engine]] = {
    "postgresql": PostgresEngine,
    "mysql": MySQLEngine,
    "sqlite": SQLiteEngine,
}


def get_engine(using: str) -> Engine:
    """The engine for a database alias; engines hold no state of their own."""
    vendor = connections[using].vendor
    if vendor not in _ENGINES:
        raise ImproperlyConfigured(
            f"conveyor_django runs on PostgreSQL, MariaDB, MySQL and SQLite; DATABASES[{using!r}] is {vendor}"
        )
    return _ENGINES[vendor](using)
