"""A TCP proxy that does harm: `python -m tests.chaos.proxy HOST:PORT SEED LEASE`.

It prints its port. At a line on its standard input it stops doing harm, and prints how often it did.
"""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from random import Random

_EVERY = (0.15, 0.35)  # seconds between strikes
_HARMS = ("reset", "lose reply", "lose reply", "half open")


class Link:
    """One client's connection and its way on to the server."""

    def __init__(
        self, client: asyncio.StreamWriter, server: asyncio.StreamWriter, loses_reply: Callable[[], bool]
    ) -> None:
        self._ends = (client, server)
        self._flows = asyncio.Event()
        self._flows.set()
        self._loses_reply = loses_reply  # to the COMMIT that has come

    async def requests(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self._flows.wait()
                if b"COMMIT" in data and self._loses_reply():
                    self._flows.clear()  # the reply stays here
                    sink.write(data)
                    await asyncio.sleep(0.05)  # the server carries it out
                    self.reset()
                    return
                sink.write(data)
                await sink.drain()
        self._close()

    async def replies(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self._flows.wait()
                sink.write(data)
                await sink.drain()
        self._close()

    async def half_open(self, seconds: float) -> None:
        """Nothing comes through and nobody is told."""
        self._flows.clear()
        await asyncio.sleep(seconds)
        self.reset()

    def reset(self) -> None:
        for end in self._ends:
            with suppress(OSError, AttributeError):
                linger = struct.pack("ii", 1, 0)
                end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            end.transport.abort()
        self._flows.set()

    def _close(self) -> None:
        for end in self._ends:
            end.close()


class Proxy:
    def __init__(self, host: str, port: int, random: Random, lease: float) -> None:
        self._target = host, port
        self._random = random
        self._lease = lease
        self._links: list[Link] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._replies_to_lose = 0
        self.dose = 0

    async def accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection(*self._target)
        except OSError:
            to_client.close()
            return
        link = Link(to_client, to_server, self._loses_reply)
        self._links.append(link)
        await asyncio.gather(link.requests(client, to_server), link.replies(server, to_client))
        self._links.remove(link)

    async def do_harm(self) -> None:
        while True:
            await asyncio.sleep(self._random.uniform(*_EVERY))
            if not self._links:
                continue
            link, harm = self._random.choice(self._links), self._random.choice(_HARMS)
            self.dose += 1
            if harm == "reset":
                link.reset()
            elif harm == "lose reply":
                self._replies_to_lose += 1
            else:
                task = asyncio.create_task(link.half_open(self._random.uniform(0.5, 2) * self._lease))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _loses_reply(self) -> bool:
        """To the next COMMITs that come, whoever sends them."""
        loses = self._replies_to_lose > 0
        self._replies_to_lose -= loses
        return loses

    def make_peace(self) -> None:
        self._replies_to_lose = 0


async def main(target: str, seed: str, lease: str) -> None:
    host, _, port = target.partition(":")
    proxy = Proxy(host, int(port), Random(seed), float(lease))
    listening = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    say(listening.sockets[0].getsockname()[1])
    harm = asyncio.create_task(proxy.do_harm())
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)
    harm.cancel()
    proxy.make_peace()
    say(proxy.dose)
    await asyncio.sleep(3600)  # until it is killed


def say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
