"""What the proxy does to a connection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.chaos.proxy import Proxy, proxy
from tests.support import eventually


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A server that sends back what it gets; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
async def before_echo() -> AsyncIterator[Proxy]:
    async with echo() as port, proxy(port) as made:
        yield made


class Line:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def asks(self, text: bytes, seconds: float = 5.0) -> bytes | None:
        """What comes back; empty at the end, None where nothing does."""
        self._writer.write(text)
        return await self.hears(seconds)

    async def hears(self, seconds: float) -> bytes | None:
        try:
            async with asyncio.timeout(seconds):
                return await self._reader.read(100)
        except TimeoutError:
            return None
        except ConnectionError:
            return b""

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


Dial = Callable[[int], Awaitable[Line]]


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    async with AsyncExitStack() as stack:

        async def dialled(port: int) -> Line:
            line = Line(*await asyncio.open_connection("127.0.0.1", port))
            stack.push_async_callback(line.close)
            return line

        yield dialled


async def test_it_passes_on(before_echo: Proxy, dial: Dial) -> None:
    line = await dial(before_echo.port)
    assert await line.asks(b"hello") == b"hello"
    assert len(before_echo) == 1
    await line.close()
    await eventually(lambda: len(before_echo) == 0)


async def test_a_cut_ends_what_there_is_and_may_refuse_what_comes(before_echo: Proxy, dial: Dial) -> None:
    line = await dial(before_echo.port)
    await line.asks(b"1")
    before_echo.cut()
    assert await line.hears(5) == b""
    again = await dial(before_echo.port)
    assert await again.asks(b"2") == b"2"
    before_echo.cut(refuse=True)
    refused = await dial(before_echo.port)
    assert await refused.asks(b"3") == b""
    before_echo.heal()
    healed = await dial(before_echo.port)
    assert await healed.asks(b"4") == b"4"


async def test_a_stall_loses_nothing(before_echo: Proxy, dial: Dial) -> None:
    line = await dial(before_echo.port)
    await line.asks(b"1")
    before_echo.stall()
    assert await line.asks(b"2", 0.2) is None
    before_echo.heal()
    assert await line.hears(5) == b"2"


async def test_what_is_half_open_stays_so_and_new_connections_work(before_echo: Proxy, dial: Dial) -> None:
    line = await dial(before_echo.port)
    await line.asks(b"1")
    before_echo.forget()
    assert await line.asks(b"2", 0.2) is None
    again = await dial(before_echo.port)
    assert await again.asks(b"3") == b"3"
    before_echo.heal()
    assert await line.hears(0.2) is None


async def test_a_target_that_is_not_there_ends_the_connection(dial: Dial) -> None:
    async with echo() as port:
        pass
    async with proxy(port) as made:
        line = await dial(made.port)
        assert await line.asks(b"1") == b""
