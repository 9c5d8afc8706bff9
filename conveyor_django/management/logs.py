"""Where the worker's sentences go when the site has no logging for them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import OutputWrapper
from django.core.management.color import Style

from conveyor_django.worker.log import logger

_LEVELS = {0: logging.ERROR, 1: logging.INFO}  # from 2 on DEBUG: a line a job


@contextmanager
def logging_to(
    stream: OutputWrapper, verbosity: int, style: Style, *, always: bool = False, with_pid: bool = False
) -> Iterator[None]:
    """The site's own logging is left as it is, but for its level from verbosity 2 on; `always` says it here too."""
    level = _LEVELS.get(verbosity, logging.DEBUG)
    handler = None
    before = logger.level
    if always or not logger.hasHandlers():
        handler = logging.StreamHandler(stream)
        handler.terminator = ""  # the stream ends the line
        handler.setFormatter(_Lines(style, with_pid=with_pid))
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


class _Lines(logging.Formatter):
    def __init__(self, style: Style, *, with_pid: bool) -> None:
        pid = " [%(process)d]" if with_pid else ""
        super().__init__(f"%(asctime)s{pid}  %(message)s", datefmt="%H:%M:%S")
        self._styles = {logging.WARNING: style.WARNING, logging.ERROR: style.ERROR}

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return self._styles[record.levelno](line) if record.levelno in self._styles else line
