"""A client's end without a socket, and updates to send it."""

from typing import Any

import orjson
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from common.fanout.protocol import Upstream
from common.state import Version

LIVE = Upstream("live", None, 120)


def update(symbol: str, epoch: int | None = None, seq: int | None = None, **data: Any) -> bytes:
    """A PHYSICS_UPDATE as somebody published it; without `epoch` as the specification prints it."""
    message: dict[str, Any] = {"event": "PHYSICS_UPDATE", "symbol": symbol, "timestamp": "2025-12-21T12:00:00Z"}
    message["data"] = {"alpha": 2.8, "regime": "Gaussian", **data}
    if epoch is not None:
        message["epoch"], message["seq"] = epoch, seq
    return orjson.dumps(message)


class FakeWire:
    """Records what is written. `room`: how many more writes it takes; None is any number."""

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.writes: list[bytes] = []
        self._protocol = ClientProtocol(parse_uri("ws://test/"), state=OPEN, max_size=None)

    @property
    def writable(self) -> bool:
        return self.room is None or self.room > 0

    def write(self, frames: bytes) -> None:
        assert self.writable, "written to while it takes no writes"
        if self.room is not None:
            self.room -= 1
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

    def messages(self) -> list[dict[str, Any]]:
        """The same, parsed."""
        return [orjson.loads(payload) for payload in self.payloads()]

    def events(self) -> list[str]:
        return [message["event"] for message in self.messages()]


def version(epoch: int | None, seq: int | None) -> Version | None:
    return None if epoch is None or seq is None else Version(epoch, seq)
