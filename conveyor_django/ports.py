"""The port through which `Job` reaches `transitions` and `engines`, above it, without an import cycle.

`transitions` fills it when the app is ready.
"""

from collections.abc import Callable
from typing import Any

_verbs: dict[str, Callable[..., Any]] = {}


def provide(**functions: Callable[..., Any]) -> None:
    _verbs.update(functions)


def call(verb: str, *args: Any, **kwargs: Any) -> Any:
    return _verbs[verb](*args, **kwargs)
