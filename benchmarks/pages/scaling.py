"""What is made of the measured costs."""

from dataclasses import replace
from functools import cache
from statistics import median

from benchmarks.figures import short
from benchmarks.simulate import Costs, Point, Site, bend, curve, plotted

from . import markdown
from .markdown import Parts

_SITES = (
    ("jobs that do nothing, 8 cores", Site()),
    ("jobs that do nothing, 32 cores", Site(cores=32)),
    ("jobs of 10 ms, 8 cores", Site(job=0.01)),
    ("jobs of 100 ms, 8 cores", Site(job=0.1)),
    ("children of one wide parent, 8 cores", Site(shared=1.0)),
)
_SECONDS, _SEED = 2.0, 7


def curves(parts: Parts) -> str:
    costs = _costs(parts)
    if costs is None:
        return ""
    plots = [f"{title}\n\n{plotted(_curve(site, costs))}" for title, site in (_SITES[0], _SITES[2])]
    return "\n\n".join(f"```text\n{plot}\n```" for plot in plots)


def bends(parts: Parts) -> str:
    costs = _costs(parts)
    if costs is None:
        return ""
    slow = replace(costs, flush=0.005)
    rows = []
    for title, site, used in [(t, s, costs) for t, s in _SITES] + [
        ("jobs that do nothing, a commit of 5 ms", Site(), slow)
    ]:
        points = _curve(site, used)
        best = max(points, key=lambda point: point.rate)
        at = bend(points)
        bent = f"{at}" if at < points[-1].workers else f"over {at}"
        rows.append([title, bent, f"{short(best.rate)}", f"{best.cores:.0%}", f"{best.wal:.0f}"])
    return markdown.table(["", "bends at", "at most, jobs/s", "of the server's cores", "WAL MB/s"], rows)


def capacity(parts: Parts) -> str:
    """What one core of the server carries."""
    if "cost" not in parts:
        return ""
    rows = []
    for label, rounds in parts["cost"]["runs"].items():
        if "server_cpu" not in rounds[0] or "one at a time" in label:  # nobody does that under load
            continue
        cpu = median(figures["server_cpu"] for figures in rounds)
        wal = median(figures["wal_bytes"] for figures in rounds)
        rows.append([label, short(1 / cpu) if cpu else "-", f"{short(1e8 / wal)}", f"{short(wal * 1e6 / 1e9)} GB"])
    return markdown.table(["", "jobs/s a core", "jobs/s at 100 MB/s of WAL", "WAL of a million jobs"], rows)


@cache
def _curve(site: Site, costs: Costs) -> list[Point]:
    return list(curve(site, costs, seed=_SEED, seconds=_SECONDS))


def _costs(parts: Parts) -> Costs | None:
    return Costs.of(parts["cost"]["runs"], one_by_one=False) if "cost" in parts else None
