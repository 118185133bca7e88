"""Bridge and broadcaster run in this process, writers to Redis, and viewers of what comes out."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from common.runner import Service
from cottage import keys
from cottage.clock import SystemClock, iso_millis
from cottage.expiry import LONGEST_MS
from cottage.lease import LeaseRecord
from cottage.messages import Heartbeat
from cottage.protocol import split_snapshot
from cottage.redis import Client
from cottage.state import PhysicsState
from cottage.version import Version
from services.bridge.service import RedisBridge
from services.bridge.settings import BridgeSettings
from services.broadcaster.service import StateBroadcaster
from services.broadcaster.settings import BroadcasterSettings
from tests.support import eventually

NEVER = 3600.0
"""As a bridge's `reread_seconds`: what is healed then is healed by something else."""


def state(epoch: int | None, seq: int = 0, **fields: Any) -> PhysicsState:
    version = None if epoch is None else Version(epoch, seq)
    return PhysicsState(0.42, 1.23, 0.15, 0.08, 0.05, "Gaussian", 2.8, price=450.0 + seq, version=version, **fields)


async def put(client: Client, symbol: str, written: PhysicsState) -> bytes:
    """SET without PUBLISH, as if the message had been lost; the update that it would have been."""
    await client.set(keys.physics_state(symbol), written.to_bytes())
    return written.update(symbol, client.database)


def lease(epoch: int, shards: int = 1) -> bytes:
    """The value of a lease that lasts for a test."""
    return LeaseRecord("test", epoch, shards, LONGEST_MS).to_bytes()


async def hold(client: Client, epoch: int, index: int = 0, shards: int = 1) -> None:
    """Take a shard's lease, as feynman does before it writes."""
    await client.set(keys.physics_writer(index), lease(epoch, shards), px=LONGEST_MS)


async def write(client: Client, symbol: str, written: PhysicsState) -> bytes:
    """SET and PUBLISH at once under the lease, as feynman does; without a version as somebody else does."""
    return (await write_all(client, {symbol: written}))[symbol]


async def write_all(client: Client, written: Mapping[str, PhysicsState]) -> dict[str, bytes]:
    """The same of several, in one transaction."""
    for version in {each.version for each in written.values() if each.version is not None}:
        await hold(client, version.epoch)
    updates = {symbol: each.update(symbol, client.database) for symbol, each in written.items()}
    pipeline = client.pipeline(transaction=True)
    for symbol, each in written.items():
        pipeline.set(keys.physics_state(symbol), each.to_bytes())
        pipeline.publish(keys.STATE_UPDATE, updates[symbol])
    await pipeline.execute()
    return updates


async def beat(client: Client, epoch: int = 1) -> None:
    """FeynmanService's HEARTBEAT, under its lease."""
    await hold(client, epoch)
    now = await client.now()
    heartbeat = Heartbeat(Version(epoch, 1), now, "0/1", symbols=1, written=1)
    await client.publish(keys.STATE_UPDATE, heartbeat.to_bytes(iso_millis(now), client.database))


class Viewer:
    """A client as its user sees it. Made by `viewing`."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.held: dict[str, bytes] = {}
        """The newest update of each symbol, as it was sent."""
        self.snapshots: list[dict[str, Any]] = []
        self.updates: list[bytes] = []
        """PHYSICS_UPDATEs after the SNAPSHOT, in order."""
        self.removed: list[str] = []
        self.others: list[bytes] = []
        """Messages that are none of these, nor HEARTBEAT or FRESHNESS."""
        self.statements: list[dict[str, Any]] = []
        """FRESHNESS."""
        self.heartbeat: dict[str, Any] = {}
        """The last one."""
        self.order: list[tuple[str, str]] = []
        """What was said of which symbol, in the order in which it came."""

    def newest(self) -> dict[str, Version]:
        """Of each symbol, in the order of arrival; one that went back fails."""
        versions: dict[str, Version] = {}
        for payload in self.updates:
            update = orjson.loads(payload)
            version = Version(update["epoch"], update["seq"])
            assert version > versions.get(update["symbol"], Version(0, 0)), "nothing goes back"
            versions[update["symbol"]] = version
        return versions

    def freshness_board(self, symbol: str) -> tuple[str, str | None]:
        """Status and cause of a symbol, by what was said last."""
        said = [each for each in self.statements if symbol in each["symbols"] or "*" in each["symbols"]]
        return (said[-1]["status"], said[-1]["cause"]) if said else ("live", None)

    async def stands(self, symbol: str, status: str, cause: str | None, timeout: float = 10.0) -> None:
        """Wait until that is what was said of it."""
        try:
            await eventually(lambda: self.freshness_board(symbol) == (status, cause), timeout)
        except AssertionError:
            assert self.freshness_board(symbol) == (status, cause), self.statements

    @property
    def cause(self) -> str | None:
        """Of the last HEARTBEAT; "nothing heard" before the first."""
        upstream: dict[str, str | None] = self.heartbeat.get("upstream", {"cause": "nothing heard"})
        return upstream["cause"]

    async def read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = await self.connection.recv(decode=False)
                batch = orjson.loads(message)
                for each in map(orjson.dumps, batch) if isinstance(batch, list) else [message]:
                    self._take(each)

    def _take(self, message: bytes) -> None:
        fields = orjson.loads(message)
        self.order += [(fields["event"], symbol) for symbol in fields.get("symbols", [fields.get("symbol")])]
        match fields["event"]:
            case "SNAPSHOT":
                self.snapshots.append(fields)
                self.held |= {orjson.loads(each)["symbol"]: each for each in split_snapshot(message)}
            case "PHYSICS_UPDATE":
                self.updates.append(message)
                self.held[fields["symbol"]] = message
            case "REMOVED":
                self.removed.append(fields["symbol"])
                self.held.pop(fields["symbol"], None)
            case "HEARTBEAT":
                self.heartbeat = fields
            case "FRESHNESS":
                self.statements.append(fields)
            case _:
                self.others.append(message)

    async def holds(self, expected: dict[str, bytes], timeout: float = 10.0) -> None:
        """Wait until it holds exactly this."""
        try:
            await eventually(lambda: self.held == expected, timeout)
        except AssertionError:
            assert self.held == expected, "timed out"

    async def hears_last_of(self, symbol: str, events: list[str]) -> None:
        """Wait until these were the last things that were said of a symbol."""

        def said() -> bool:
            return [event for event, of in self.order if of == symbol][-len(events) :] == events

        await eventually(said)

    async def hears_of(self, cause: str | None) -> None:
        """Wait for a HEARTBEAT whose upstream names this cause; None is live."""
        await eventually(lambda: self.cause == cause)


@asynccontextmanager
async def viewing(port: int, query: str = "") -> AsyncIterator[Viewer]:
    """From its SNAPSHOT on; waited for where the server does not listen yet."""

    async def dialled() -> ClientConnection | None:
        try:
            return await connect(f"ws://127.0.0.1:{port}/ws{query}", proxy=None, compression=None, max_size=None)
        except OSError:
            return None

    dialled_at_last = await eventually(dialled)
    assert dialled_at_last is not None
    async with dialled_at_last as connection:
        viewer = Viewer(connection)
        reading = asyncio.create_task(viewer.read())
        try:
            await eventually(lambda: any(snapshot["last"] for snapshot in viewer.snapshots))
            yield viewer
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


class HurriedClock(SystemClock):
    """Waits no longer than a moment, and keeps how long it was asked to."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(min(seconds, 0.02))


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[None]:
    """The service runs until the block ends; then it must come to its end by itself."""
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(service.run(stopping), name="service under test")
        try:
            yield
        finally:
            stopping.set()


@asynccontextmanager
async def bridging(
    url: str, port: int, clock: SystemClock | None = None, *, ready: bool = True, **settings: Any
) -> AsyncIterator[RedisBridge]:
    """A bridge on that port; `ready`: once it is."""
    fast = {"heartbeat_seconds": 0.05, "reread_seconds": 0.2, "silence_seconds": 0.3}
    chosen = BridgeSettings(REDIS_URL=url, port=port, **{**fast, **settings})
    bridge = RedisBridge(chosen, clock or SystemClock())
    async with running(bridge):
        if ready:
            await eventually(lambda: bridge.not_ready() is None)
        yield bridge


@asynccontextmanager
async def broadcasting(
    bridge_port: int, port: int, clock: SystemClock | None = None, *, ready: bool = True, **settings: Any
) -> AsyncIterator[StateBroadcaster]:
    fast = {"heartbeat_seconds": 0.05, "silence_seconds": 0.5, "close_spread_seconds": 0.0}
    link = {"bridge_url": f"ws://127.0.0.1:{bridge_port}/ws"}
    chosen = BroadcasterSettings(port=port, **{**link, **fast, **settings})
    broadcaster = StateBroadcaster(chosen, clock or SystemClock())
    async with running(broadcaster):
        if ready:
            await eventually(lambda: broadcaster.not_ready() is None)
        yield broadcaster


@asynccontextmanager
async def cutting(serve: Callable[[asyncio.StreamWriter], None]) -> AsyncIterator[tuple[int, list[None]]]:
    """A TCP server that hands each connection to `serve` and ends it; its port, and one entry a connection."""
    connections: list[None] = []

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(None)
        serve(writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    sock = socket.create_server(("127.0.0.1", 0))
    server = await asyncio.start_server(accept, sock=sock)
    port: int = sock.getsockname()[1]
    async with server:
        yield port, connections
