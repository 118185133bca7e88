"""Many clients that only read, and how the memory of each process grows meanwhile."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

from cottage.cancellation import background
from tests.chaos.suite import Suite
from tests.chaos.watch import shown

WARM_SECONDS = 120.0
"""Memory is compared from then on."""
PONG_SECONDS = 10.0
PONG = b"\x8a\x80" + b"\0" * 4
"""An empty one, masked: a client that says something is not asked whether it is there."""


class _Reader(asyncio.Protocol):
    """Speaks just enough to be sent everything."""

    def __init__(self, place: str) -> None:
        self._place = place
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self.bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are of no such class
        lines = [
            *("GET /ws HTTP/1.1", f"Host: {self._place}", "Upgrade: websocket", "Connection: Upgrade"),
            *(f"{name}: {value}" for name, value in shown().items()),
            *("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", "", ""),
        ]
        self.transport.write("\r\n".join(lines).encode())

    def data_received(self, data: bytes) -> None:
        self.bytes += len(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)


class Audience:
    """Clients that only read, and come back whenever they are lost."""

    def __init__(self, urls: list[str], number: int) -> None:
        self._urls = [urlsplit(url) for url in urls]
        self._number = number
        self.bytes = 0
        self.connections = 0

    @asynccontextmanager
    async def attending(self) -> AsyncIterator[None]:
        async with background(*(self._attend(number) for number in range(self._number))):
            yield

    async def _attend(self, number: int) -> None:
        url = self._urls[number % len(self._urls)]
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(OSError):
                transport, reader = await loop.create_connection(
                    lambda: _Reader(url.netloc), str(url.hostname), url.port or 80
                )
                self.connections += 1
                try:
                    while not reader.lost.done():
                        await asyncio.wait((reader.lost,), timeout=PONG_SECONDS)
                        transport.write(PONG)
                finally:
                    self.bytes += reader.bytes
                    transport.abort()
            await asyncio.sleep(random.random())


class Memory:
    """RSS of each process, once a second."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._began = time.monotonic()
        self._samples: dict[tuple[str, int], list[tuple[float, int]]] = {}
        """(seconds since the beginning, bytes) by process."""

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            for member in self._suite.members.values():
                resident = member.resident()
                if resident is not None and member.process is not None:
                    of = self._samples.setdefault((member.name, member.process.pid), [])
                    of.append((time.monotonic() - self._began, resident))
            await asyncio.sleep(1.0)

    def growth(self) -> dict[str, tuple[float, float, float]]:
        """By process that was there all the time: MiB at the end of the warm-up and at the end, and MiB a minute in
        between, by least squares."""
        found = {}
        for (name, _), samples in self._samples.items():
            warm = [(at / 60, size / 2**20) for at, size in samples if at >= WARM_SECONDS]
            if len(warm) > 1 and samples[0][0] < WARM_SECONDS / 2:
                found[name] = (warm[0][1], warm[-1][1], slope(warm))
        return found


def slope(points: list[tuple[float, float]]) -> float:
    """Of the line through them, by least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def growth_table(growth: dict[str, tuple[float, float, float]]) -> str:
    lines = [f"{'process':16} {'after 2 min':>11} {'at the end':>11} {'MiB a minute':>13}"]
    lines += [f"{name:16} {first:11.1f} {last:11.1f} {rate:13.2f}" for name, (first, last, rate) in growth.items()]
    return "\n".join(lines)
