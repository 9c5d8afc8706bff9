"""When what happened, as places on one axis in per cent of its width: attributes of SVG, which any policy allows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.template.defaultfilters import date
from django.utils import timezone

from conveyor_django.states import JobState

from .nodes import Group, Node

_ROOM = 1.1  # of the time until now: the last tenth stays free
_NARROWEST = 0.45  # per cent: what ran is always seen
_LABELS = 4.5
_SLICES = 64
_SLICED_FROM = 20  # jobs whose ends are worth columns
_HEIGHT = 16  # of a row's drawing
_STEPS = [timedelta(seconds=step) for step in (1, 2, 5, 10, 15, 20, 30)]
_STEPS += [timedelta(minutes=step) for step in (1, 2, 3, 4, 5, 10, 15, 20, 30)]
_STEPS += [timedelta(hours=step) for step in (1, 2, 3, 6, 12, 24)]
_DAY = timedelta(days=1)

Attempt = tuple[datetime | None, datetime]  # start and end of one that failed


class Shape(NamedTuple):
    kind: str  # a class of the stylesheet; "end-..." is the icon of a state
    x: str
    width: str = ""
    y: str = "3"
    height: str = "10"


class Mark(NamedTuple):
    x: str
    label: str
    anchor: str  # of the text


@dataclass(frozen=True)
class Axis:
    start: datetime
    end: datetime  # now, or when the flow ended
    is_running: bool

    def place(self, moment: datetime) -> float:
        """In per cent, within the drawing whatever the clocks say."""
        whole = max((self.end - self.start).total_seconds() * _ROOM, 0.001)
        return min(100.0, max(0.0, 100 * (moment - self.start).total_seconds() / whole))

    def bar(self, kind: str, start: datetime, end: datetime, *, is_solid: bool = False) -> Shape:
        x = self.place(start)
        width = max(_NARROWEST if is_solid else 0.0, self.place(end) - x)
        return Shape(kind, _percent(min(x, 100 - width)), _percent(width))

    @property
    def now(self) -> str:
        return _percent(self.place(self.end))

    def marks(self) -> list[Mark]:
        """Labels at round times of the site's time zone."""
        marks = []
        last = self.place(self.end) - 14 if self.is_running else 96.0  # the label of now has that place
        for moment in self._round_times(self._step()):
            x = self.place(moment)
            if x < last:
                marks.append(Mark(_percent(x), self._label(moment), "start" if x < 3 else "middle"))
        return marks

    def lines(self) -> list[str]:
        return [_percent(self.place(moment)) for moment in self._round_times(self._step() / 2)]

    def _step(self) -> timedelta:
        span = (self.end - self.start) * _ROOM
        for step in _STEPS:
            if span / step <= _LABELS:
                return step
        return max(_DAY, timedelta(days=round(span / _LABELS / _DAY)))

    def _round_times(self, step: timedelta) -> Iterator[datetime]:
        """By the clock at the start: where clocks change meanwhile, none comes twice or is left out."""
        start = timezone.localtime(self.start)
        wall = start.replace(tzinfo=UTC)
        midnight = start.astimezone(UTC) - (wall - wall.replace(hour=0, minute=0, second=0, microsecond=0))
        moment = midnight + -(-(self.start - midnight) // step) * step
        until = self.start + (self.end - self.start) * _ROOM
        while moment <= until:
            yield moment
            moment += step

    def _label(self, moment: datetime) -> str:
        step = self._step()
        style = "j M" if step >= _DAY else "H:i:s" if step < timedelta(minutes=1) else "H:i"
        return date(timezone.localtime(moment), style)


def job_shapes(axis: Axis, node: Node, attempts: Sequence[Attempt], run_at: datetime | None) -> list[Shape]:
    """What it waited for, then one block for each attempt."""
    return [*_before(axis, node, attempts, run_at), *_attempts(axis, node, attempts)]


def parent_shapes(axis: Axis, node: Node, attempts: Sequence[Attempt]) -> list[Shape]:
    first = _first_start(node, attempts)
    until = first or node.finished_at or axis.end
    shapes = [*_bracket(axis, node.created_at, until), *_attempts(axis, node, attempts)]
    if node.state == JobState.FAILED and node.failed_by and node.finished_at:
        shapes.append(Shape("end-failed", _percent(axis.place(node.finished_at))))
    return shapes


def group_shapes(axis: Axis, group: Group, since: datetime) -> list[Shape]:
    """Its envelope; where all of its jobs are known, when they ended."""
    state = group.state
    if state == JobState.FAILED and group.ends:
        return [Shape("cv-failed", _percent(axis.place(end)), "0.25%") for end in _thinned(axis, group.ends)]
    if state == JobState.COMPLETED and len(group.ends) >= _SLICED_FROM:
        return _columns(axis, group)
    if state in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED):
        end = group.last or axis.end
        return [axis.bar(f"cv-{state}", group.first or since, end, is_solid=True)]
    if state == JobState.ACTIVE:
        return [axis.bar("cv-active", group.first or since, axis.end, is_solid=True)]
    if state == JobState.WAITING_CHILDREN:
        return _bracket(axis, since, axis.end)
    return [axis.bar("cv-pale-delayed" if state == JobState.DELAYED else "cv-pale", since, axis.end)]


def _before(axis: Axis, node: Node, attempts: Sequence[Attempt], run_at: datetime | None) -> Iterator[Shape]:
    until = _first_start(node, attempts) or node.finished_at or axis.end
    due = min(run_at, until) if run_at and not attempts else node.created_at
    if due > node.created_at:
        yield axis.bar("cv-pale-delayed", node.created_at, due)
    if until > due:
        yield axis.bar("cv-pale", due, until)


def _attempts(axis: Axis, node: Node, attempts: Sequence[Attempt]) -> Iterator[Shape]:
    ended: datetime | None = None
    for start, end in attempts:
        began = start or end
        if ended and began > ended:
            yield axis.bar("cv-pale-delayed", ended, began)
        yield axis.bar("cv-failed", began, end, is_solid=True)
        ended = end
    last = node.started_at if node.started_at and (not ended or node.started_at >= ended) else None
    if node.state == JobState.ACTIVE and last:
        until, kind = axis.end, "cv-active"
    elif node.finished_at and last:
        until, kind = node.finished_at, f"cv-{node.state}"
    elif ended and not node.finished_at:
        yield axis.bar("cv-pale-delayed" if node.state == JobState.DELAYED else "cv-pale", ended, axis.end)
        return
    else:
        return
    if ended and last > ended:
        yield axis.bar("cv-pale-delayed", ended, last)
    yield axis.bar(kind, last, until, is_solid=True)


def _first_start(node: Node, attempts: Sequence[Attempt]) -> datetime | None:
    return (attempts[0][0] or attempts[0][1]) if attempts else node.started_at


def _bracket(axis: Axis, start: datetime, end: datetime) -> list[Shape]:
    line = axis.bar("cv-waiting-children", start, end)
    return [
        Shape(line.kind, line.x, line.width, "7", "1.5"),
        Shape(line.kind, line.x, "0.2%", "3", "9"),
        Shape(line.kind, _percent(max(0.0, axis.place(end) - 0.2)), "0.2%", "3", "9"),
    ]


def _thinned(axis: Axis, moments: Sequence[datetime]) -> list[datetime]:
    """No two so near that they would be one tick."""
    return list({int(2 * axis.place(moment)): moment for moment in moments}.values())


def _columns(axis: Axis, group: Group) -> list[Shape]:
    start, end = group.first or group.ends[0], group.ends[-1]
    width = (end - start) / _SLICES
    if not width:
        return [axis.bar(f"cv-{group.state}", start, end, is_solid=True)]
    counts = [0] * _SLICES
    for moment in group.ends:
        counts[min(_SLICES - 1, max(0, int((moment - start) / width)))] += 1
    most = max(counts)
    share = (axis.place(end) - axis.place(start)) / _SLICES
    shapes = []
    for number, count in enumerate(counts):
        height = max(2, round(_HEIGHT * count / most)) if count else 0
        if height:
            x = axis.place(start) + number * share
            shapes.append(
                Shape(f"cv-{group.state}", _percent(x), _percent(0.8 * share), str(_HEIGHT - height), str(height))
            )
    return shapes


def _percent(value: float) -> str:
    return f"{value:.2f}%"
