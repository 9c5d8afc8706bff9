"""Not a queue: the shortest loop over psycopg that claims jobs, calls a function and records what it returned.

What it reaches is what Python leaves of PostgreSQL. It has no attempts, leases, timeouts, threads or Django, and one
queue. Two processes, batches of 100; a batch's end and the next claim are one round trip and one commit.
"""

import json
import sys
import uuid

import psycopg

from benchmarks.marks import mark

from .base import Peer, address

TABLES = """
CREATE TABLE job (
    id uuid PRIMARY KEY,
    parent uuid,
    pending integer NOT NULL,
    state smallint NOT NULL, -- 0 waiting, 1 for children, 2 active, 3 done
    kind text NOT NULL,
    data jsonb NOT NULL,
    value jsonb,
    added_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz
);
CREATE INDEX job_waiting ON job (id) WHERE state = 0;
CREATE INDEX job_parent ON job (parent) WHERE parent IS NOT NULL;
"""
ADD = """
INSERT INTO job (id, parent, pending, state, kind, data)
SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::int[], %s::smallint[], %s::text[], %s::jsonb[])
"""
CLAIM = """
WITH first AS MATERIALIZED (
    SELECT id FROM job WHERE state = 0 ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE job SET state = 2, started_at = now() FROM first WHERE job.id = first.id
RETURNING job.id, job.kind, job.parent, job.data::text
"""
FINISH = """
UPDATE job SET state = 3, finished_at = now(), value = ended.value
FROM unnest(%s::uuid[], %s::jsonb[]) AS ended (id, value) WHERE job.id = ended.id
"""
COUNT = """
UPDATE job SET pending = pending - n, state = CASE WHEN pending = n THEN 0 ELSE state END
FROM (SELECT parent, count(*)::int AS n FROM unnest(%s::uuid[]) AS ended (parent) GROUP BY parent) AS ended
WHERE job.id = ended.parent
"""
VALUES = "SELECT value FROM job WHERE parent = %s AND state = 3"
BATCH = 100

Row = tuple[uuid.UUID, uuid.UUID | None, int, int, str, str]


class Floor(Peer):
    bulk = flows = True

    def prepare(self) -> None:
        self._connection = psycopg.connect(address("postgres"), autocommit=True)
        self._connection.execute(TABLES)

    def workers(self) -> list[list[str]]:
        return [[sys.executable, "-m", __name__]] * 2

    def add(self, number: int) -> None:
        self._write([_row("job", number)])

    def add_many(self, count: int) -> None:
        for first in range(0, count, 1000):
            self._write([_row("job", number) for number in range(first, min(count, first + 1000))])

    def add_flow(self, number: int, children: int) -> None:
        parent = _row("parent", number, pending=children)
        self._write([parent, *(_row("job", n, parent=parent[0]) for n in range(children))])

    def unfinished(self) -> int:
        row = self._connection.execute("SELECT count(*) FROM job WHERE state < 3").fetchone()
        return row[0] if row else 0

    def close(self) -> None:
        self._connection.close()

    def _write(self, rows: list[Row]) -> None:
        with self._connection.pipeline():
            self._connection.execute(ADD, [list(column) for column in zip(*rows, strict=True)])
            self._connection.execute("NOTIFY job")


def _row(kind: str, number: int, parent: uuid.UUID | None = None, pending: int = 0) -> Row:
    return uuid.uuid4(), parent, pending, int(pending > 0), kind, json.dumps({"number": number})


def work() -> None:
    with psycopg.connect(address("postgres")) as connection:
        connection.prepare_threshold = 0
        ear = psycopg.connect(address("postgres"), autocommit=True)
        ear.execute("LISTEN job")
        done: list[tuple[uuid.UUID, uuid.UUID | None, str]] = []
        while True:
            claimed = _turn(connection, done)
            done = [_call(connection, row) for row in claimed]
            if not claimed:
                for _ in ear.notifies(timeout=1, stop_after=1):
                    pass


def _turn(connection: psycopg.Connection, done: list) -> list:
    with connection.pipeline(), connection.cursor() as cursor:
        if done:
            ids, parents, values = (list(column) for column in zip(*done, strict=True))
            connection.execute(FINISH, [ids, values])
            if any(parents):
                connection.execute(COUNT, [sorted(filter(None, parents))])
        cursor.execute(CLAIM, [BATCH])
        connection.commit()
        return cursor.fetchall()


def _call(connection: psycopg.Connection, row: tuple) -> tuple[uuid.UUID, uuid.UUID | None, str]:
    id, kind, parent, data = row
    number = json.loads(data)["number"]
    if kind == "parent":
        mark(number, len(connection.execute(VALUES, [id]).fetchall()))
    else:
        mark(number)
    return id, parent, json.dumps({"number": number})


PEER = Floor

if __name__ == "__main__":
    work()
