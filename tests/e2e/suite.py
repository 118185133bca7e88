"""All six services as real processes, on ports of their own, around one Redis."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect

from deploy.redis_server import free_port
from tests.support import ServiceProcess, plain_http, service

NAMES = ("market", "feynman", "physics", "bridge", "broadcaster", "recorder")


class Suite:
    """The six services; any of them can be killed and started again on the same ports."""

    def __init__(self, redis_url: str, env: Mapping[str, str], stack: AsyncExitStack) -> None:
        self._ports = {name: free_port() for name in ("physics", "bridge", "broadcaster")}
        self._env = {
            "PHYSICS_PORT": str(self._ports["physics"]),
            "BRIDGE_PORT": str(self._ports["bridge"]),
            "BROADCASTER_PORT": str(self._ports["broadcaster"]),
            "BROADCASTER_BRIDGE_URL": self.link_url,
            "RECORDER_BRIDGE_URL": self.link_url,
            "RECORDER_DIR": stack.enter_context(TemporaryDirectory()),
            **env,
        }
        self.record = Path(self._env["RECORDER_DIR"])
        self.redis_url = redis_url
        self._stack = stack
        self.processes: dict[str, ServiceProcess] = {}

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self._ports['broadcaster']}/ws"

    @property
    def link_url(self) -> str:
        return f"ws://127.0.0.1:{self._ports['bridge']}/ws"

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self._ports['physics']}"

    @property
    def page_port(self) -> int:
        return self._ports["broadcaster"]

    @property
    def page_url(self) -> str:
        return f"http://127.0.0.1:{self._ports['broadcaster']}/"

    async def start(self, name: str, env: Mapping[str, str] | None = None) -> ServiceProcess:
        """`env` wins over the suite's."""
        # The broadcaster faces strangers: it is never given Redis's URL.
        credentials = {} if name == "broadcaster" else {"REDIS_URL": self.redis_url}
        process = await self._stack.enter_async_context(service(name, {**self._env, **credentials, **(env or {})}))
        self.processes[name] = process
        return process

    async def start_all(self) -> Self:
        for name in NAMES:
            await self.start(name)
        await asyncio.gather(*(process.ready() for process in self.processes.values()))
        return self

    async def start_recorded(self) -> Self:
        """The market begins when all that it brings is recorded."""
        for name in NAMES:
            if name != "market":
                await self.start(name)
        await self.processes["recorder"].logged("subscribed", 60)
        await self.start("market")
        await asyncio.gather(*(process.ready() for process in self.processes.values()))
        return self

    async def get(self, path: str) -> httpx.Response:
        """One answer of the physics API."""
        async with plain_http(self.api_url) as http:
            return await http.get(path)


@asynccontextmanager
async def suite(redis_url: str, env: Mapping[str, str] | None = None) -> AsyncIterator[Suite]:
    """All services, ready; killed at the end of the block."""
    async with AsyncExitStack() as stack:
        yield await Suite(redis_url, env or {}, stack).start_all()


@asynccontextmanager
async def client(url: str) -> AsyncIterator[ClientConnection]:
    """A WebSocket client of the plain library, not of ours."""
    async with connect(url, proxy=None) as connection:
        yield connection


async def until(connection: ClientConnection, event: str, timeout: float = 15.0, **fields: Any) -> dict[str, Any]:
    """The next message of the connection with this event and these fields."""
    async with asyncio.timeout(timeout):
        while True:
            message: dict[str, Any] = orjson.loads(await connection.recv(decode=False))
            if message["event"] == event and fields.items() <= message.items():
                return message
