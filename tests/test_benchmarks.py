"""The benchmarks run, and the pages hold what was measured. No time is asserted: nothing here fails for being slow."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from benchmarks import pages
from benchmarks.chart import draw
from benchmarks.document import PAGES, made
from benchmarks.figures import tabulate
from benchmarks.parts import PARTS
from benchmarks.services import Unavailable, open_service
from benchmarks.simulate import Costs, Site, curve

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "docs" / "performance.json"


def server() -> dict[str, str]:
    """The one that the tests use, as an address."""
    at = settings.DATABASES["default"]
    kind = {"postgresql": "postgres", "mysql": "mysql"}.get(connection.vendor)
    if kind is None:
        return {}
    name = "/postgres" if kind == "postgres" else ""
    scheme = "postgresql" if kind == "postgres" else "mysql"
    password = f":{at['PASSWORD']}" if at["PASSWORD"] else ""
    return {f"BENCH_{kind.upper()}": f"{scheme}://{at['USER']}{password}@{at['HOST']}:{at['PORT']}{name}"}


def test_a_small_run(tmp_path: Path) -> None:
    database = {"postgresql": "postgres"}.get(connection.vendor, connection.vendor)
    parts = ["enqueue", "drain", "flows", "latency"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "--parts", ",".join(parts), "--peers", "none", "--db", database),
            *("--rounds", "1", "--scale", "0.001", "--out", str(tmp_path), "--logs", str(tmp_path / "logs")),
        ],
        cwd=ROOT,
        env={**os.environ, **server()},
        capture_output=True,
        text=True,
        timeout=600,
    )
    logs = "".join(path.read_text() for path in tmp_path.glob("logs/*"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    results = json.loads((tmp_path / "results.json").read_text())["parts"]
    assert list(results) == parts
    for name in parts:
        [figures] = results[name]["runs"]["conveyor"]
        assert set(figures) == {column.key for column in PARTS[name].columns}
        assert PARTS[name].title in done.stdout
    ET.fromstring((tmp_path / "chart.svg").read_text())


def test_a_failure_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        [*(sys.executable, "-m", "benchmarks", "--parts", "drain", "--peers", "none", "--out", str(tmp_path))],
        cwd=ROOT,
        env={**os.environ, "BENCH_POSTGRES": "postgresql://nobody@127.0.0.1:1/none"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode != 0
    assert "drain" in done.stdout + done.stderr


def test_a_program_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *arguments, **keywords: None)
    monkeypatch.delenv("BENCH_REDIS", raising=False)
    with pytest.raises(Unavailable, match="redis-server is not installed"):
        open_service("redis", tmp_path)


MEASURED = {"date": "2026-01-01", "rounds": 2, "scale": 1.0, "versions": {"huey": "3.0"}}


def test_ratios_say_who_is_better() -> None:
    """Of a rate and of a time alike: twice as many, and half as long, are twice as good."""
    drained = {"conveyor": [{"drained": 100.0}, {"drained": 300.0}], "huey": [{"drained": 100.0}, {}]}
    waited = {"conveyor": [{"p50": 1.0}], "huey": [{"p50": 2.0}]}
    runs = {"drain": drained, "latency": waited}
    text = pages.against({name: {"measured": MEASURED, "runs": found} for name, found in runs.items()})
    assert text.splitlines()[2:] == ["| huey 3.0 (Redis) | 2 | 2 | - | - |"]
    [cell] = tabulate(PARTS["drain"], drained)["conveyor"].values()
    assert (cell.median, cell.low, cell.high) == (200, 100, 300)


COSTS = Costs(
    server_turn=2e-4, server_job=4e-5, worker_job=1e-4, add_job=1e-5, wal_job=1500, flush=5e-4, passed_row=1e-7
)


def test_the_simulation_repeats_itself_and_bends() -> None:
    first, second = (list(curve(Site(cores=2), COSTS, seed=3, seconds=0.5, counts=(1, 2, 40))) for _ in range(2))
    assert first == second
    one, two, many = first
    assert one.rate < two.rate < many.rate < one.rate * 20
    assert one.cores < many.cores <= 1.05  # a core's work is counted when it is done


def test_pages_hold_what_was_measured() -> None:
    """`python -m benchmarks.document` makes them so."""
    parts = json.loads(KEPT.read_text())["parts"]
    for page in PAGES:
        text = page.read_text()
        assert made(text, parts) == text, page.name
    chart = (ROOT / "docs" / "images" / "performance.svg").read_text()
    assert chart == draw({name: part["runs"] for name, part in parts.items()})


def test_pages_have_every_block() -> None:
    text = "".join(page.read_text() for page in PAGES)
    parts = json.loads(KEPT.read_text())["parts"]
    for name, block in pages.BLOCKS.items():
        assert f"<!-- made: {name} -->" in text
        assert block(parts), f"nothing was measured for {name}"
