"""huey: two worker processes, on Redis or SQLite. Flows are a group and then a task."""

from huey import RedisHuey, SqliteHuey, group

from benchmarks.marks import mark

from .base import Peer, address, chosen_store, command

if chosen_store() == "sqlite":
    huey = SqliteHuey("bench", filename=address("sqlite"))
else:
    huey = RedisHuey("bench", url=address("redis"))


@huey.task()
def job(number: int) -> dict[str, int]:
    mark(number)
    return {"number": number}


@huey.task()
def parent(number: int, values: list[dict[str, int]]) -> None:
    mark(number, len(values))


class HueyPeer(Peer):
    flows = True

    def workers(self) -> list[list[str]]:
        return [[command("huey_consumer"), f"{__name__}.huey", "--quiet", "--worker-type", "process", "--workers", "2"]]

    def add(self, number: int) -> None:
        job(number)

    def add_flow(self, number: int, children: int) -> None:
        huey.enqueue(group([job.s(n) for n in range(children)]).then(parent, number))

    def unfinished(self) -> int:
        return int(huey.pending_count())


PEER = HueyPeer
