"""The supervisor by itself, over small programs: whom it replaces, when it gives up, and its exit code."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from conveyor_django.worker.reload import RELOAD
from conveyor_django.worker.supervisor import SUPERVISED, Supervisor
from tests.processes import wait_for

# a line into `log` for each start; the numbers are the exit codes of the first, second... start, the last for all more
PROGRAM = """
import os, sys, time
log, *codes = sys.argv[1:]
with open(log, "a") as file:
    file.write(os.environ["CONVEYOR_SUPERVISOR"] + "\\n")
with open(log) as file:
    starts = len(file.readlines())
code = int(codes[min(starts, len(codes)) - 1])
if code == 99:
    time.sleep(600)
os._exit(code) if code >= 0 else os.kill(os.getpid(), -code)
"""

RUNS = 99  # instead of an exit code: until it is told to stop


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "starts"


def program(log: Path, *codes: int) -> list[str]:
    return [sys.executable, "-S", "-c", PROGRAM, str(log), *map(str, codes)]


def starts(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_who_ends_well_is_not_replaced(log):
    assert Supervisor(program(log, 0), 3, finite=True).run() == 0
    assert log.read_text().split() == [str(os.getpid())] * 3
    assert SUPERVISED not in os.environ


@pytest.mark.parametrize("code", [1, -signal.SIGKILL, RELOAD])
def test_who_dies_or_asks_for_it_is_replaced(log, code):
    assert Supervisor(program(log, code, 0), 1, finite=True).run() == 0
    assert starts(log) == 2


def test_it_gives_up_when_every_start_fails(log):
    supervisor = Supervisor(program(log, 7), 1, finite=True, longest_pause=0.01)
    assert supervisor.run() == 1
    assert starts(log) == 5


def test_without_an_end_it_goes_on_until_told(log):
    supervisor = Supervisor(program(log, 0, *[1] * 6, RUNS), 1, longest_pause=0.01)  # ending well is no end either

    def tell() -> None:
        wait_for(lambda: starts(log) == 8)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=tell)
    thread.start()
    assert supervisor.run() == 0
    thread.join()


def test_it_pauses_longer_and_longer_between_quick_deaths(log, caplog):
    Supervisor(program(log, -signal.SIGKILL, 1, 1, 1, 0), 1, finite=True, longest_pause=0.02).run()
    said = [record.getMessage().split(": ")[-1] for record in caplog.records if record.levelname == "ERROR"]
    assert said == ["another one starts", "another one starts in 20 ms"] + ["another one starts in 20 ms"] * 2
    assert "was killed by SIGKILL" in caplog.text
    assert "ended with exit code 1" in caplog.text


def test_signal_handlers_are_as_before(log):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    Supervisor(program(log, 0), 1, finite=True).run()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
