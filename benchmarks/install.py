"""What pip's dependency group doesn't bring: Node's packages, and mysqlclient, which has to be compiled."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from .peers import node_folder

_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ["bullmq@6", "ioredis"]


def install_for_node() -> None:
    """Without npm, or where it fails, that peer is left out."""
    folder = node_folder()
    npm = shutil.which("npm")
    if npm is None or (folder / "node_modules" / "bullmq").exists():
        return
    folder.mkdir(exist_ok=True)
    subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *_PACKAGES])


def install_mysqlclient() -> bool:
    if importlib.util.find_spec("MySQLdb"):
        return True
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--group", "mysql"]
    return subprocess.run(command, cwd=_ROOT, capture_output=True).returncode == 0
