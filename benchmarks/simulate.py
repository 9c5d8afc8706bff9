"""Up to a hundred workers against one PostgreSQL, on paper: `python -m benchmarks.simulate --help`.

A discrete-event simulation. A worker's turn finishes one batch of jobs and claims the next. It needs, in this order:

1. the worker's own time: for each job its part of the interpreter, and the seconds that a job takes, on all slots;
2. locks, when the batch's jobs share parents with another worker's: held until the commit is done;
3. a core of the database server: a fixed time for each turn, one for each job, and one for each row that the claim
   passes because a turn that isn't committed yet has locked it; as many cores as the server has;
4. the log: one flush at a time, which takes its time and more for each byte; those that wait share the next;
5. the network: one round trip.

Adding the jobs costs the server too, cores and log: each job that is worked off was added, by producers that keep up.

What a turn costs comes from `make bench PARTS=cost`, whose results.json is read. It is measured on one machine, where
workers and server share the cores; here the workers have cores of their own.
"""

import argparse
import heapq
import itertools
import json
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80, 100)


@dataclass(frozen=True)
class Costs:
    """Seconds of CPU and bytes of log; what was measured."""

    server_turn: float  # whatever is in the batch
    server_job: float
    worker_job: float
    add_job: float  # on the server, to add one: in bulk, or one by one
    wal_job: float
    flush: float  # what a commit waits for the disk
    passed_row: float  # to pass a row that is locked

    @classmethod
    def measured(cls, results: Path, *, one_by_one: bool) -> "Costs":
        return cls.of(json.loads(results.read_text())["parts"]["cost"]["runs"], one_by_one=one_by_one)

    @classmethod
    def of(cls, runs: dict[str, list[dict[str, float]]], *, one_by_one: bool) -> "Costs":
        """Two loads tell apart what a turn costs and what a job does: many jobs a turn, and one."""
        steps = {label: _middle(rounds) for label, rounds in runs.items()}
        many, alone = steps["worked off, of many"], steps["worked off, one at a time"]
        add = steps["added one by one" if one_by_one else "added in bulk"]
        few, most = max(many["commits"], 0.01), max(alone["commits"], 1.0)
        turn = max(0.0, (alone["server_cpu"] - many["server_cpu"]) / (most - few))
        return cls(
            server_turn=turn,
            server_job=max(5e-6, many["server_cpu"] - turn * few),
            worker_job=many["worker_us"] / 1e6,
            add_job=add["server_cpu"],
            wal_job=many["wal_bytes"] + add["wal_bytes"],
            flush=steps["one commit"]["flush_ms"] / 1e3,
            passed_row=steps["one row that a claim passes"]["passed_us"] / 1e6,
        )


def _middle(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(figures[name] for figures in rounds) for name in rounds[0]}


@dataclass(frozen=True)
class Site:
    """What one chooses, or has."""

    cores: int = 8  # of the database server
    slots: int = 8  # of a worker process
    job: float = 0.0  # seconds that a processor takes, without the interpreter
    round_trip: float = 0.0003
    batch: int = 100  # jobs a turn at most, while they are short
    bandwidth: float = 400e6  # bytes of log that the disk takes in a second
    shared: float = 0.0  # share of turns that end children of one wide parent


class Simulation:
    """A clock, and what happens next."""

    def __init__(self, workers: int, site: Site, costs: Costs, seed: int) -> None:
        self._site, self._costs = site, costs
        self._random = random.Random(f"{seed} {workers}")
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._now = 0.0
        self._cores = Pool(site.cores)
        self._parents = Pool(1)
        self._log: list[tuple[int, Callable[[], None]]] = []  # jobs in it, and what follows
        self._flushing = False
        self._locked = 0  # rows that turns have claimed and not committed
        self.jobs = 0
        self.flushes = 0
        self.busy = 0.0  # core seconds
        for _ in range(workers):
            self._at(self._random.random() * 0.01, self._begin)

    def run(self, seconds: float) -> None:
        while self._events and self._events[0][0] < seconds:
            self._now, _, happen = heapq.heappop(self._events)
            happen()

    def _at(self, delay: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self._now + delay, next(self._order), happen))

    def _begin(self) -> None:
        """A worker runs what it claimed, as many at a time as it has slots; only short jobs are claimed ahead."""
        site = self._site
        ahead = int(0.01 * site.slots / site.job) if site.job else site.batch
        batch = max(1, min(site.batch, site.slots + ahead))
        rounds = -(-batch // site.slots)
        own = batch * self._costs.worker_job
        waits = rounds * site.job
        self._at(self._vary(max(own, waits)), lambda: self._turn(batch))

    def _turn(self, batch: int) -> None:
        shares = self._random.random() < self._site.shared
        if shares:
            self._parents.take(lambda: self._serve(batch, shares=shares))
        else:
            self._serve(batch, shares=shares)

    def _serve(self, batch: int, *, shares: bool) -> None:
        costs = self._costs

        def claim() -> None:
            passed = self._locked * costs.passed_row
            self._locked += batch
            needed = self._vary(costs.server_turn + batch * (costs.server_job + costs.add_job) + passed)
            self._at(needed, lambda: served(needed))

        def served(needed: float) -> None:
            self.busy += needed
            self._cores.give()
            self._commit(batch, lambda: self._end(batch, shares=shares))

        self._cores.take(claim)

    def _commit(self, batch: int, then: Callable[[], None]) -> None:
        self._log.append((batch, then))
        if not self._flushing:
            self._flush()

    def _flush(self) -> None:
        """All that wait are on disk with it; who comes meanwhile waits for the next."""
        self._flushing = True
        self.flushes += 1
        waiting, self._log = self._log, []

        def flushed() -> None:
            self._flushing = False
            for _, then in waiting:
                then()
            if self._log:
                self._flush()

        size = sum(batch for batch, _ in waiting) * self._costs.wal_job
        self._at(self._vary(self._costs.flush) + size / self._site.bandwidth, flushed)

    def _end(self, batch: int, *, shares: bool) -> None:
        self.jobs += batch
        self._locked -= batch
        if shares:
            self._parents.give()
        self._at(self._site.round_trip, self._begin)

    def _vary(self, seconds: float) -> float:
        """Nothing takes the same time twice."""
        return seconds * self._random.uniform(0.7, 1.3)


class Pool:
    """So many at a time; the others wait in order."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: deque[Callable[[], None]] = deque()

    def take(self, then: Callable[[], None]) -> None:
        if self._free:
            self._free -= 1
            then()
        else:
            self._waiting.append(then)

    def give(self) -> None:
        if self._waiting:
            self._waiting.popleft()()
        else:
            self._free += 1


@dataclass(frozen=True)
class Point:
    workers: int
    rate: float  # jobs a second
    cores: float  # share of the server's
    flushes: float  # a second
    wal: float  # MB a second


def curve(site: Site, costs: Costs, *, seed: int, seconds: float, counts: tuple[int, ...] = COUNTS) -> Iterator[Point]:
    for workers in counts:
        simulation = Simulation(workers, site, costs, seed)
        simulation.run(seconds)
        rate = simulation.jobs / seconds
        cores = simulation.busy / seconds / site.cores
        yield Point(workers, rate, cores, simulation.flushes / seconds, rate * costs.wal_job / 1e6)


def bend(points: list[Point]) -> int:
    """The first number of workers from which another one brings less than half of what the first did."""
    for before, after in itertools.pairwise(points):
        if (after.rate - before.rate) / (after.workers - before.workers) < points[0].rate / 2:
            return before.workers
    return points[-1].workers


def plotted(points: list[Point], width: int = 40) -> str:
    most = max(point.rate for point in points)
    bent = bend(points)
    lines = ["workers   jobs/s  server's cores  WAL MB/s"]
    for point in points:
        bar = "█" * max(1, round(width * point.rate / most))
        note = "  <- bends" if point.workers == bent else ""
        lines.append(f"{point.workers:7} {point.rate:8,.0f} {point.cores:14.0%} {point.wal:9.1f}  {bar}{note}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.simulate", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add("--results", type=Path, default=Path("docs/performance.json"), help="with the part `cost` (%(default)s)")
    add("--cores", type=int, default=Site.cores, help="of the database server (%(default)s)")
    add("--slots", type=int, default=Site.slots, help="--concurrency of a worker process (%(default)s)")
    add("--job-ms", type=float, default=0.0, help="what a processor takes (%(default)s)")
    add("--round-trip-ms", type=float, default=Site.round_trip * 1e3, help="between hosts (%(default)s)")
    add("--flush-ms", type=float, help="a commit's wait for the disk (as measured)")
    add("--disk-mb", type=float, default=Site.bandwidth / 1e6, help="of log a second (%(default)s)")
    add("--shared", type=float, default=0.0, help="share of turns with one wide parent's children (%(default)s)")
    add("--one-by-one", action="store_true", help="jobs are added one by one, not in bulk")
    add("--seconds", type=float, default=5.0, help="simulated (%(default)s)")
    add("--seed", type=int, default=7, help="(%(default)s)")
    given = parser.parse_args(arguments)
    costs = Costs.measured(given.results, one_by_one=given.one_by_one)
    if given.flush_ms is not None:
        costs = replace(costs, flush=given.flush_ms / 1e3)
    site = Site(
        cores=given.cores,
        slots=given.slots,
        job=given.job_ms / 1e3,
        round_trip=given.round_trip_ms / 1e3,
        bandwidth=given.disk_mb * 1e6,
        shared=given.shared,
    )
    print(plotted(list(curve(site, costs, seed=given.seed, seconds=given.seconds))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
