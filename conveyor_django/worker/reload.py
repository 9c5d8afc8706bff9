"""`--reload`: notices that the code has changed, with Django's own watchers; draining is the worker's."""

from collections.abc import Iterator

from django.utils import autoreload

RELOAD = 3  # the exit code that asks for a new process: autoreload's own


def code_changes() -> Iterator[bool]:
    """Looks about once a second: whether the code has changed since it was loaded."""
    reloader = autoreload.get_reloader()
    autoreload.autoreload_started.send(sender=reloader)
    try:
        for _ in reloader.tick():
            yield False
    except SystemExit:  # that is how a watcher says it
        yield True
