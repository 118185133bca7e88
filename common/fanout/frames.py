"""Ready-made frames, written below the public face of `websockets`.

A frame that goes to a thousand clients is built once. pyproject.toml bounds the library's version, and
the tests of this module fail when what it leans on moves: a connection's `transport`, `paused` and
`protocol` (state, closes), and the calls of `connection_made`, `connection_lost`, `data_received` and
`resume_writing`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Protocol

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN

UNSENT_BYTES = 64 * 1024
"""A connection with more than this unsent gets no further writes until it has drained.

With one write on top, itself at most two updates of 64 KiB, a client stays below 256 KiB.
"""
MOST_UNSENT_BYTES = 224 * 1024
"""Our own writes stay below it. What goes beyond are the library's pongs to a client that sends pings and
does not read; it is cut off."""

CLOSE_SECONDS = 2.0
"""Who does not close its end within that time after a close was sent is cut off."""


def text_frame(payload: bytes) -> bytes:
    """One unfragmented, uncompressed text frame from the server. `payload` must be UTF-8."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


class Watcher(Protocol):
    """Is told of every TCP connection, also of those that never get through the handshake."""

    def connected(self, connection: "ClientConnection") -> None: ...

    def lost(self, connection: "ClientConnection") -> None: ...


class ClientConnection(ServerConnection):
    """A connection that can be handed ready frames and says when it can take more.

    Nothing else may send messages on it: then no fragmented message is ever under way, and a ready frame
    may go out at any time between the handshake and the close.
    """

    def __init__(self, watcher: Watcher, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._watcher = watcher
        self.on_writable: Callable[[], None] | None = None
        self.address = "unknown"
        """Of the client, without its port."""
        self.peer = "unknown"
        """Its address and port."""
        self.overrun = False
        """It was cut off because it does not read the answers to its pings."""
        self._cut_off: asyncio.TimerHandle | None = None

    @property
    def writable(self) -> bool:
        # After abort() the protocol still says OPEN for a moment, and uvloop's write would raise.
        return not self.paused and self.protocol.state is OPEN and not self.transport.is_closing()

    @property
    def end_code(self) -> int | None:
        """The close code of whoever ended the connection, us or the client; 1006 where nobody said a word."""
        sent = self.protocol.close_sent
        return sent.code if sent is not None and not self.protocol.close_rcvd_then_sent else self.close_code

    def write(self, frames: bytes) -> None:
        with contextlib.suppress(RuntimeError):  # closed since `writable` was asked
            self.transport.write(frames)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        if isinstance(name, tuple):
            self.address, self.peer = str(name[0]), f"{name[0]}:{name[1]}"
        self._watcher.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._cut_off is not None:
            self._cut_off.cancel()
        self._watcher.lost(self)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            self.overrun = True
            self.transport.abort()
        elif self._cut_off is None and self.protocol.close_expected():
            # The library's recv() would wait for as long as the client keeps its end open.
            self._cut_off = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.on_writable is not None:
            self.on_writable()
