"""How many jobs took how long, in steps of a third: small enough to store each minute, good enough for a median."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping

_LEAST = 0.001  # seconds
_STEP = 1.3
_BOUNDS = [_LEAST * _STEP**step for step in range(80)]  # up to two weeks


def step_of(seconds: float) -> int:
    return bisect_right(_BOUNDS, seconds)


def merged(spreads: Iterable[Mapping[str, int]]) -> Counter[int]:
    """Of what was stored, where JSON made texts of the steps."""
    total: Counter[int] = Counter()
    for spread in spreads:
        for step, count in spread.items():
            total[int(step)] += count
    return total


def quantile(spread: Mapping[int, int], share: float) -> float | None:
    """Seconds under which that share of the jobs lies, to about a seventh; None without jobs."""
    wanted = share * sum(spread.values())
    before = 0
    for step in sorted(spread):
        if before + spread[step] >= wanted:
            low = _LEAST * _STEP ** (step - 1) if step else 0.0
            inside = (wanted - before) / spread[step]
            return low + inside * (_LEAST * _STEP**step - low)
        before += spread[step]
    return None
