"""Programs of this machine, and its ports."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from .base import Unavailable


def program(name: str) -> str:
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise Unavailable(f"{name} is not installed")
    return path


def postgres(name: str) -> str:
    """Debian keeps the server's programs out of the way."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else program(name)


def has_statements() -> bool:
    """Whether pg_stat_statements is there to be loaded; it counts only while the part `profile` asks it to."""
    try:
        done = subprocess.run([postgres("pg_config"), "--sharedir"], capture_output=True, text=True)
    except Unavailable:
        return False
    return Path(done.stdout.strip(), "extension", "pg_stat_statements.control").exists()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
