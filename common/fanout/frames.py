"""WebSocket frames below the public face of `websockets`: the connections of both ends of the fan-out.

A server writes to a `ClientConnection`: a frame that goes to a thousand clients is built once. The broadcaster reads
its `LinkConnection`: thousands of frames that come in one read are taken at once. pyproject.toml bounds the library's
version, and the tests of this module fail when what it leans on moves: a connection's `transport`, `paused` and
`protocol` (state, closes), and the calls of `connection_made`, `connection_lost`, `data_received`, `send_data`,
`pause_writing` and `resume_writing`.
"""

import asyncio
import struct
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection as DialledConnection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ProtocolError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import CLOSED, CLOSING, CONNECTING, OPEN

from common.fanout.limits import TokenBucket
from cottage.protocol import ANYBODY, Close, Subscription

UNSENT_BYTES = 64 * 1024
"""A connection with more than this unsent gets no further writes until it has drained.

With one write on top, itself at most two updates of 64 KiB, a client stays below 256 KiB.
"""
MOST_UNSENT_BYTES = 224 * 1024
"""Our own writes stay below it. What goes beyond are the library's pongs to a client that sends pings and
does not read; it is cut off."""

CLOSE_SECONDS = 2.0
"""Who does not close its end within that time after a close was sent is cut off."""

PING = Frame(Opcode.PING, b"").serialize(mask=False)
_TEXT = 0x80 | Opcode.TEXT
_RSV1 = 0x40
DEFLATE_LEVEL = 1  # level 6 takes three times as long and saves a tenth: docs/speed.md
DEFLATE = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
"""Without a context that is kept from message to message, one frame serves all, and a connection keeps no buffers."""
_WHOLE = frozenset({0x80 | Opcode.TEXT, 0x80 | Opcode.BINARY})
_CONTROL = frozenset({0x80 | Opcode.PING, 0x80 | Opcode.PONG, 0x80 | Opcode.CLOSE})
_MOST_HEAD_BYTES = 64 * 1024  # of a response to a handshake


def text_frame(payload: bytes) -> bytes:
    """One unfragmented, uncompressed text frame from the server. `payload` must be UTF-8 (RFC 6455, section 5.2)."""
    return _frame(_TEXT, payload)


def deflated_frame(payload: bytes, level: int = DEFLATE_LEVEL) -> bytes:
    """The same compressed, for any number of connections that negotiated DEFLATE: it leans on no message before it
    (RFC 7692, section 7.2.1)."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return _frame(_TEXT | _RSV1, data.removesuffix(b"\x00\x00\xff\xff"))


def _frame(head: int, data: bytes) -> bytes:
    length = len(data)
    if length < 126:
        return b"%c%c%b" % (head, length, data)
    if length < 2**16:
        return struct.pack("!BBH", head, 126, length) + data
    return struct.pack("!BBQ", head, 127, length) + data


class Watcher(Protocol):
    """A server: it is told of every TCP connection, also of those that never get through the handshake."""

    def connected(self, connection: "ClientConnection") -> None: ...

    def lost(self, connection: "ClientConnection") -> None: ...


def nobody() -> None:
    """Calls nobody back."""


class ClientConnection(ServerConnection):
    """A server's end of a client's connection. It is handed ready frames; its backpressure is `on_blocked`, when its
    buffer is full, and `on_writable`, when that has drained.

    Nothing else may send messages on it: then no fragmented message is ever under way, and a ready frame
    may go out at any time between the handshake and the close.
    """

    def __init__(self, watcher: Watcher, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._watcher = watcher
        self.on_blocked: Callable[[], None] = nobody
        self.on_writable: Callable[[], None] = nobody
        self.grant = ANYBODY
        """What it may do; the server says."""
        self.inbound: TokenBucket | None = None
        """Bytes that it may send."""
        self.address = "unknown"
        """Of the client, without its port."""
        self.peer = "unknown"
        """Its address and port."""
        self.heard_at = self.made_at = self.loop.time()
        """When it sent something last, and when it was made, by the loop's clock."""
        self.blocked_since: float | None = None
        """Since when it has taken no writes, without a break."""
        self.pinged = False
        """It has been sent a PING since it was heard last."""
        self.spoke = False
        """It has sent a first byte."""
        self.wanted: Subscription | None = None
        """What its handshake asked for, once there was room for it."""
        self.ended_by_us: Close | None = None
        self._cut_off: asyncio.TimerHandle | None = None

    @property
    def writable(self) -> bool:
        # After abort() the protocol still says OPEN for a moment, and uvloop's write would raise.
        return not self.paused and self.protocol.state is OPEN and not self.transport.is_closing()

    @property
    def write(self) -> Callable[[bytes], None]:
        """The transport's own: whoever holds it writes without a detour. RuntimeError once the connection is
        closed, which may be before `on_blocked` is called."""
        return self.transport.write

    def offer_deflate(self) -> None:
        """Before the handshake is answered: accept compression where the client offers it."""
        self.protocol.available_extensions = [DEFLATE]

    @property
    def inflates(self) -> bool:
        """The client reads a `deflated_frame`."""
        return bool(self.protocol.extensions)

    @property
    def end_code(self) -> int | None:
        """The close code of whoever ended the connection, us or the client; 1006 where nobody said a word."""
        if self.ended_by_us is not None:
            return int(self.ended_by_us)
        sent = self.protocol.close_sent
        return sent.code if sent is not None and not self.protocol.close_rcvd_then_sent else self.close_code

    def end(self, code: Close, reason: str) -> None:
        """Close with this code, unless it is closing already; cut it off where the client does not answer in time."""
        if self.protocol.state is not OPEN or self.transport.is_closing():
            return
        self.ended_by_us = code
        self.protocol.send_close(code, reason)
        self.send_data()
        self._cut_off_soon()

    def cut_off(self, code: Close) -> None:
        """End it without a close frame."""
        self.ended_by_us = self.ended_by_us or code
        self.transport.abort()

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
        self.on_blocked()
        self._watcher.lost(self)

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.loop.time()
        self.spoke, self.pinged = True, False
        if self.inbound is not None and not self.inbound.take(len(data), self.heard_at):
            self.end(Close.POLICY, "sends more than it may")
            if self.ended_by_us is None:  # in its handshake
                self.cut_off(Close.POLICY)
            return
        super().data_received(data)
        if self.transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            self.cut_off(Close.POLICY)  # it does not read the answers to its pings
        elif self.protocol.close_expected():
            # The library's recv() would wait for as long as the client keeps its end open.
            self._cut_off_soon()

    def send_data(self) -> None:
        super().send_data()
        if self.protocol.state is not OPEN:
            self.on_blocked()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.blocked_since = self.loop.time()
        self.on_blocked()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.blocked_since = None
        self.on_writable()

    def _cut_off_soon(self) -> None:
        if self._cut_off is None:
            self._cut_off = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)


class LinkConnection(DialledConnection):
    """The broadcaster's end of its link to the bridge. It hands over all messages of one read at once.

    The bridge sends whole, uncompressed frames. Those are read here, at half the cost of the library's `recv()`
    (docs/speed.md, "The link"); its handshake, pings and closes are left to the library.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._unread = b""
        self._messages: list[bytes] = []
        self._news = asyncio.Event()
        self._violated = False
        """A frame came that no server of ours sends."""
        self._heard_at = self.loop.time()
        self._watch: asyncio.TimerHandle | None = None
        self.silent = False
        """It was given up because nothing came."""

    def give_up_after(self, seconds: float) -> None:
        """Cut the connection off once nothing has come for so long. One timer serves all reads: a deadline for each
        costs more than the read."""
        left = self._heard_at + seconds - self.loop.time()
        self.silent = left <= 0
        if self.silent:
            self.transport.abort()
        else:
            self._watch = self.loop.call_later(left, self.give_up_after, seconds)

    async def messages(self) -> list[bytes]:
        """What has come since the last call, in order; waits where nothing has.

        Raises ConnectionClosed at the end, and ProtocolError for what no server sends.
        """
        while not self._messages:
            if self._violated:
                raise ProtocolError("a frame that no server sends")
            if self.protocol.state is CLOSED:
                raise self.protocol.close_exc
            if self.protocol.state is CLOSING:  # said by the server, and answered; it need not hang up first
                self.transport.close()
            self._news.clear()
            await self._news.wait()
        messages, self._messages = self._messages, []
        return messages

    def end(self, code: Close) -> None:
        """Send a close, and do not wait for the answer."""
        if self.protocol.state is OPEN and not self.transport.is_closing():
            self.protocol.send_close(code)
            self.send_data()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        self._unread = self._unread + data if self._unread else data
        if self.protocol.state is CONNECTING:
            head, end, rest = self._unread.partition(b"\r\n\r\n")
            if not end and len(head) < _MOST_HEAD_BYTES:
                return
            self._unread = rest
            super().data_received(head + end)
        if self.protocol.state is OPEN and not self._violated:
            self._split()
        else:
            data, self._unread = self._unread, b""
            super().data_received(data)
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._watch is not None:
            self._watch.cancel()
        self._news.set()

    def _split(self) -> None:
        """Take the whole frames of what is unread (RFC 6455, section 5.2)."""
        unread, at, available = self._unread, 0, len(self._unread)
        most = self.protocol.max_message_size or 2**63
        while available - at >= 2:
            length, start = unread[at + 1], at + 2
            if length == 126:
                start += 2
                length = int.from_bytes(unread[at + 2 : start])
            elif length == 127:
                start += 8
                length = int.from_bytes(unread[at + 2 : start])
            if start > available:
                break
            end, kind = start + length, unread[at]
            if length > most or unread[at + 1] > 127 or not (kind in _WHOLE or kind in _CONTROL):
                self._violated = True
                break
            if end > available:
                break
            if kind in _WHOLE:
                self._messages.append(unread[start:end])
            else:
                super().data_received(unread[at:end])
            at = end
        self._unread = unread[at:]
