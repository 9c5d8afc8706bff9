"""A file that is as fresh as the worker: for probes that ask no database."""

import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from . import log
from .pulse import Pulse


class HeartbeatFile:
    """One line of JSON, written anew at each sign of life; `path` None is no file at all."""

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None

    def write(self, moment: float, **facts: Any) -> None:
        """`moment` (seconds of the epoch) is the file's time too."""
        if self._path is None:
            return
        line = {"pid": os.getpid(), **facts, "time": datetime.fromtimestamp(moment, UTC).isoformat()}
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            new.write_text(json.dumps(line) + "\n")
            os.utime(new, (moment, moment))
            new.replace(self._path)  # who reads it sees the old or the new one, whole
        except OSError as error:  # a worker that can't tell is still a worker
            log.background_failed("the heartbeat file", error)

    def remove(self) -> None:
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()

    def time(self) -> float | None:
        """Seconds of the epoch, None when there is no file."""
        with suppress(OSError):
            return self._path.stat().st_mtime if self._path else None
        return None


class LifeSign:
    """The file of one worker: renewed with its lease, and only if its loop went on meanwhile."""

    def __init__(self, path: str | None, loop: Pulse) -> None:
        self._file = HeartbeatFile(path)
        self._loop = loop
        self._seen = -1  # beats

    def show(self, worker: UUID) -> None:
        beats = self._loop.beats
        if self._loop.resting or beats != self._seen:
            self._file.write(time.time(), worker=str(worker))
        self._seen = beats

    def end(self) -> None:
        self._file.remove()
