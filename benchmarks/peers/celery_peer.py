"""Celery on Redis: a worker with a pool of 8 threads, without the gossip. Flows are chords.

Two prefork processes that fetch ahead, which its guide to optimizing advises for short tasks, came out no faster.
"""

from celery import Celery, chord

from benchmarks.marks import mark

from .base import Peer, address, command

app = Celery("bench", broker=address("redis"), backend=address("redis"))


@app.task
def job(number: int) -> dict[str, int]:
    mark(number)
    return {"number": number}


@app.task
def parent(values: list[dict[str, int]], number: int) -> None:
    mark(number, len(values))


class CeleryPeer(Peer):
    flows = True

    def workers(self) -> list[list[str]]:
        without = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return [[command("celery"), "-A", __name__, "worker", "-l", "ERROR", "-P", "threads", "-c", "8", *without]]

    def add(self, number: int) -> None:
        job.delay(number)

    def add_flow(self, number: int, children: int) -> None:
        chord((job.s(n) for n in range(children)), parent.s(number)).apply_async()


PEER = CeleryPeer
