"""What a result was measured with: date, machine, versions, and what was asked for."""

import json
import os
import platform
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .options import Options
from .peers import PEERS, node_folder
from .services import Unavailable
from .services.programs import postgres, program

PACKAGES = ["Django", "psycopg", "redis", "asyncpg"]


def described(options: Options) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "cores": os.cpu_count(),
            "processor": _processor(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "system": platform.system(),
        },
        "versions": _versions(),
        "rounds": options.rounds,
        "scale": options.scale,
        "store": options.choice.store,
    }


def _versions() -> dict[str, str]:
    packages = [entry.package for entry in PEERS.values()] + PACKAGES
    found = {name: _version(name) for name in dict.fromkeys(packages)}
    programs = {
        "PostgreSQL": _said_by(postgres, "postgres"),
        "MariaDB": _said_by(program, "mariadbd"),
        "Redis": _said_by(program, "redis-server"),
        "Node": _said_by(program, "node"),
    }
    return {
        "Python": platform.python_version(),
        **{name: text for name, text in found.items() if text},
        **{name: text for name, text in programs.items() if text},
        "SQLite": sqlite3.sqlite_version,
    }


def _version(package: str) -> str:
    manifest = node_folder() / "node_modules" / package / "package.json"
    if manifest.exists():
        return str(json.loads(manifest.read_text())["version"])
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _said_by(find: Callable[[str], str], name: str) -> str:
    """What looks like a version; of what is installed here, which a server that was given may not be."""
    try:
        path = find(name)
    except Unavailable:
        return ""
    words = subprocess.run([path, "--version"], capture_output=True, text=True).stdout.replace("=", " ").split()
    return next((word.lstrip("v").split("-")[0] for word in words if word.lstrip("v")[:1].isdigit()), "")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
