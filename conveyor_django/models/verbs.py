"""What can be done to a job from anywhere; `transitions` does it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from asgiref.sync import sync_to_async
from django.core.exceptions import ObjectDoesNotExist
from django.db import router
from django.db.models import Model

from conveyor_django import ports
from conveyor_django.conf import get_settings
from conveyor_django.encoding import normalize
from conveyor_django.options import seconds
from conveyor_django.states import FINISHED

if TYPE_CHECKING:
    from .job import Job


class JobVerbs:
    """Each verb is one transaction, raises `InvalidJobState` where the state doesn't allow it and
    `Job.DoesNotExist` for a job that is gone, and leaves this instance as the row now is."""

    if TYPE_CHECKING:
        pk: Any
        state: str

        refresh_from_db: Any
        arefresh_from_db: Any

    def _do(self, verb: str, *args: Any) -> None:
        using = self._alias()
        ports.call(verb, using, [self.pk], *args)
        with suppress(ObjectDoesNotExist):  # done, and gone since: by `remove_on_fail`, say
            self.refresh_from_db(using=using)

    def _alias(self) -> str:
        """Where this job is written: it may have been read from a replica."""
        return router.db_for_write(cast("type[Model]", type(self)), instance=self)

    def retry(self) -> None:
        """Let a finished job run again; a parent that failed through children takes those with it."""
        self._do("retry")

    def cancel(self) -> None:
        """Cancel the job and all its unfinished descendants; its parent hears of a failure."""
        self._do("cancel")

    def remove(self) -> None:
        """Delete the job and its whole subtree; refused while one of them is active."""
        ports.call("remove", self._alias(), [self.pk])

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        taken: int = ports.call("remove", self._alias(), [self.pk])
        return taken, {"conveyor_django.Job": taken}

    def promote(self) -> None:
        """Make a delayed job waiting now."""
        self._do("promote")

    def change_priority(self, priority: int) -> None:
        """Of an unfinished job; lower first."""
        self._do("change_priority", priority)

    def change_delay(self, delay: float | timedelta) -> None:
        """Of a delayed job, counted from now; of one in waiting-children, counted from its release."""
        self._do("change_delay", seconds(delay, "delay"))

    def update_data(self, data: Any) -> None:
        self._do("update_data", normalize(data, "data", get_settings().MAX_DATA_BYTES))

    def wait_until_finished(self, timeout: float | timedelta) -> "Job":
        """This instance, refreshed, once finished.

        Raises `TimeoutError` when it hasn't finished by then, `Job.DoesNotExist` when it was removed.
        """
        for pause in self._pauses_until_finished(timeout):
            time.sleep(pause)
            self.refresh_from_db(using=self._alias())
        return self  # type: ignore[return-value]

    async def await_until_finished(self, timeout: float | timedelta) -> "Job":
        for pause in self._pauses_until_finished(timeout):
            await asyncio.sleep(pause)
            await self.arefresh_from_db(using=self._alias())
        return self  # type: ignore[return-value]

    def _pauses_until_finished(self, timeout: float | timedelta) -> Iterator[float]:
        """Seconds before each look, the first at once; ends when the refreshed job has finished."""
        deadline = time.monotonic() + seconds(timeout, "timeout")
        yield 0.0
        pause = 0.01
        while self.state not in FINISHED:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"job {self.pk} is {self.state} and has not finished in time")
            yield min(pause, left)
            pause = min(pause * 1.5, 0.5)

    aretry = sync_to_async(retry)
    acancel = sync_to_async(cancel)
    aremove = sync_to_async(remove)
    apromote = sync_to_async(promote)
