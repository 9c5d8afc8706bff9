"""How much was finished lately, of each queue: what workers count by the minute, in few statements."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db.models import BooleanField, Case, QuerySet, Sum, Value, When
from django.db.models.functions import ExtractMinute, TruncHour

from conveyor_django.models import QueueMinute
from conveyor_django.spreads import merged, quantile

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MINUTE = timedelta(minutes=1)
_HALF_HOUR = timedelta(minutes=30)
_MAX_SPREADS = 2_000  # newest minutes of which it is read how long jobs took


@dataclass
class Rate:
    points: list[int]  # finished, by slot of the window, the oldest first
    failures: list[int]
    completed: int = 0
    failed: int = 0
    last_minute: int = 0  # finished in the last whole one
    waited: Counter[int] = field(default_factory=Counter)
    ran: Counter[int] = field(default_factory=Counter)

    @property
    def finished(self) -> int:
        return self.completed + self.failed

    @property
    def failure_share(self) -> float | None:
        return self.failed / self.finished if self.finished else None

    def took(self, share: float, *, waiting: bool) -> timedelta | None:
        seconds = quantile(self.waited if waiting else self.ran, share)
        return None if seconds is None else timedelta(seconds=seconds)


def read_rates(using: str, now: datetime, span: timedelta) -> dict[str, Rate]:
    """By queue; of the hour by the minute, of the day by the half hour."""
    slot = MINUTE if span <= HOUR else _HALF_HOUR
    last = _floor(now, slot)
    slots = int(span / slot)
    start = last - (slots - 1) * slot
    rows = QueueMinute.objects.using(using).filter(minute__gte=start)
    rates: dict[str, Rate] = defaultdict(lambda: Rate([0] * slots, [0] * slots))
    for queue_name, when, completed, failed in _sums(rows, slot):
        place = min(slots - 1, max(0, int((when - start) / slot)))
        rate = rates[queue_name]
        rate.points[place] += completed + failed
        rate.failures[place] += failed
        rate.completed += completed
        rate.failed += failed
    recent = rows.filter(minute=_floor(now, MINUTE) - MINUTE).order_by().values_list("queue_name")
    for queue_name, completed, failed in recent.annotate(Sum("completed"), Sum("failed")):
        rates[queue_name].last_minute = completed + failed
    _add_spreads(rates, rows)
    return dict(rates)


def _floor(moment: datetime, step: timedelta) -> datetime:
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour + (moment - hour) // step * step


def _sums(rows: "QuerySet[QueueMinute]", slot: timedelta) -> list[tuple[str, datetime, int, int]]:
    sums = (Sum("completed"), Sum("failed"))
    if slot == MINUTE:
        return list(rows.order_by().values_list("queue_name", "minute").annotate(*sums))
    # in UTC: MariaDB knows other zones only where somebody has loaded them
    is_late = Case(When(past__gte=30, then=Value(True)), default=Value(False), output_field=BooleanField())
    halves = rows.alias(past=ExtractMinute("minute", tzinfo=UTC))
    halves = halves.annotate(hour=TruncHour("minute", tzinfo=UTC), is_late=is_late).order_by()
    found = halves.values_list("queue_name", "hour", "is_late").annotate(*sums)
    return [(name, hour + late * _HALF_HOUR, completed, failed) for name, hour, late, completed, failed in found]


def _add_spreads(rates: dict[str, Rate], rows: "QuerySet[QueueMinute]") -> None:
    waited, ran = defaultdict(list), defaultdict(list)
    newest = rows.order_by("-minute").values_list("queue_name", "waited", "ran")
    for queue_name, of_waiting, of_running in newest[:_MAX_SPREADS]:
        waited[queue_name].append(of_waiting)
        ran[queue_name].append(of_running)
    for queue_name, rate in rates.items():
        rate.waited, rate.ran = merged(waited[queue_name]), merged(ran[queue_name])
