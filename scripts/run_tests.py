"""Run the tests once on each database; arguments go to pytest.

    python scripts/run_tests.py [-k something ...]

SQLite always takes part, PostgreSQL and MariaDB or MySQL when they can be
reached as tests/settings.py says. CONVEYOR_TEST_DATABASES=sqlite,postgres,mysql
names the databases instead: exactly these, and one that can't be reached is a failure.
CONVEYOR_TEST_JOBS is how many databases are tested at a time (2).
Of several databases, the first is the one whose pages are looked at in a browser:
what a browser does is the same with each (CONVEYOR_TEST_BROWSER=yes: with all; no: with none).

Python's development mode is on (PYTHONDEVMODE=1) and pytest makes warnings
errors, so that an unclosed connection or a deprecated call fails its test;
its slow memory allocator is not, as little here is written in C.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATABASES = ("sqlite", "postgres", "mysql")
CLOSING_LINE = re.compile(r"^(?:=+ )?((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s(?: \([\d:, days]+\))?(?: =+)?$")
OUTCOMES = ("failed", "passed", "skipped", "deselected", "xfailed", "xpassed", "rerun", "warnings", "errors")


class NotTestable(Exception):
    """The tests can't be run as asked; the message says why."""


@dataclass
class Run:
    database: str
    counts: Counter[str] = field(default_factory=Counter)
    exit_code: int | None = None


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="conveyor-tests-") as folder:
        try:
            databases = choose_databases(folder)
        except NotTestable as error:
            print(f"Error: {error}", file=sys.stderr)
            return 2
        print(f"Testing on {', '.join(databases)} with Python {sys.version.split()[0]}", flush=True)
        if len(databases) > 1:
            return test_side_by_side(databases, arguments, folder)
        # pytest has the terminal to itself, so --pdb works
        return subprocess.call(pytest(databases[0], arguments), cwd=ROOT, env=environment(databases[0], folder))


def choose_databases(folder: str) -> list[str]:
    named = re.findall(r"\w+", os.environ.get("CONVEYOR_TEST_DATABASES", ""))
    if unknown := set(named).difference(DATABASES):
        raise NotTestable(f"CONVEYOR_TEST_DATABASES names {unknown.pop()!r}; known are {', '.join(DATABASES)}")
    unreachable = {name: reason for name in named or DATABASES if (reason := why_unreachable(name, folder))}
    if named and unreachable:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in unreachable.items())
        raise NotTestable(f"CONVEYOR_TEST_DATABASES={','.join(named)}, but not all of them can be tested{reasons}")
    for name, reason in unreachable.items():
        print(f"Left out: {name}, {reason}", flush=True)
    return [name for name in dict.fromkeys(named or DATABASES) if name not in unreachable]


def why_unreachable(database: str, folder: str) -> str | None:
    """None when it can be reached and its driver is installed (or could be, just now)."""
    command = [sys.executable, "-m", "scripts.probe_database"]
    env = environment(database, folder)
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        return "no answer"
    return None if done.returncode == 0 else (done.stdout.strip() or done.stderr.strip())


def environment(database: str, folder: str, *, browser: bool = True) -> dict[str, str]:
    return {
        "CONVEYOR_TEST_BROWSER": "yes" if browser else "no",
        "PYTHONMALLOC": "default",
        **os.environ,
        "CONVEYOR_TEST_DATABASE": database,
        "CONVEYOR_TEST_FOLDER": folder,
        "PYTHONDEVMODE": "1",
    }


def pytest(database: str, arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", "-o", f"cache_dir=.pytest_cache/{database}", *arguments]


def test_side_by_side(databases: list[str], arguments: list[str], folder: str) -> int:
    runs = [Run(database) for database in databases]
    started = time.monotonic()
    width = max(map(len, databases))
    lock = threading.Lock()

    def run_one(run: Run) -> None:
        process = subprocess.Popen(
            pytest(run.database, arguments),
            cwd=ROOT,
            env=environment(run.database, folder, browser=run is runs[0]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout
        for line in process.stdout:
            if match := CLOSING_LINE.match(line.strip()):
                run.counts = Counter(parse_counts(match[1]))
            with lock:
                print(f"{run.database:{width}} | {line}", end="", flush=True)
        run.exit_code = process.wait()

    with ThreadPoolExecutor(int(os.environ.get("CONVEYOR_TEST_JOBS", "2"))) as pool:
        list(pool.map(run_one, runs))
    return close(runs, time.monotonic() - started)


def parse_counts(text: str) -> dict[str, int]:
    pairs = (item.split() for item in text.split(", "))
    plural = {"error": "errors", "warning": "warnings"}
    return {plural.get(outcome, outcome): int(count) for count, outcome in pairs}


def close(runs: list[Run], seconds: float) -> int:
    """Print what each run came to, and then the sum in pytest's own words."""
    total: Counter[str] = Counter()
    for run in runs:
        if run.exit_code and not (run.counts["failed"] or run.counts["errors"]):  # it was killed, say
            run.counts["errors"] += 1
        total += run.counts
        exit_code = f" (exit code {run.exit_code})" if run.exit_code else ""
        print(f"{run.database}: {in_words(run.counts)}{exit_code}")
    print(f" {in_words(total)} in {seconds:.2f}s ".center(80, "="))
    return max(abs(run.exit_code or 0) for run in runs)


def in_words(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # pytest got it too, and has said so
        sys.exit(main(sys.argv[1:]))
    sys.exit(130)
