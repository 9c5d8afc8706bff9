"""The database's sessions, as its server knows them."""

from contextlib import suppress

from django.db import DatabaseError, connection

from .world import own_sessions

_ALL = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'",
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = %s",
}
_END = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL %s"}


def of_workers() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_ALL[connection.vendor], [connection.settings_dict["NAME"]])
        return sorted(number for (number,) in cursor.fetchall() if number not in own_sessions)


def terminate(numbers: list[int]) -> int:
    with connection.cursor() as cursor:
        for number in numbers:
            with suppress(DatabaseError):  # it is gone already
                cursor.execute(_END[connection.vendor], [number])
    return len(numbers)
