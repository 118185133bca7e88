"""StateClient under a transcript: all of it but its socket and its clock."""

import asyncio
import inspect
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Response

from cottage.backoff import Backoff
from cottage.client import state_client, tokens
from cottage.client.dial import OPEN_SECONDS
from cottage.client.replica import ReplicaState
from cottage.client.state_client import StateClient
from cottage.client.tokens import TokenSource
from tests.support import library_events
from tests.transcripts.transcript import BEAT_SECONDS, Times, Transcript, said, with_ids


def stands_on(states: Mapping[str, ReplicaState]) -> dict[str, Any]:
    """What the numbers of each symbol stand on, as `expect` has it."""

    def of(value: Callable[[ReplicaState], Any]) -> dict[str, Any]:
        return {name: value(state) for name, state in states.items()}

    return {
        "notes": of(lambda state: state.data.get("notes", [])),
        "void": of(lambda state: state.data.get("void", [])),
        "interval": of(lambda state: [state.data.get("alpha_low"), state.data.get("alpha_high")]),
        "regime_since": of(lambda state: state.regime_since),
        "taken": of(lambda state: [sample["price"] for sample in state.data.get("taken", [])]),
        "stamp": of(lambda state: [state.prev and list(state.prev), state.written]),
    }


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
        at: float = step["at"]
        if any(step.get(word) for word in ("stall", "asleep", "frozen")):
            self.advance(at, asleep=step.get("asleep", False), frozen=step.get("frozen", False))
        else:
            while (due := min([self._beat_at, *(sleeper for sleeper, _ in self._sleepers)])) <= at:
                await self._pass(max(self.at, due))
                if self._beat_at <= self.at:  # a late one is not caught up
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


class FakeServer:
    """The transcript's server: what it does with handshakes."""

    def __init__(self, times: SleepingTimes) -> None:
        self.does: str | dict[str, Any] = "accepts"
        self.dialled: list[float] = []
        """When."""
        self._times = times
        self._told = 0

    async def handshake(self) -> None:
        self.dialled.append(self._times.at)
        if self.does == "hangs":
            await self._times.sleep(OPEN_SECONDS)
            raise TimeoutError
        if isinstance(self.does, dict):
            headers = Headers({"Retry-After": self.does["retry_after"]} if "retry_after" in self.does else {})
            raise InvalidStatus(Response(self.does["status"], "", headers, self.does.get("body", "").encode()))
        if self.does != "accepts":
            raise ConnectionRefusedError

    def newly_dialled(self) -> list[float]:
        """When, since it was asked last."""
        newly, self._told = self.dialled[self._told :], len(self.dialled)
        return newly


def given_by(listed: list[str] | str | None) -> TokenSource | None:
    """What gives the tokens of a transcript: a function gives one after the other, and the last one again and again.
    "!" is raised."""
    if not isinstance(listed, list):
        return listed
    left = [*listed]

    async def give() -> str:
        token = left.pop(0) if len(left) > 1 else left[0]
        if token == "!":  # no token
            raise OSError("secret.in.here")
        return token

    return give


class Drawn(random.Random):
    """Draws always the same part of the longest wait."""

    def __init__(self, part: float) -> None:
        super().__init__()
        self._part = part

    def random(self) -> float:
        return self._part

    def uniform(self, a: float, b: float) -> float:
        return a + self._part * (b - a)


def names(given: Any) -> Any:
    """So many names where a number stands for them."""
    return [f"S{at}" for at in range(given)] if isinstance(given, int) else given


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

    def end(self, code: int, reason: str = "") -> None:
        received = None if code == 1006 else Close(code, reason)
        self._frames.put_nowait(ConnectionClosedError(received, None))

    def arrive(self, frame: bytes) -> None:
        self._frames.put_nowait(frame)

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
        self.server = FakeServer(times)
        self.target = ""
        """The address of the last handshake."""
        self.shown: list[str] = []
        """The tokens of the handshakes since the step before."""
        self._times = times
        self._dropped = dropped
        self._told = 0

    async def step(self, step: dict[str, Any]) -> dict[str, Any]:
        self.server.does = step.get("server", self.server.does)
        await self._times.reach(step, self.client._look)
        messages = with_ids(step.get("in", []), self.sent)
        frames = [orjson.dumps(each) for each in ([messages] if step.get("batch") else messages)]
        for frame in [*map(str.encode, step.get("raw", [])), *frames]:
            self.connections[-1].arrive(frame)
        if "close" in step:
            self.connections[-1].end(step["close"], step.get("reason", ""))
        await settle()
        raised = [await self._call(*call) for call in step.get("call", [])]
        await settle()
        return {**self._says(), "raised": raised}

    async def _call(self, method: str, *given: Any) -> str | None:
        """Call a method; `connect` is another client. Returns how it was refused."""
        try:
            if method == "connect":
                options, url = given[0], given[1] if len(given) > 1 else "ws://transcript/ws"
                options = {name: names(value) if name == "symbols" else value for name, value in options.items()}
                async with StateClient.connect(url, clock=self._times, **options):
                    pass
            else:
                done = getattr(self.client, method)(*map(names, given))
                if inspect.isawaitable(done):
                    await done
        except TypeError:
            return "type"
        except ValueError:
            return "value"
        return None

    def _events(self) -> list[list[Any]]:
        """The events that have come since it was asked last."""
        waiting = self.client._replica.events
        events = [waiting.pop() for _ in range(len(waiting))]
        return [
            ["ERROR", each["code"], *each["symbols"]]
            if each["event"] == "ERROR"
            else [each["event"], *each["symbols"]]
            if each["event"] == "REVOKED"
            else [each["event"], each["agent_id"]]
            for each in events
        ]

    def _says(self) -> dict[str, Any]:
        client = self.client
        requests, self._told = said(self.sent[self._told :]), len(self.sent)
        shown, self.shown = self.shown, []
        return {
            "versions": {name: state.version and list(state.version) for name, state in client.states.items()},
            "freshness": {name: client.freshness(name) for name in client.states},
            "cause": {name: client.cause(name) for name in client.states},
            "age": {name: client.age(name) for name in client.states},
            **stands_on(client.states),
            "missing": sorted(client.missing),
            "phase": str(client.phase),
            "requests": requests,
            "problem": client.problem,
            "connections": len(self.server.dialled),
            "dialled": self.server.newly_dialled(),
            "handshake": f"?{query}" if (query := urlsplit(self.target).query) else "",
            "shown": shown,
            "token_left": client.token_left,
            "events": self._events(),
            "errors": len([line for line in self._dropped if line["event"] == "message_dropped"]),
        }


@asynccontextmanager
async def python_driver(transcript: Transcript, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PythonDriver]:
    times = SleepingTimes()
    driver: PythonDriver

    async def dial(url: str, *, token: str) -> FakeConnection:
        driver.target = url
        driver.shown.append(token)
        await driver.server.handshake()
        driver.connections.append(FakeConnection(driver.sent))
        return driver.connections[-1]

    monkeypatch.setattr(state_client, "dial", dial)
    monkeypatch.setattr(state_client, "Backoff", partial(Backoff, jitter=Drawn(transcript.jitter)))
    monkeypatch.setattr(state_client, "BEAT_SHARE", 1000.0)  # the transcript runs the timer
    monkeypatch.setattr(tokens, "Random", partial(Drawn, transcript.jitter))
    token = given_by(transcript.tokens)
    connecting = StateClient.connect("ws://transcript/ws", symbols=transcript.symbols, token=token, clock=times)
    with library_events() as dropped:
        async with connecting as client:
            driver = PythonDriver(client, times, dropped)
            await settle()
            yield driver
