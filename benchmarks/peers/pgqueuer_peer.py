"""pgqueuer on asyncpg: two processes, batches of 100. It deletes what is done, and keeps no results."""

import asyncio
import os
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import asyncpg
import psycopg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, SyncPsycopgDriver
from pgqueuer.models import Job
from pgqueuer.queries import SyncQueries

from benchmarks.marks import mark

from .base import Peer, address, command

BATCH = 100


async def work() -> None:
    queue = PgQueuer(AsyncpgDriver(await asyncpg.connect(address("postgres"))))

    @queue.entrypoint("job")
    async def job(job: Job) -> None:
        mark(int(job.payload or b""))

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, queue.shutdown.set)
    await queue.run(batch_size=BATCH)


class PgQueuerPeer(Peer):
    bulk = True

    def prepare(self) -> None:
        at = urlsplit(address("postgres"))
        names = {"PGHOST": at.hostname, "PGPORT": at.port, "PGUSER": at.username, "PGDATABASE": at.path[1:]}
        known = {name: str(value) for name, value in names.items() if value}
        password = {"PGPASSWORD": at.password} if at.password else {}
        subprocess.run(
            [command("pgq"), "install"], env={**os.environ, **known, **password}, check=True, stdout=subprocess.DEVNULL
        )
        self._connection = psycopg.connect(address("postgres"), autocommit=True)
        self._queries = SyncQueries(SyncPsycopgDriver(self._connection))

    def workers(self) -> list[list[str]]:
        return [[sys.executable, "-m", __name__]] * 2

    def add(self, number: int) -> None:
        self._queries.enqueue("job", str(number).encode())

    def add_many(self, count: int) -> None:
        for first in range(0, count, 1000):
            payloads: list[bytes | None] = [str(n).encode() for n in range(first, min(count, first + 1000))]
            self._queries.enqueue(["job"] * len(payloads), payloads, [0] * len(payloads))

    def unfinished(self) -> int:
        row = self._connection.execute("SELECT count(*) FROM pgqueuer").fetchone()
        return row[0] if row else 0

    def close(self) -> None:
        self._connection.close()


PEER = PgQueuerPeer

if __name__ == "__main__":
    asyncio.run(work())
