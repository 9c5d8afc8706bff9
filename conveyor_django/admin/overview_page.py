"""What the overview shows, as the context of its templates."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.apps import apps
from django.db import router
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from conveyor_django.engines import get_engine
from conveyor_django.models import Job
from conveyor_django.registry import registered_queues
from conveyor_django.states import JobState

from .changelist import MAX_COUNT
from .display import age, duration, sign
from .overview_flows import FailedFlow, FlowRow, read_flows
from .overview_queues import QueueRow, Samples, WorkerRow, read_queues, read_samples, read_workers
from .overview_rates import DAY, HOUR, Rate, read_rates
from .sparkline import sparkline

WINDOWS = {
    "hour": (HOUR, gettext_lazy("Last hour"), gettext_lazy("in the last hour")),
    "day": (DAY, gettext_lazy("Last day"), gettext_lazy("in the last day")),
}
MAX_LINES = 5  # of what needs attention
SHOWN_WORKERS = 100
_COLUMNS = [JobState.ACTIVE, JobState.WAITING, JobState.DELAYED, JobState.WAITING_CHILDREN, JobState.FAILED]
_ENDS = [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.ACTIVE]  # in the bar of a flow
_NARROWEST = 1.75  # per cent of a bar: two pixels


class Segment(NamedTuple):
    state: str
    start: str
    width: str


class Line(NamedTuple):
    """What needs attention, with its one link or button."""

    icon: str
    name: str
    text: str
    url: str = ""
    action: str = ""
    resumes: str = ""  # the name of a queue


class Links:
    """URLs of the same admin site, "" for what is not registered there."""

    def __init__(self, site: str) -> None:
        self._site = site

    def flow(self, pk: Any) -> str:
        return self._to("job_flow", [pk])

    def worker(self, pk: Any) -> str:
        return self._to("workerprocess_change", [pk])

    def queue(self, name: str) -> str:
        return self._to("job_changelist", query={"queue_name__exact": name, "level": "all"})

    def flows(self) -> str:
        return self._to("job_changelist")

    def _to(self, view: str, args: Any = None, query: Any = None) -> str:
        try:
            return reverse(f"admin:conveyor_django_{view}", args=args, current_app=self._site, query=query)
        except NoReverseMatch:
            return ""


def overview_page(window: str, links: Links) -> dict[str, Any]:
    using = router.db_for_read(Job)
    now = get_engine(using).now()
    span, _title, within = WINDOWS[window]
    samples = read_samples(using, now - span)
    workers = read_workers(using, samples, now)
    rates = read_rates(using, now, span)
    queues, more_queues = read_queues(using, samples, workers, rates)
    flows, more_flows, failed = read_flows(using, samples)
    lines = list(_attention(queues, workers, failed, now, links))
    figures = list(_figures(queues, workers, samples, rates, within, now))
    return {
        "window": window,
        "windows": [(key, title) for key, (_span, title, _within) in WINDOWS.items()],
        "as_of": timezone.localtime(now),
        "is_empty": not (any(queue.counts.total() or queue.paused_at for queue in queues) or _has_jobs(using)),
        "processors_missing": _processors_missing(),
        "figures": figures,
        "summary": ", ".join(f"{label}: {value}" for label, value, *_rest in figures),
        "attention": lines[:MAX_LINES],
        "attention_left_out": max(0, len(lines) - MAX_LINES),
        "heads": [(state.value, state.label) for state in _COLUMNS],
        "queues": [_queue(queue, samples, rates.get(queue.name), now, links) for queue in queues],
        "more_queues": more_queues,
        "flows": [_flow(flow, now, links) for flow in flows],
        "more_flows": more_flows,
        "flows_url": links.flows(),
        "workers": [_worker(worker, links) for worker in workers[:SHOWN_WORKERS]],
        "more_workers": len(workers) > SHOWN_WORKERS,
        "workers_summary": _workers_summary(workers),
    }


def _has_jobs(using: str) -> bool:
    return Job.objects.using(using).exists()


def _processors_missing() -> str:
    """Where was looked for processors, if there are none."""
    looked = len(list(apps.get_app_configs()))
    missing: str = ngettext("None was found in %d app.", "None was found in %d apps.", looked) % looked
    return "" if registered_queues() else missing


def number(value: int, *, is_capped: bool = False) -> str:
    text: str = number_format(value, force_grouping=True)
    return f"{text}+" if is_capped else text


def bar(counts: Mapping[str, int], total: int, states: Iterable[str]) -> list[Segment]:
    """Shares of a bar in per cent, each wide enough to be seen."""
    widths = [(state, max(_NARROWEST, 100 * counts[state] / total)) for state in states if counts[state]]
    factor = min(1.0, 100 / sum(width for _, width in widths)) if widths else 1.0
    segments, start = [], 0.0
    for state, width in widths:
        segments.append(Segment(str(state), f"{start:.2f}%", f"{width * factor:.2f}%"))
        start += width * factor
    return segments


def _figures(
    queues: list[QueueRow],
    workers: list[WorkerRow],
    samples: Samples,
    rates: Mapping[str, Rate],
    within: Any,
    now: datetime,
) -> Iterator[tuple[Any, str, str, str]]:
    """Name, value, what stands beside it, what stands below it."""
    capped = samples.capped()
    total = {state: sum(queue.counts[state] for queue in queues) for state in _COLUMNS}
    longest = min((queue for queue in queues if queue.oldest), key=lambda queue: queue.oldest or now, default=None)
    oldest = ""
    if longest and longest.oldest:
        oldest = _("oldest %(time)s, %(queue)s") % {"time": duration(now - longest.oldest), "queue": longest.name}
    waiting_is_capped = any(queue.counts[JobState.WAITING] >= MAX_COUNT for queue in queues)
    yield JobState.WAITING.label, number(total[JobState.WAITING], is_capped=waiting_is_capped), "", oldest
    here = [worker for worker in workers if worker.state != "gone"]
    slots = _("of %s slots") % number(sum(worker.process.concurrency for worker in here))
    live = {"live": sum(worker.state == "live" for worker in here), "all": len(workers)}
    below = _("%(live)d of %(all)d workers live") % live if workers else _("no worker runs")
    values = {state: number(total[state], is_capped=state in capped) for state in _COLUMNS}
    yield JobState.ACTIVE.label, values[JobState.ACTIVE], slots if here else "", below
    whole = whole_of(rates.values())
    finished = _("%(number)s %(within)s") % {"number": number(whole.finished), "within": within}
    yield _("Finished per minute"), number(whole.last_minute), "", finished
    yield JobState.FAILED.label, values[JobState.FAILED], percent(whole.failure_share), within
    most = whole.took(0.95, waiting=True)
    under = _("95 %% under %s") % duration(most) if most is not None else _("nothing finished %s") % within
    yield _("Waited, median"), _took(whole.took(0.5, waiting=True)), "", under


def whole_of(rates: Iterable[Rate]) -> Rate:
    """All queues together, without the slots."""
    whole = Rate([], [])
    for rate in rates:
        whole.completed += rate.completed
        whole.failed += rate.failed
        whole.last_minute += rate.last_minute
        whole.waited += rate.waited
        whole.ran += rate.ran
    return whole


def percent(share: float | None) -> str:
    """Rounded down, but never to nothing."""
    if share is None:
        return ""
    tenths = int(1000 * share)
    return _("%s %%") % number_format((tenths or bool(share)) / 10, decimal_pos=1)


def _took(span: timedelta | None) -> str:
    return "–" if span is None else duration(span)


def _attention(
    queues: list[QueueRow], workers: list[WorkerRow], failed: list[FailedFlow], now: datetime, links: Links
) -> Iterator[Line]:
    for flow in failed:
        text = ngettext("%d job failed", "%d jobs failed", flow.failures) % flow.failures
        yield Line("failed", flow.root.name, text, links.flow(flow.root.pk), _("See and retry"))
    for queue in queues:
        waiting = queue.counts[JobState.WAITING]
        jobs = {"jobs": number(waiting, is_capped=waiting >= MAX_COUNT)}
        if not waiting:
            continue
        if queue.paused_at:
            text = ngettext("%(jobs)s job waits in it", "%(jobs)s jobs wait in it", waiting) % jobs
            since = _paused(queue, now)
            yield Line("paused", queue.name, f"{since}; {text}", links.queue(queue.name), "", queue.name)
        if not queue.workers:
            text = ngettext(
                "no worker serves this queue; %(jobs)s job waits in it",
                "no worker serves this queue; %(jobs)s jobs wait in it",
                waiting,
            )
            yield Line("late", queue.name, text % jobs, links.queue(queue.name), _("See them"))
    for worker in workers:
        if worker.state == "gone":
            text = _("silent for %s; what it ran goes back to its queue") % duration(worker.age)
            yield Line("gone", str(worker.process), text, links.worker(worker.process.pk), _("See worker"))


def _paused(queue: QueueRow, now: datetime) -> str:
    since = duration(now - (queue.paused_at or now))
    if queue.paused_by:
        return str(_("paused by %(name)s for %(time)s") % {"name": queue.paused_by, "time": since})
    return str(_("paused for %s") % since)


def _queue(queue: QueueRow, samples: Samples, rate: Rate | None, now: datetime, links: Links) -> dict[str, Any]:
    capped = samples.capped()
    if queue.counts[JobState.WAITING] >= MAX_COUNT:
        capped.add(JobState.WAITING)
    return {
        "name": queue.name,
        "url": links.queue(queue.name),
        "is_paused": queue.paused_at is not None,
        "bar": bar(queue.counts, queue.counts.total(), _COLUMNS),
        "cells": [
            (state.value, state.label, count, number(count, is_capped=count > 0 and state in capped))
            for state in _COLUMNS
            for count in [queue.counts[state]]
        ],
        "oldest": duration(now - queue.oldest) if queue.oldest else "",
        "sparkline": sparkline(rate),
        "per_minute": number(rate.last_minute) if rate else "0",
        "failure_rate": percent(rate.failure_share) if rate else "",
        **{
            f"{name}_{word}": _took(rate.took(share, waiting=name == "waited")) if rate and rate.finished else ""
            for name in ("waited", "ran")
            for word, share in (("median", 0.5), ("most", 0.95))
        },
    }


def _flow(flow: FlowRow, now: datetime, links: Links) -> dict[str, Any]:
    shown = [JobState.FAILED, JobState.ACTIVE]
    numbers = {"finished": number(flow.finished), "size": number(flow.size)}
    progress = _("%(finished)s of %(size)s") % numbers
    if flow.is_capped:
        progress = _("more than %s jobs") % numbers["size"]
    return {
        "root": flow.root,
        "url": links.flow(flow.root.pk),
        "age": duration(now - flow.root.created_at),
        "bar": bar(flow.counts, flow.size, _ENDS) if flow.size else [],
        "signs": [
            sign(state, f"{number(flow.counts[state])} {state.label.lower()}") for state in shown if flow.counts[state]
        ],
        "has_begun": flow.is_capped or flow.finished or flow.counts[JobState.ACTIVE],
        "progress": progress,
        # rounded down: 100 % never shows early
        "share": "" if flow.is_capped or not flow.size else _("%d %%") % (100 * flow.finished // flow.size),
    }


def _worker(row: WorkerRow, links: Links) -> dict[str, Any]:
    words = {"live": _("Live"), "late": _("Late"), "gone": _("Gone")}
    served = row.process.queues
    return {
        "sign": sign(row.state, words[row.state]),
        "url": links.worker(row.process.pk),
        "host": row.process.host,
        "pid": row.process.pid,
        "queues": _("every queue") if served is None else ", ".join(map(str, served)),
        "running": f"{row.running} / {row.process.concurrency}",
        "heard": age(row.age),
    }


def _workers_summary(workers: list[WorkerRow]) -> str:
    words = {"live": _("%d live"), "late": _("%d late"), "gone": _("%d gone")}
    numbers = {state: sum(worker.state == state for worker in workers) for state in words}
    return ", ".join(words[state] % count for state, count in numbers.items() if count)
