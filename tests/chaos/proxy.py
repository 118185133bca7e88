"""A TCP proxy between two processes, for what a network does to a connection."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK = 2**16


class Proxy:
    """Made by `proxy`. Listens on `port`, and passes on to `target` (a port on this machine)."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.delay = 0.0
        """Seconds that everything takes longer."""
        self._refusing = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._pairs: set[_Pair] = set()

    def __len__(self) -> int:
        """Connections."""
        return len(self._pairs)

    def cut(self, *, refuse: bool = False) -> None:
        """End all connections at once; with `refuse` new ones too, until `heal`."""
        self._refusing = refuse
        for pair in list(self._pairs):
            pair.abort()

    def stall(self) -> None:
        """Nothing passes until `heal`, then all of it does: a line that was down for a moment."""
        self._flowing.clear()

    def forget(self) -> None:
        """Nothing ever passes on the connections that there are, and nobody is told: half-open. New ones work."""
        for pair in self._pairs:
            pair.dead = True

    def heal(self) -> None:
        self.delay = 0.0
        self._refusing = False
        self._flowing.set()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its beginning to its end."""
        if self._refusing:
            writer.transport.abort()
            return
        try:
            there = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair(self, (reader, writer), there)
        self._pairs.add(pair)
        try:
            await pair.run()
        finally:
            self._pairs.discard(pair)
            pair.abort()

    async def flows(self, pair: "_Pair") -> None:
        await self._flowing.wait()
        if self.delay:
            await asyncio.sleep(self.delay)
        if pair.dead:
            await asyncio.Event().wait()  # until somebody ends it


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Pair:
    """Two connections, what comes on one of which goes out on the other."""

    def __init__(self, owner: Proxy, here: Ends, there: Ends) -> None:
        self.dead = False
        self._owner = owner
        self._here = here
        self._there = there

    async def run(self) -> None:
        ways = [
            asyncio.create_task(self._pump(self._here[0], self._there[1])),
            asyncio.create_task(self._pump(self._there[0], self._here[1])),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    def abort(self) -> None:
        for _, writer in (self._here, self._there):
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._owner.flows(self)
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def proxy(target: int, port: int = 0) -> AsyncIterator[Proxy]:
    """A proxy before `target`, until the block ends."""
    made = Proxy(target)
    sock = socket.create_server(("127.0.0.1", port))
    made.port = sock.getsockname()[1]
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await made.pass_on(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            serving.discard(task)

    server = await asyncio.start_server(serve, sock=sock)
    try:
        yield made
    finally:
        server.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
