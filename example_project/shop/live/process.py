"""`manage.py runworker` as a process of its own, as it runs on a site."""

import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from django.conf import settings

SHORT_WHILE = 2  # seconds to end by itself once our flows are done; it may be at work for others
PATIENCE = 15  # seconds to end gracefully when told to


class WorkerProcess:
    """Runs until its queues are idle; what it says is kept, and of use only when something goes wrong."""

    def __init__(self, *arguments: str) -> None:
        self.command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "runworker", *arguments]
        self.error_code = 0  # other than 0 when it failed by itself

    def __enter__(self) -> Self:
        self._log = tempfile.TemporaryFile("w+", errors="replace")
        # a session of its own: Ctrl-C in the terminal is for the demo, which then ends the worker gracefully
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ends_within(0 if kind else SHORT_WHILE):
            self.error_code = self._process.returncode
        else:
            self._process.terminate()
            if not self._ends_within(PATIENCE):
                self._process.kill()
                self._process.wait()
        self._last_words = self._read()
        self._log.close()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def last_words(self, lines: int = 20) -> str:
        return "\n".join(self._last_words.splitlines()[-lines:])

    def _ends_within(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _read(self) -> str:
        self._log.seek(0)
        return self._log.read()
