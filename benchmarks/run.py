"""A run: for each round, each part, each entrant in turn, so that what is compared was measured close together."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from .figures import short
from .options import Options
from .parts import PARTS
from .parts.base import Entrant
from .peers import module_of
from .processes import descendants, end
from .services import Service, Unavailable, open_service

ROOT = Path(__file__).resolve().parent.parent

Runs = dict[str, dict[str, list[dict[str, Any]]]]  # part -> label -> figures of each round


class Run:
    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._services: dict[str, Service | Unavailable] = {}
        self._missing: dict[str, str] = {}  # why a peer can't take part
        self.errors: list[str] = []
        self.runs: Runs = {}
        (folder / "marks").mkdir()

    def go(self) -> None:
        for number in range(self._options.rounds):
            for part in self._options.parts:
                for entrant in PARTS[part].entrants(self._options.choice):
                    if reason := self._why_not(entrant):
                        if entrant.label not in self.runs.setdefault(part, {}) and not number:
                            _say(f"{part}: without {entrant.label}, {reason}")
                        continue
                    figures = self._measure(part, entrant)
                    self.runs.setdefault(part, {}).setdefault(entrant.label, []).append(figures)
                    _say(f"round {number + 1}, {part}, {entrant.label}: {_in_words(figures)}")

    def close(self) -> None:
        for service in self._services.values():
            if isinstance(service, Service):
                service.stop()

    def _why_not(self, entrant: Entrant) -> str:
        service = self._service(entrant.store)
        if isinstance(service, Unavailable):
            return str(service)
        if entrant.peer not in self._missing:
            self._missing[entrant.peer] = self._cannot_import(entrant)
        return self._missing[entrant.peer]

    def _service(self, store: str) -> Service | Unavailable:
        if store not in self._services:
            try:
                self._services[store] = open_service(store, self._folder)
            except Unavailable as error:
                self._services[store] = error
        return self._services[store]

    def _cannot_import(self, entrant: Entrant) -> str:
        done = subprocess.run(
            [sys.executable, "-c", f"import {module_of(entrant.peer)}"],
            cwd=ROOT,
            env=self._environment(entrant),
            capture_output=True,
            text=True,
        )
        return (done.stderr.strip().splitlines() or ["it can't be imported"])[-1] if done.returncode else ""

    def _measure(self, part: str, entrant: Entrant) -> dict[str, Any]:
        service = self._service(entrant.store)
        assert isinstance(service, Service)
        service.empty()
        for path in (self._folder / "marks").iterdir():
            path.unlink()
        arguments = [part, entrant.peer, str(self._options.scale), json.dumps(entrant.options)]
        environment = self._environment(entrant)
        with Path(environment["BENCH_LOG"]).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.drive", *arguments],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
            try:
                output, _ = process.communicate(timeout=PARTS[part].patience)
            except subprocess.TimeoutExpired:
                output = ""
            finally:
                _end(process)
        if process.returncode == 0 and output.strip():
            return json.loads(output.splitlines()[-1])
        tail = Path(environment["BENCH_LOG"]).read_text(errors="replace").strip().splitlines()[-1:]
        error = f"{part}, {entrant.label}: {'; '.join(tail) or 'no result'}"
        self.errors.append(error)
        return {"error": error}

    def _environment(self, entrant: Entrant) -> dict[str, str]:
        service = self._service(entrant.store)
        assert isinstance(service, Service)
        own = {"BENCH_SERVER_PID": str(service.pid)} if hasattr(service, "pid") else {}
        return {
            **os.environ,
            **own,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "BENCH_STORE": entrant.store,
            f"BENCH_{entrant.store.upper()}": service.address,
            "BENCH_MARKS": str(self._folder / "marks"),
            "BENCH_LOG": str(self._folder / f"{entrant.peer}.log"),
        }


def _end(process: subprocess.Popen[str]) -> None:
    """With all that it started, also when it was interrupted."""
    if process.poll() is None:
        end(descendants(process.pid))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _in_words(figures: dict[str, Any]) -> str:
    numbers = {name: value for name, value in figures.items() if not isinstance(value, dict | list)}
    return ", ".join(f"{name} {short(n) if isinstance(n, float) else n}" for name, n in numbers.items()) or "-"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
