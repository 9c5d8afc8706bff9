"""Management commands as processes of their own, in this test's database: what they do is committed and seen.

Tests that use them need `@pytest.mark.django_db(transaction=True)`.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from django.db import connection

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 20  # seconds


class Process(subprocess.Popen[bytes]):
    """A running command; what it says is kept in `output`. As a context manager it is killed at the end."""

    def __init__(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed at the end of the `with` block
        super().__init__(
            [sys.executable, "-m", "django", *arguments],
            cwd=ROOT,
            env={**os.environ, **environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for pytest
        )

    def __exit__(self, *error: Any) -> None:
        if self.poll() is None:
            self.send_signal(signal.SIGCONT)  # it may have been stopped
            self.kill()
        self.wait()
        self._log.close()

    @property
    def output(self) -> str:
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode()  # not read(): the child shares the offset

    def wait_for_output(self, text: str, timeout: float = PATIENCE) -> None:
        """Until it has said `text`; fails with all that it said when it ended before."""
        wait_for(lambda: text in self.output or self.poll() is not None, timeout, lambda: self.output)
        assert text in self.output, f"ended with {self.poll()}, having said:\n{self.output}"

    def ends_with(self, timeout: float = PATIENCE) -> int:
        """Its exit code, once it has ended by itself."""
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s, having said:\n{self.output}") from None


def spawn(*arguments: str, env: dict[str, str] | None = None) -> Process:
    """Start `python -m django <arguments>`, a `runworker` for example.

    `env={"CONVEYOR_TEST_HEARTBEAT": "0.2,1"}` sets the heartbeat's interval and timeout.
    """
    return Process(*arguments, env=env)


def environment() -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "CONVEYOR_TEST_NAME": str(connection.settings_dict["NAME"]),
        "PYTHONUNBUFFERED": "1",
    }


def wait_for(condition: Callable[[], T], timeout: float = PATIENCE, describe: Callable[[], object] = lambda: "") -> T:
    """What `condition` returns once that is true; an `AssertionError` when it isn't by then."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s {describe()}"
        time.sleep(0.02)
    return result
