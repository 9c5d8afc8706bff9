"""What happens to the database and its sessions."""

from contextlib import suppress
from typing import Any

from django.db import DatabaseError, connection

from tests.chaos import sessions
from tests.chaos.world import robustly

from .base import Fault


class Terminate(Fault):
    name = "terminate"
    every = (0.2, 0.3)

    def strike(self) -> None:
        def end() -> int:
            numbers = sessions.of_workers()
            return sessions.terminate(self.random.sample(numbers, min(3, len(numbers))))

        self.dose += robustly(end)


class Restart(Fault):
    name = "restart"
    every = (4, 6)

    def strike(self) -> None:
        self.scene.server.crash()
        self.scene.server.start()
        self.dose += 1


class ReadOnly(Fault):
    name = "readonly"
    every = (2, 4)

    def strike(self) -> None:
        robustly(lambda: self._set(True))
        self.dose += 1
        self.pause(self.random.uniform(1, 3))
        robustly(lambda: self._set(False))

    def _set(self, on: bool) -> None:
        with connection.cursor() as cursor:
            if connection.vendor == "mysql":
                cursor.execute(f"SET GLOBAL read_only = {int(on)}")
                return
            name = connection.settings_dict["NAME"]
            cursor.execute("SET default_transaction_read_only = off")
            cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {'on' if on else 'off'}")
            sessions.terminate(sessions.of_workers())  # it holds for new ones


class Exhaust(Fault):
    name = "exhaust"
    every = (2, 3)

    def strike(self) -> None:
        held = list(self._take_all())
        self.dose += 1
        for _ in range(5):
            numbers = robustly(sessions.of_workers)
            sessions.terminate(self.random.sample(numbers, min(3, len(numbers))))
            held += self._take_all()
            self.pause(self.random.uniform(0.2, 0.6))
        for other in held:
            other.close()

    def _take_all(self) -> Any:
        with suppress(DatabaseError):
            while True:
                other = connection.copy()
                other.settings_dict["USER"] = self.scene.server.user
                other.ensure_connection()
                other.inc_thread_sharing()
                yield other


class Snapshot(Fault):
    name = "snapshot"

    def prepare(self) -> None:
        self._session = connection.copy()
        self._session.inc_thread_sharing()  # closed by another thread

    def strike(self) -> None:
        if self.dose:
            return
        with self._session.cursor() as cursor:
            for statement in {
                "postgresql": ["BEGIN ISOLATION LEVEL REPEATABLE READ"],
                "mysql": [
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                    "START TRANSACTION WITH CONSISTENT SNAPSHOT",
                ],
                "sqlite": ["BEGIN DEFERRED"],
            }[connection.vendor]:
                cursor.execute(statement)
            cursor.execute("SELECT count(*) FROM conveyor_django_job")
            cursor.fetchall()
        self.dose = 1

    def heal(self) -> None:
        self._session.close()
