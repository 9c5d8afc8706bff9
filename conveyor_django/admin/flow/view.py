"""What of a flow is open, as the URL says it: every view can be bookmarked and works without a script."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import urlencode
from uuid import UUID

from .nodes import GROUPED, id_of, key_of

MODES = ("", "all", "folded", "failed")
PAGE = 20  # members of a group that are shown at first, and that "show more" adds
MAX_ROWS = 200
_MAX_KEYS = 200


@dataclass(frozen=True)
class View:
    mode: str = ""
    opened: dict[str, int] = field(default_factory=dict)  # key of a job or a group: members shown of it
    folded: frozenset[str] = frozenset()
    top: UUID | None = None  # the tree is shown from there, not from the root

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self:
        """Whatever is no key opens nothing."""
        opened: dict[str, int] = {}
        for item in _split(query.get("open", "")):
            key, _, limit = item.partition(":")
            shown = int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 4 else PAGE
            opened[key] = min(max(shown, PAGE), MAX_ROWS)
        mode = query.get("view", "")
        return cls(
            mode if mode in MODES else "",
            opened,
            frozenset(_split(query.get("fold", ""))),
            id_of(query.get("top", "")),
        )

    def toggled(self, key: str, *, is_open: bool) -> str:
        """The query of the same view with this one closed, or opened."""
        opened = {known: shown for known, shown in self.opened.items() if known != key}
        folded = self.folded - {key}
        if is_open:
            return replace(self, opened=opened, folded=folded | {key}).query()
        return replace(self, opened={**opened, key: PAGE}, folded=folded).query()

    def with_more(self, key: str, shown: int) -> str:
        return replace(self, opened={**self.opened, key: shown + PAGE}).query()

    def in_mode(self, mode: str) -> str:
        return replace(self, mode=mode, opened={}, folded=frozenset()).query()

    def query(self) -> str:
        items = {
            "view": self.mode,
            "open": ",".join(key if shown == PAGE else f"{key}:{shown}" for key, shown in self.opened.items()),
            "fold": ",".join(sorted(self.folded)),
            "top": key_of(self.top) if self.top else "",
        }
        return "?" + urlencode({name: value for name, value in items.items() if value}, safe=",:")


def _split(text: str) -> list[str]:
    """Keys of jobs and groups, without those that can be none."""
    return [item for item in text.split(",")[:_MAX_KEYS] if _is_key(item.partition(":")[0])]


def _is_key(text: str) -> bool:
    key, _, state = text.partition(".")
    return id_of(key) is not None and (not state or state in GROUPED)
