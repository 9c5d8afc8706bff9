"""What a processor does with its job: read its children's values, and hand news to the worker's loop."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from conveyor_django import ports
from conveyor_django.conf import get_settings
from conveyor_django.encoding import MAX_TEXT, clean_text, normalize
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.options import seconds
from conveyor_django.running import Run
from conveyor_django.states import UNSUCCESSFUL, JobState

_PAGE = 1000


class JobHandle:
    """Callable from sync and async processors alike: what writes hands over to the worker, which writes it fenced."""

    _run: Run | None = None

    if TYPE_CHECKING:
        pk: Any
        _state: Any

    def iter_children_values(self) -> Iterator[tuple[str, Any]]:
        """`(child id, value)` of each completed child in declared order, a page at a time."""
        for child_id, value in self._pages("return_value", JobState.COMPLETED):
            yield str(child_id), value

    def get_children_values(self) -> dict[str, Any]:
        """Values of the completed children by their ids, in declared order."""
        return dict(self.iter_children_values())

    def get_children_failures(self) -> dict[str, str]:
        """Reasons of the failed and cancelled children by their ids, in declared order."""
        return {str(child_id): reason for child_id, reason in self._pages("failed_reason", *UNSUCCESSFUL)}

    def _pages(self, column: str, *states: str) -> Iterator[tuple[Any, Any]]:
        after = None
        while True:
            page = ports.call("children", self._state.db, self.pk, column, states, after, _PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    aget_children_values = sync_to_async(get_children_values)
    aget_children_failures = sync_to_async(get_children_failures)

    @property
    def cancel_requested(self) -> bool:
        """True once the job was cancelled, or its lease lost, while its processor runs."""
        return self._run is not None and self._run.cancel_requested

    def update_progress(self, progress: Any) -> None:
        """Any JSON; written within about a second. Raises `InvalidNode`."""
        value = normalize(progress, "progress", get_settings().MAX_DATA_BYTES)
        self._running().report_progress(value)
        self.progress = value

    def log(self, text: str) -> None:
        """Add a line to the job's log."""
        self._running().log(clean_text(text, MAX_TEXT))

    def discard(self) -> None:
        """No more attempts: if this one fails, the job has failed."""
        self._running().discarded = True

    def move_to_delayed(self, delay: float | timedelta) -> None:
        """Run again in so many seconds once this processor returns; this attempt isn't counted."""
        self._running().delay = seconds(delay, "delay")

    def _running(self) -> Run:
        if self._run is None:
            raise InvalidJobState(f"job {self.pk} is not being processed here")
        return self._run
