"""Whether a thread of the worker goes on, for who watches over it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Pulse:
    """Beats at each step and each statement while its thread is at work; one that rests needs not beat."""

    def __init__(self) -> None:
        self.beats = 0
        self.resting = True
        self.cut: Callable[[], bool] = lambda: False  # ends its database session from outside; whether there was one

    @contextmanager
    def at_work(self, *, working: bool = True) -> Iterator[None]:
        self.beats += 1
        before, self.resting = self.resting, not working
        try:
            yield
        finally:
            self.beats += 1
            self.resting = before

    def at_rest(self) -> Any:
        return self.at_work(working=False)

    def on_statement(self, execute: Any, *args: Any) -> Any:
        """For `connection.execute_wrapper`."""
        self.beats += 1
        return execute(*args)
