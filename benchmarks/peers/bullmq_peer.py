"""BullMQ on Redis. Producer and worker are `bullmq.js`: one process of 50, which Node's event loop shares."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from . import node_folder
from .base import Peer

PROGRAM = Path(__file__).with_name("bullmq.js")

if not shutil.which("node"):
    raise ImportError("Node is not installed")
if not (node_folder() / "node_modules" / "bullmq").exists():
    raise ImportError("its package is not installed, which takes npm")


def _command(role: str) -> list[str]:
    return ["node", str(PROGRAM), str(node_folder() / "node_modules"), role]


class BullMQ(Peer):
    bulk = flows = True

    def prepare(self) -> None:
        self._producer = subprocess.Popen(
            _command("producer"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def workers(self) -> list[list[str]]:
        return [_command("worker")]

    def add_many(self, count: int) -> None:
        self.time_adding_many(count)

    def unfinished(self) -> int:
        return int(self._ask(do="unfinished"))

    def time_adding(self, count: int) -> float:
        return float(self._ask(do="add", count=count))

    def time_adding_many(self, count: int) -> float:
        return float(self._ask(do="addMany", count=count))

    def time_flows(self, count: int, children: int) -> tuple[int, list[float]]:
        began, each = self._ask(do="addFlows", count=count, children=children)
        return began, each

    def send(self, count: int, pause: float) -> list[int]:
        sent: list[int] = self._ask(do="send", count=count, pause=pause)
        return sent

    def close(self) -> None:
        assert self._producer.stdin
        self._producer.stdin.close()
        self._producer.wait()

    def _ask(self, **request: Any) -> Any:
        """One line there, one line back: times are taken by the producer itself."""
        assert self._producer.stdin and self._producer.stdout
        self._producer.stdin.write(json.dumps(request) + "\n")
        return json.loads(self._producer.stdout.readline())


PEER = BullMQ
