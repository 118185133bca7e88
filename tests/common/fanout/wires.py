"""A client's end without a socket, and updates to send it."""

from typing import Any

import orjson
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from common.fanout.session import Session
from cottage import protocol
from cottage.freshness import Freshness
from cottage.version import Version

NOW = "2025-12-21T12:00:00.000Z"
LIVE = Freshness("live", None, 0.12)


def update(symbol: str, epoch: int | None = None, seq: int | None = None, **data: Any) -> bytes:
    """A PHYSICS_UPDATE as somebody published it; without `epoch` as the specification prints it."""
    message: dict[str, Any] = {"event": "PHYSICS_UPDATE", "symbol": symbol, "timestamp": "2025-12-21T12:00:00Z"}
    message["data"] = {"alpha": 2.8, "regime": "Gaussian", **data}
    if epoch is not None:
        message["epoch"], message["seq"] = epoch, seq
    return orjson.dumps(message)


def snapshot(*updates: bytes, missing: tuple[str, ...] = (), last: bool = True, complete: bool = True) -> bytes:
    """A SNAPSHOT, as a server sends it."""
    return protocol.snapshot(NOW, updates, last=last, complete=complete, missing=missing)


def heartbeat(upstream: Freshness = LIVE, seqs: dict[str, Version] | None = None) -> bytes:
    return protocol.heartbeat(NOW, upstream, seqs)


class FakeWire:
    """Records what is written. `room`: how many more writes it takes; None is any number.

    `session` is told when there is no more, as a connection tells it.
    """

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.session: Session | None = None
        self.writes: list[bytes] = []
        self._protocol = ClientProtocol(parse_uri("ws://test/"), state=OPEN, max_size=None)

    @property
    def writable(self) -> bool:
        return self.room is None or self.room > 0

    def block(self) -> None:
        """It takes no more writes."""
        self.room = 0
        if self.session is not None:
            self.session.blocked()

    def write(self, frames: bytes) -> None:
        assert self.writable, "written to while it takes no writes"
        if self.room is not None:
            self.room -= 1
            if self.room == 0:
                self.block()
        self.writes.append(frames)
        self._protocol.receive_data(frames)

    def payloads(self) -> list[bytes]:
        """The text messages since the last call, as the library's own client reads the frames."""
        frames = self._protocol.events_received()
        assert self._protocol.parser_exc is None
        payloads = []
        for frame in frames:
            assert isinstance(frame, Frame)
            assert frame.opcode is Opcode.TEXT
            assert frame.fin
            payloads.append(bytes(frame.data))
        return payloads

    def messages_of(self, batch: int) -> list[bytes]:
        """The same one by one, where they come in arrays."""
        if not batch:
            return self.payloads()
        return [orjson.dumps(each) for payload in self.payloads() for each in orjson.loads(payload)]

    def messages(self) -> list[dict[str, Any]]:
        """The same, parsed."""
        return [orjson.loads(payload) for payload in self.payloads()]

    def events(self) -> list[str]:
        return [message["event"] for message in self.messages()]


def version(epoch: int | None, seq: int | None) -> Version | None:
    return None if epoch is None or seq is None else Version(epoch, seq)
