"""What happens between the workers and the database."""

import subprocess
import sys
from dataclasses import replace

from django.db import connection

from .base import Fault


class Proxy(Fault):
    name = "proxy"

    def prepare(self) -> None:
        target = f"{connection.settings_dict['HOST']}:{connection.settings_dict['PORT']}"
        command = [sys.executable, "-m", "tests.chaos.proxy", target, f"{self.random.random()}"]
        self._process = subprocess.Popen(
            [*command, f"{self.scene.options.lease[1]}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        port = self._process.stdout.readline().strip()
        self.scene.changes.append(
            lambda ways: replace(ways, database={**ways.database, "HOST": "127.0.0.1", "PORT": port})
        )

    def heal(self) -> None:
        """It goes on as a proxy that does no harm."""
        self._process.stdin.write("peace\n")
        self._process.stdin.flush()
        self.dose = int(self._process.stdout.readline())

    def leave(self) -> None:
        self._process.kill()
        self._process.communicate()
