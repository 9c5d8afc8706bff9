"""What a fault is: a thread that strikes at seeded moments, and leaves everything healthy at the end."""

import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from django.db import connection

from tests.chaos.crew import Crew
from tests.chaos.options import Options
from tests.chaos.producer import Producer
from tests.chaos.worker_process import Ways


class Scene:
    """What faults can get at."""

    def __init__(self, options: Options, folder: Path, producer: Producer, server: Any) -> None:
        self.options = options
        self.folder = folder
        self.producer = producer
        self.server = server  # a database server of this run's own, or None
        self.changes: list[Callable[[Ways], Ways]] = []  # of the ways of each worker process that starts
        self.crew: Crew = Crew(options.workers, folder, self._ways)

    def _ways(self) -> Ways:
        ways = Ways(database={"USER": self.server.user} if self.server else {}, plant=self.options.plant)
        for change in self.changes:
            ways = change(ways)
        return ways


class Fault:
    name: ClassVar[str]  # as in the catalogue
    every: ClassVar[tuple[float, float]] = (0.1, 0.1)  # seconds between strikes, from and to

    def __init__(self, scene: Scene, random: Random) -> None:
        self.scene = scene
        self.random = random
        self.dose = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"chaos-{self.name}", daemon=True)
        self._error: BaseException | None = None

    def prepare(self) -> None:
        """Before any worker is started."""

    def strike(self) -> None:
        """Once; counts what it did in `dose`."""

    def heal(self) -> None:
        """After the last strike: what still hurts doesn't any more."""

    def leave(self) -> None:
        """When the workers have gone too."""

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self.heal()
        if self._error is not None:
            raise self._error

    def pause(self, seconds: float) -> None:
        """Ends early when the run is over."""
        self._over.wait(seconds)

    def _run(self) -> None:
        try:
            while not self._over.wait(self.random.uniform(*self.every)):
                self.strike()
        except BaseException as error:
            self._error = error
        finally:
            connection.close()
