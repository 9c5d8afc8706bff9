"""What processors did, in a file: no fault of the database reaches it, and a killed process loses no line."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = "CONVEYOR_CHAOS_FOLDER"  # the run's, in the environment
_NAME = "evidence.jsonl"


def record(what: str, **facts: Any) -> None:
    line = json.dumps({"what": what, "pid": os.getpid(), **facts}) + "\n"
    file = os.open(Path(os.environ[FOLDER]) / _NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())  # one write: lines of several processes don't mix
    finally:
        os.close(file)


def recorded() -> Iterator[dict[str, Any]]:
    path = Path(os.environ[FOLDER]) / _NAME
    if path.exists():
        yield from map(json.loads, path.read_text().splitlines())
