"""Where the worker's sentences go when the site has no logging for them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from conveyor_django.worker.log import logger

from .output import Terminal

_LEVELS = {0: logging.ERROR, 1: logging.INFO}  # from 2 on DEBUG: a line a job


@contextmanager
def logging_to(terminal: Terminal, verbosity: int, *, always: bool = False, with_pid: bool = False) -> Iterator[None]:
    """The site's own logging is left as it is, but for its level from verbosity 2 on; `always` says it here too."""
    level = _LEVELS.get(verbosity, logging.DEBUG)
    handler = None
    before = logger.level
    if always or not logger.hasHandlers():
        handler = _Handler(terminal, with_pid=with_pid)
        logger.addHandler(handler)
        logger.setLevel(level)
    elif level == logging.DEBUG:
        logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
        if handler is not None:
            logger.removeHandler(handler)


class _Handler(logging.Handler):
    def __init__(self, terminal: Terminal, *, with_pid: bool) -> None:
        super().__init__()
        self._terminal = terminal
        pid = " [%(process)d]" if with_pid else ""
        self.setFormatter(logging.Formatter(f"%(asctime)s{pid}  %(message)s", datefmt="%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            if record.levelno >= logging.ERROR:
                line = self._terminal.bad(line)
            elif record.levelno == logging.WARNING:
                line = self._terminal.warning(line)
            self._terminal.say(line)
            self._terminal.flush()
        except Exception:  # a closed pipe, say: as every handler of logging's own
            self.handleError(record)
