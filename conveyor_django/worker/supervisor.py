"""`runworker --processes N`: starts the worker processes, replaces those that die, passes signals on."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from . import log
from .heartbeat_file import HeartbeatFile
from .interrupts import interruptible
from .reload import RELOAD

SUPERVISED = "CONVEYOR_SUPERVISOR"  # in a worker process's environment: its supervisor's pid
SLOT = "CONVEYOR_SLOT"  # there too: which of the processes it is, from 1
_TICK = 0.1
_QUICK = 10.0  # seconds: who dies sooner may well do so again
_MANY = 5  # quick deaths in a row
_LONGEST_PAUSE = 30.0


@dataclass(eq=False)
class _Slot:
    number: int
    heartbeat: HeartbeatFile
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0  # monotonic
    start_at: float = 0.0
    quick_deaths: int = 0  # in a row
    told: bool = False  # to stop
    ended_well: bool | None = None  # once nothing more is started here


def heartbeat_file_of(slot: str, path: str | None) -> str | None:
    """A supervised process has a file of its own beside its supervisor's."""
    return f"{path}.{slot}" if path and slot else path


class Supervisor:
    """`command` is started `count` times; with `finite` a process that ends well isn't replaced."""

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        *,
        finite: bool = False,
        longest_pause: float = _LONGEST_PAUSE,
        heartbeat_file: str | None = None,
    ) -> None:
        self._command = command
        numbers = range(1, count + 1)
        self._slots = [_Slot(n, HeartbeatFile(heartbeat_file_of(str(n), heartbeat_file))) for n in numbers]
        self._heartbeat = HeartbeatFile(heartbeat_file)
        self._shown = 0.0  # its time
        self._finite = finite
        self._longest_pause = longest_pause
        self._stopping = False
        self._killed_by = 0

    def run(self) -> int:
        """Returns the exit code: 0 when all processes ended well."""
        with interruptible(self._stop, self._kill):
            while not self._killed_by and any(slot.ended_well is None for slot in self._slots):
                for slot in self._slots:
                    self._tend(slot)
                self._show_life()
                time.sleep(_TICK)
        self._heartbeat.remove()
        if self._killed_by:
            self._kill_all()
            return 128 + self._killed_by
        return 0 if all(slot.ended_well for slot in self._slots) else 1

    def _show_life(self) -> None:
        """As fresh as that of the process that was heard of longest ago."""
        times = [slot.heartbeat.time() for slot in self._slots if slot.ended_well is None]
        oldest = min((moment or 0.0 for moment in times), default=0.0)
        if oldest not in (0.0, self._shown):
            self._heartbeat.write(oldest, processes=len(times))
            self._shown = oldest

    def _stop(self, number: int) -> None:
        self._stopping = True
        log.stop_requested(signal.Signals(number).name)

    def _kill(self, number: int) -> None:
        self._killed_by = number

    def _tend(self, slot: _Slot) -> None:
        if slot.process is not None:
            if (code := slot.process.poll()) is not None:
                self._ended(slot, slot.process.pid, code)
            elif self._stopping and not slot.told:
                slot.told = True
                slot.process.terminate()
        elif slot.ended_well is None and self._stopping:
            slot.ended_well = True
        elif slot.ended_well is None and time.monotonic() >= slot.start_at:
            self._start(slot)

    def _start(self, slot: _Slot) -> None:
        # a session of its own: Ctrl-C in the terminal reaches the supervisor alone, which passes it on
        slot.process = subprocess.Popen(
            self._command,
            env={**os.environ, SUPERVISED: str(os.getpid()), SLOT: str(slot.number)},
            start_new_session=True,
        )
        slot.started = time.monotonic()
        log.process_started(slot.process.pid)

    def _ended(self, slot: _Slot, pid: int, code: int) -> None:
        slot.process = None
        if self._stopping:
            slot.ended_well = code in (0, RELOAD, -signal.SIGTERM)  # the last before it had begun
        elif code == 0 and self._finite:
            slot.ended_well = True
        elif code in (0, RELOAD):
            slot.quick_deaths = 0
        else:
            self._died(slot, pid, code)
        if slot.ended_well is False:
            log.process_died(pid, code, None)

    def _died(self, slot: _Slot, pid: int, code: int) -> None:
        is_quick = time.monotonic() - slot.started < _QUICK
        slot.quick_deaths = slot.quick_deaths + 1 if is_quick else 0
        if self._finite and slot.quick_deaths >= _MANY:
            slot.ended_well = False
            return
        pause = 0.0 if slot.quick_deaths < 2 else min(2.0 ** (slot.quick_deaths - 2), self._longest_pause)
        slot.start_at = time.monotonic() + pause
        log.process_died(pid, code, pause)

    def _kill_all(self) -> None:
        running = [slot.process for slot in self._slots if slot.process is not None]
        for process in running:
            process.kill()
        for process in running:
            process.wait()
