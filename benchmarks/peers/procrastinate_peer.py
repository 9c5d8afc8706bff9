"""procrastinate: async tasks, which it runs without a thread each; two workers of 8."""

from contextlib import ExitStack

import procrastinate
import psycopg

from benchmarks.marks import mark

from .base import Peer, address, command

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=address("postgres")))


@app.task(name="job")
async def job(number: int) -> dict[str, int]:
    mark(number)
    return {"number": number}


class Procrastinate(Peer):
    bulk = True
    most = 3_000

    def prepare(self) -> None:
        self._open = ExitStack()
        connector = procrastinate.SyncPsycopgConnector(conninfo=address("postgres"))
        producer = self._open.enter_context(app.replace_connector(connector))
        self._open.enter_context(producer.open())
        producer.schema_manager.apply_schema()
        self._task = producer.tasks["job"]
        self._connection = psycopg.connect(address("postgres"), autocommit=True)

    def workers(self) -> list[list[str]]:
        return [[command("procrastinate"), f"--app={__name__}.app", "worker", "--concurrency=8"]] * 2

    def add(self, number: int) -> None:
        self._task.defer(number=number)

    def add_many(self, count: int) -> None:
        for first in range(0, count, 1000):
            self._task.batch_defer(*({"number": number} for number in range(first, min(count, first + 1000))))

    def unfinished(self) -> int:
        query = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
        row = self._connection.execute(query).fetchone()
        return row[0] if row else 0

    def close(self) -> None:
        self._connection.close()
        self._open.close()


PEER = Procrastinate
