"""A rule that was broken, and by what."""

from typing import NamedTuple


class Violation(NamedTuple):
    rule: str  # short, the same for all that break it
    what: str

    def __str__(self) -> str:
        return f"[{self.rule}] {self.what}"
