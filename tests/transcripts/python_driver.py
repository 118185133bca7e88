"""StateClient under a transcript: all of it but its socket and its clock."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from cottage.client import state_client
from cottage.client.state_client import StateClient
from tests.support import library_events
from tests.transcripts.transcript import BEAT_SECONDS, Times, Transcript, said, with_ids


class SleepingTimes(Times):
    """The clock of a transcript, by which tasks can wait too."""

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._beat_at = BEAT_SECONDS

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.at + seconds, woken))
        await woken

    async def reach(self, step: dict[str, Any], beat: Callable[[], None]) -> None:
        """Let time pass until a step. `beat`: what the client's own timer does."""
        at = step["at"]
        if any(step.get(word) for word in ("stall", "asleep", "frozen")):
            self.advance(at, asleep=step.get("asleep", False), frozen=step.get("frozen", False))
        else:
            while self._beat_at <= at:  # a late one is not caught up
                await self._pass(max(self.at, self._beat_at))
                beat()
                await settle()
                self._beat_at = self.at + BEAT_SECONDS
            await self._pass(at)
        self.set(step.get("wall", 0.0))

    async def _pass(self, at: float) -> None:
        self.advance(at)
        for due, woken in self._sleepers:
            if due <= self.at and not woken.done():
                woken.set_result(None)
        self._sleepers = [(due, woken) for due, woken in self._sleepers if not woken.done()]
        await settle()


async def settle() -> None:
    """Let all tasks run until each waits for something."""
    for _ in range(50):
        await asyncio.sleep(0)


class FakeConnection:
    """A ClientConnection whose server is the transcript."""

    def __init__(self, sent: list[dict[str, Any]]) -> None:
        self._frames: asyncio.Queue[bytes | ConnectionClosedError] = asyncio.Queue()
        self._sent = sent
        self.transport = self

    def abort(self) -> None:
        self.end(1006)

    def end(self, code: int) -> None:
        received = None if code == 1006 else Close(code, "")
        self._frames.put_nowait(ConnectionClosedError(received, None))

    def arrive(self, message: Any) -> None:
        self._frames.put_nowait(orjson.dumps(message))

    async def recv(self, *, decode: bool) -> bytes:
        assert decode is False
        frame = await self._frames.get()
        if isinstance(frame, ConnectionClosedError):
            raise frame
        return frame

    async def send(self, text: str) -> None:
        self._sent.append(orjson.loads(text))

    async def close(self) -> None:
        pass


class PythonDriver:
    def __init__(self, client: StateClient, times: SleepingTimes, dropped: list[dict[str, Any]]) -> None:
        self.client = client
        self.sent: list[dict[str, Any]] = []
        self.connections: list[FakeConnection] = []
        self._times = times
        self._dropped = dropped
        self._told = 0

    async def step(self, step: dict[str, Any]) -> dict[str, Any]:
        await self._times.reach(step, self.client._look)
        for message in with_ids(step.get("in", []), self.sent):
            self.connections[-1].arrive(message)
        if "close" in step:
            self.connections[-1].end(step["close"])
        await settle()
        return self._says()

    def _says(self) -> dict[str, Any]:
        client = self.client
        requests, self._told = said(self.sent[self._told :]), len(self.sent)
        return {
            "versions": {name: state.version and list(state.version) for name, state in client.states.items()},
            "freshness": {name: client.freshness(name) for name in client.states},
            "cause": {name: client.cause(name) for name in client.states},
            "age": {name: client.age(name) for name in client.states},
            "notes": {name: state.data.get("notes", []) for name, state in client.states.items()},
            "void": {name: state.data.get("void", []) for name, state in client.states.items()},
            "missing": sorted(client.missing),
            "phase": str(client.phase),
            "requests": requests,
            "connections": len(self.connections),
            "errors": len([line for line in self._dropped if line["event"] == "message_dropped"]),
        }


@asynccontextmanager
async def python_driver(transcript: Transcript, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PythonDriver]:
    times = SleepingTimes()
    driver: PythonDriver

    async def dial(_url: str) -> FakeConnection:
        driver.connections.append(FakeConnection(driver.sent))
        return driver.connections[-1]

    monkeypatch.setattr(state_client, "dial", dial)
    monkeypatch.setattr(state_client, "BEAT_SHARE", 1000.0)  # the transcript runs the timer
    connecting = StateClient.connect("ws://transcript/ws", symbols=transcript.symbols, clock=times)
    with library_events() as dropped:
        async with connecting as client:
            driver = PythonDriver(client, times, dropped)
            await settle()
            yield driver
