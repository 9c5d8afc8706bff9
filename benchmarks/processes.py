"""Processes that are started here, with all that they start: their CPU time, and their end. Linux's /proc is read."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_GRACE = 5.0  # seconds to end by themselves
_TICKS = os.sysconf("SC_CLK_TCK")


class Processes:
    """Commands that run side by side; what they say goes to one log."""

    def __init__(self, commands: Iterable[Sequence[str]], log: Path, environment: Mapping[str, str]) -> None:
        with log.open("ab") as file:
            self._started = [
                subprocess.Popen(
                    command,
                    env={**os.environ, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    start_new_session=True,
                )
                for command in commands
            ]

    def alive(self) -> bool:
        return all(process.poll() is None for process in self._started)

    def pids(self) -> list[int]:
        return [pid for process in self._started for pid in descendants(process.pid)]

    def stop(self) -> None:
        everyone = self.pids()
        for process in self._started:
            process.terminate()
        deadline = time.monotonic() + _GRACE
        for process in self._started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        end(everyone)
        for process in self._started:
            process.wait()


def end(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """This process and all below it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        if fields := _stat(path):
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Of those that still run, since they were started."""
    stats = (_stat(Path(f"/proc/{pid}/stat")) for pid in pids)
    return sum(int(fields[11]) + int(fields[12]) for fields in stats if fields) / _TICKS


def children_cpu_seconds(pid: int) -> float:
    """Of those of its children that have ended."""
    fields = _stat(Path(f"/proc/{pid}/stat"))
    return (int(fields[13]) + int(fields[14])) / _TICKS if fields else 0.0


def _stat(path: Path) -> list[str]:
    """The fields after the program's name, which may hold blanks: state, parent, ..."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return []
