"""What a run came to: one table for people, JSON for programs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from .violation import Violation

_SHOWN = 5


@dataclass
class Strikes:
    fault: str
    dose: int


@dataclass
class Result:
    command: str
    database: str
    seed: int
    seconds: float  # under fire
    faults: list[Strikes]
    flows: int
    jobs: int
    finished: int
    stalled: int
    given_back: int
    snapshots: int
    exits: dict[str, int]
    settled_in: float | None  # seconds after the last strike; None: not at all
    violations: list[Violation]

    def as_json(self) -> dict[str, Any]:
        violations = [violation._asdict() for violation in self.violations]
        return {**asdict(self), "violations": violations}

    def lines(self) -> list[str]:
        settled = "never" if self.settled_in is None else f"{self.settled_in:.1f} s"
        rows = [["fault", "dose", "jobs", "recovered", "settled in", "violations"]]
        total = [str(self.jobs), str(self.stalled + self.given_back), settled, str(len(self.violations))]
        if len(self.faults) == 1:
            rows.append([self.faults[0].fault, str(self.faults[0].dose), *total])
        else:
            rows += [[strikes.fault, str(strikes.dose), "", "", "", ""] for strikes in self.faults]
            rows.append(["all", str(sum(strikes.dose for strikes in self.faults)), *total])
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return [
            f"{self.database}, seed {self.seed}, {self.seconds:.0f} s under fire: {self.flows} flows, "
            f"{self.snapshots} snapshots, workers ended {self.exits}",
            *table,
            *self._broken(),
        ]

    def _broken(self) -> Iterator[str]:
        """The first few of each rule."""
        for rule, number in Counter(violation.rule for violation in self.violations).items():
            yield f"VIOLATED {number} times: {rule}"
            yield from (f"  {v.what}" for v in [v for v in self.violations if v.rule == rule][:_SHOWN])
