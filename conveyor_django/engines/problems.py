"""What stands against running on a database: found by the engines, shown by the system checks."""

from typing import NamedTuple


class Problem(NamedTuple):
    id: str  # E... keeps jobs from working as promised, W... is slower or weaker than need be
    message: str
    hint: str


def too_old(name: str, found: str, least: str) -> Problem:
    return Problem("E011", f"{name} {found} is too old: conveyor_django needs {least} or newer.", f"Upgrade {name}.")
