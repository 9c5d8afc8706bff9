"""The witness's log read again from the start: what became of each job, and which rules were broken on the way."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from .violation import Violation
from .witness import Entry, Row

FINISHED = {"completed", "failed", "cancelled"}
_ALLOWED = {  # the state machine, written a second time, from the design and not from the code
    None: {"waiting", "delayed", "waiting-children"},
    "waiting": {"active", "waiting-children", "cancelled", None},
    "delayed": {"waiting", "waiting-children", "cancelled", None},
    "waiting-children": {"waiting", "delayed", "failed", "cancelled", None},
    # gone with a parent when the same transaction has ended its attempt: the model says whether it may
    "active": {"completed", "failed", "waiting", "delayed", "waiting-children", "cancelled", None},
    "completed": {"waiting", "waiting-children", None},
    "failed": {"waiting", "waiting-children", None},
    "cancelled": {"waiting", "waiting-children", None},
}


@dataclass
class Life:
    """One job's way, as far as the log goes; `last` stays when it was deleted."""

    id: UUID
    name: str
    root: UUID  # as it was added
    parent: UUID | None  # as it was added
    last: Row
    deleted: bool = False
    claims: int = 0
    releases: int = 0
    failures: list[str] = field(default_factory=list)  # reasons of the attempts that failed
    result_epoch: int | None = None
    retried: bool = False

    @property
    def end(self) -> str:
        """How it ended: a finished state, or "removed" when it was deleted before it finished."""
        if self.deleted and self.last.state not in FINISHED:
            return "removed"
        return self.last.state


class History:
    def __init__(self, entries: Iterable[Entry]) -> None:
        self.lives: dict[UUID, Life] = {}
        self.violations: list[Violation] = []
        self.stalls = 0
        self.given_back = 0
        self._unfinished: Counter[UUID] = Counter()  # children by parent
        for entry in entries:
            if entry.kind == "error":
                self._failed(entry)
            else:
                self._changed(entry)

    def _changed(self, entry: Entry) -> None:
        old, new = entry.old, entry.new
        life = self.lives.get(entry.job)
        if life is None:
            if old is not None or new is None:
                self._break("witness", entry, "a change of a job that was never added")
                return
            life = self.lives[entry.job] = Life(entry.job, entry.name, entry.root, new.parent_id, new)
        elif old != life.last or life.deleted:
            self._break("witness", entry, f"the row was {old}, and the log's last word is {life.last}")
        self._count(old, -1)
        self._count(new, 1)
        if new is None:
            life.deleted = True
            self._moves(entry, old.state if old else None, None)
            return
        life.last = new
        if old is None or old.state != new.state:
            self._moves(entry, old.state if old else None, new.state)
        if old is not None:
            self._lease(entry, life, old, new)

    def _moves(self, entry: Entry, old: str | None, new: str | None) -> None:
        if new not in _ALLOWED[old]:
            self._break("transition", entry, f"moved from {old} to {new}")

    def _lease(self, entry: Entry, life: Life, old: Row, new: Row) -> None:
        claimed = new.state == "active" and old.state != "active"
        if new.epoch - old.epoch != claimed:
            self._break("lease", entry, f"epoch went from {old.epoch} to {new.epoch} by {old.state} to {new.state}")
        if (new.worker is not None) != (new.state == "active"):
            self._break("lease", entry, f"is {new.state} with worker {new.worker}")
        if claimed:
            self._claimed(entry, life, old, new)
        elif old.state == "active" and new.state != "active":
            self._left(entry, life, old, new)
        if old.state == "waiting-children" and new.state in ("waiting", "delayed"):
            life.releases += 1
        life.retried = life.retried or (old.state in FINISHED and new.state not in FINISHED)

    def _claimed(self, entry: Entry, life: Life, old: Row, new: Row) -> None:
        life.claims += 1
        if new.attempts_made != old.attempts_made + 1:
            self._break("attempts", entry, f"claimed with attempts_made {old.attempts_made} to {new.attempts_made}")
        if self._unfinished[life.id] or new.pending_children:
            unfinished, counted = self._unfinished[life.id], new.pending_children
            self._break("early start", entry, f"started with {unfinished} unfinished children, counted {counted}")

    def _left(self, entry: Entry, life: Life, old: Row, new: Row) -> None:
        self.stalls += new.stalls > old.stalls
        # to delayed it goes when its processor has put it off
        self.given_back += new.stalls == old.stalls and new.attempts_made < old.attempts_made and new.state != "delayed"
        if new.state == "completed":
            life.result_epoch = _epoch_of(entry.note)
            if life.result_epoch != new.epoch:
                self._break("stale write", entry, f"completed at epoch {new.epoch} with the result {entry.note}")

    def _failed(self, entry: Entry) -> None:
        life = self.lives.get(entry.job)
        if life is None or entry.new is None:
            self._break("witness", entry, "a failed attempt of a job that was never added")
            return
        life.failures.append(entry.note)
        _, stated, epoch = entry.note.partition(": epoch ")
        if stated and epoch != str(entry.new.epoch):
            self._break("stale write", entry, f"failed at epoch {entry.new.epoch} by {entry.note!r}")

    def _count(self, row: Row | None, change: int) -> None:
        if row is not None and row.parent_id is not None and row.state not in FINISHED:
            self._unfinished[row.parent_id] += change

    def _break(self, rule: str, entry: Entry, what: str) -> None:
        self.violations.append(Violation(rule, f"{entry.name} {entry.job} (log {entry.seq}): {what}"))


def _epoch_of(note: str) -> int | None:
    try:
        return json.loads(note)["epoch"]
    except (ValueError, TypeError, KeyError):
        return None
