"""One run: flows under fire, then settling, then the checks."""

import time
from contextlib import ExitStack
from pathlib import Path
from random import Random

from django.db import connection

from conveyor_django.models import Job, WorkerProcess

from . import invariants, witness
from .crew import Crew
from .faults import FAULTS, Fault, Scene
from .flows import Planner
from .history import History
from .options import Options
from .producer import Producer
from .report import Result, Strikes
from .sampling import Sampler
from .servers import Server
from .violation import Violation
from .world import database, robustly

_LONGEST = 300.0  # seconds to settle


def run(options: Options, folder: Path, server: Server | None) -> Result:
    shares = {name: max(getattr(traits, name) for traits in options.traits) for name in ("slow", "nasty", "steered")}
    planner = Planner(Random(options.seed), slow=shares["slow"], nasty=shares["nasty"])
    producer = Producer(planner, backlog=options.backlog, steered=shares["steered"])
    with database(server):
        scene = Scene(options, folder, producer, server)
        faults = [FAULTS[name](scene, Random(f"{options.seed} {name}")) for name in options.faults]
        return _under_fire(options, scene, faults)


def _under_fire(options: Options, scene: Scene, faults: list[Fault]) -> Result:
    with ExitStack() as stack:
        stack.callback(connection.close)
        for fault in faults:
            fault.prepare()
            stack.callback(fault.leave)
        stack.callback(scene.crew.stop)
        sampler = stack.enter_context(Sampler())
        stack.enter_context(scene.producer.adding(options.jobs))
        scene.crew.tend()
        _wait_for_workers(options.workers)
        began = time.monotonic()
        for fault in faults:
            stack.enter_context(fault)
        while time.monotonic() - began < options.seconds:
            scene.crew.tend()
            time.sleep(0.02)
        fired = time.monotonic() - began
        scene.producer.end()
        for fault in faults:
            fault.end()
        settled_in = _settle(scene.crew, options.patience)
    return _result(options, scene, faults, fired, settled_in, sampler)


def _wait_for_workers(number: int) -> None:
    deadline = time.monotonic() + _LONGEST
    while WorkerProcess.objects.count() < number and time.monotonic() < deadline:
        time.sleep(0.05)


def _settle(crew: Crew, patience: float) -> float | None:
    """Healthy workers do what is left; returns the seconds that it took, None when nothing moves any more."""
    began = moved = time.monotonic()
    seen = -1
    while time.monotonic() - moved < patience and time.monotonic() - began < _LONGEST:
        crew.tend()
        if not robustly(Job.objects.unfinished().exists):
            return time.monotonic() - began
        if (last := robustly(witness.last_seq)) != seen:
            seen, moved = last, time.monotonic()
        time.sleep(0.05)
    return None


def _result(
    options: Options, scene: Scene, faults: list[Fault], fired: float, settled_in: float | None, sampler: Sampler
) -> Result:
    history = History(witness.entries())
    broken = [
        *sampler.violations,
        *invariants.violations(history, scene.producer.planned, scene.crew.logs),
        *scene.crew.unplanned,
        *_without_reason(options, history),
    ]
    return Result(
        command=options.command,
        database=options.database,
        seed=options.seed,
        seconds=round(fired, 1),
        faults=[Strikes(fault.name, fault.dose) for fault in faults],
        flows=len(scene.producer.planned),
        jobs=len(history.lives),
        finished=sum(life.end != "removed" for life in history.lives.values()),
        stalled=history.stalls,
        given_back=history.given_back,
        snapshots=sampler.snapshots,
        exits=dict(scene.crew.ends),
        settled_in=settled_in if settled_in is None else round(settled_in, 1),
        violations=broken,
    )


def _without_reason(options: Options, history: History) -> list[Violation]:
    if history.stalls and not options.may_stall:
        return [Violation("stall", f"{history.stalls} stalls, though no worker was lost")]
    return []
