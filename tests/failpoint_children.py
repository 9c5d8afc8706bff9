"""Processes that act on a case and are killed or stopped at a failpoint: forks of the test, with their own sessions."""

import os
import signal
import traceback
import warnings
from typing import Any

from django.db import InterfaceError, OperationalError

from conveyor_django.engines import failpoints, get_engine
from conveyor_django.exceptions import ConveyorError
from conveyor_django.models import Job

from .failpoint_scenarios import Case
from .helpers import USING

DONE, BROKEN, REFUSED, LOST = range(4)  # exit codes
REFUSALS = (ConveyorError, Job.DoesNotExist)
LOSSES = (OperationalError, InterfaceError)


def _stop(place: str, connection: Any) -> None:
    """And let the database end the session soon, unless there is no transaction that could hold a lock yet."""
    if not place.endswith(":1:before"):
        get_engine(USING).limit_idle_transactions(0.05)
    os.kill(os.getpid(), signal.SIGSTOP)


ACTIONS = {"kill": failpoints.ACTIONS["kill"], "stop": _stop}


class Child:
    """Waits for `go`, so that many can be forked while the test has no session open."""

    def __init__(self, case: Case, place: str, action: str) -> None:
        self.case = case
        self.place = place
        self._action = action
        inbox, self._outbox = os.pipe()
        with warnings.catch_warnings():  # idle threads that other tests left
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if not self._pid:
            os.read(inbox, 1)
            os._exit(self._run())
        os.close(inbox)

    def go(self) -> str | int:
        """Returns what became of it: killed, stopped, or its exit code."""
        os.write(self._outbox, b"!")
        found = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
        return {os.CLD_KILLED: "killed", os.CLD_STOPPED: "stopped"}.get(found.si_code, found.si_status)

    def go_on(self) -> int:
        """After it was stopped; returns its exit code."""
        os.kill(self._pid, signal.SIGCONT)
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT).si_status

    def end(self) -> None:
        os.close(self._outbox)
        os.kill(self._pid, signal.SIGKILL)  # it is a zombie at least: nobody has waited for it
        os.waitpid(self._pid, 0)

    def _run(self) -> int:
        failpoints.armed = failpoints.Failpoint(self.place, ACTIONS[self._action])
        try:
            self.case.act()
        except REFUSALS:
            return REFUSED
        except LOSSES:
            return LOST
        except BaseException:
            traceback.print_exc()
            return BROKEN
        return DONE
