"""The broadcaster's link to the bridge under a transcript, seen by a client of that broadcaster that never stood
still."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import orjson
import pytest
from websockets.exceptions import ConnectionClosedError

from common.fanout.frames import LinkConnection
from common.fanout.hub import Hub
from cottage.backoff import Backoff
from cottage.client.replica import StateReplica
from cottage.freshness import USUAL
from cottage.protocol import Close, Request, Subscription
from services.broadcaster import bridge_link, metrics
from services.broadcaster.bridge_link import BridgeLink
from services.broadcaster.link_status import LinkStatus
from tests.common.fanout.wires import FakeWire
from tests.transcripts.python_driver import Drawn, FakeServer, SleepingTimes, settle, stands_on
from tests.transcripts.transcript import Transcript, said, with_ids


class FakeLink(LinkConnection):
    """A LinkConnection whose bridge is the transcript."""

    def __init__(self, server: FakeServer, sent: list[dict[str, Any]]) -> None:
        self._server = server
        self._sent = sent
        self._waiting: asyncio.Queue[list[bytes] | ConnectionClosedError] = asyncio.Queue()
        self.transport = self  # type: ignore[assignment]  # of which only abort() is called

    async def __aenter__(self) -> "FakeLink":
        await self._server.handshake()
        return self

    async def __aexit__(self, *_error: object) -> None:
        pass

    def abort(self) -> None:
        self._waiting.put_nowait(ConnectionClosedError(None, None))

    def arrive(self, frames: list[bytes]) -> None:
        self._waiting.put_nowait(frames)

    async def messages(self) -> list[bytes]:
        messages = await self._waiting.get()
        if isinstance(messages, ConnectionClosedError):
            raise messages
        return messages

    def post(self, message: bytes) -> None:
        self._sent.append(orjson.loads(message))

    async def send(self, message: Any, text: bool | None = None) -> None:
        self.post(message)

    def end(self, code: Close) -> None:
        pass


class LinkDriver:
    def __init__(self) -> None:
        times = self._times = SleepingTimes()
        self.sent: list[dict[str, Any]] = []
        self.connections: list[FakeLink] = []
        self.server = FakeServer(times)
        status = LinkStatus(times.monotonic(), USUAL)
        self._hub = Hub(times, lambda: self.link.upstream(), lambda: self.link.bridge_now() or times.time())
        self.link = BridgeLink("ws://transcript/ws", self._hub, status, times, USUAL.silent)
        self._wire = FakeWire()
        self._client = StateReplica(None, lambda _: None)
        self._client.connected(0.0)
        self._told = 0
        self._dropped_before = dropped()
        self._linked = False

    def begin(self) -> None:
        self.link.publish_freshness()
        self._session = self._hub.join(self._wire, Subscription(everything=True))

    async def step(self, step: dict[str, Any]) -> dict[str, Any]:
        self.server.does = step.get("server", self.server.does)
        await self._times.reach(step, self.link.look)
        messages = [orjson.dumps(each) for each in with_ids(step.get("in", []), self.sent)]
        if frames := [*map(str.encode, step.get("raw", [])), *messages]:
            self.connections[-1].arrive(frames)
        if "close" in step:
            self.connections[-1].abort()
        await settle()
        return self._says()

    def _says(self) -> dict[str, Any]:
        """What the client is told and shows: the link's word is the one hop before its own server."""
        client, now = self._client, self._times.at
        self._hub.heartbeat()
        self._tell()
        for ping in client.due(now):
            self._hub.request(self._session, Request("ping", Subscription(False), ping["id"]))
            self._tell()
        self._linked = self._linked or self.link.problem is None
        requests, self._told = said(self.sent[self._told :]), len(self.sent)
        causes = {name: client.cause(name, now) for name in client.states}
        return {
            "versions": {name: state.version and list(state.version) for name, state in client.states.items()},
            "freshness": {name: client.freshness(name, now) for name in client.states},
            "cause": {name: "server_down" if cause == "bridge_down" else cause for name, cause in causes.items()},
            "age": {name: client.age(name, now) for name in client.states},
            **stands_on(client.states),
            "phase": "connected" if self.link.problem is None else "reconnecting" if self._linked else "connecting",
            "requests": requests,
            "connections": len(self.server.dialled),
            "dialled": self.server.newly_dialled(),
            "errors": dropped() - self._dropped_before,
        }

    def _tell(self) -> None:
        self._hub.flush()
        for message in self._wire.messages():
            self._client.take(message, self._times.at)


def dropped() -> int:
    """How many messages any link has dropped."""
    samples = next(iter(metrics.DROPPED.collect())).samples
    return round(sum(sample.value for sample in samples if sample.name.endswith("_total")))


@asynccontextmanager
async def link_driver(transcript: Transcript, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LinkDriver]:
    driver = LinkDriver()

    def dial(_url: str, **_options: object) -> FakeLink:
        driver.connections.append(FakeLink(driver.server, driver.sent))
        return driver.connections[-1]

    monkeypatch.setattr(bridge_link, "dial", dial)
    monkeypatch.setattr(bridge_link, "Backoff", partial(Backoff, jitter=Drawn(transcript.jitter)))
    following = asyncio.create_task(driver.link.follow())
    driver.begin()
    await settle()
    yield driver
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
