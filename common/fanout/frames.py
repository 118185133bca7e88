"""The WebSocket connections of both ends of the fan-out, below the public API of `websockets`.

The server of bridge and broadcaster writes to a `ClientConnection`: a frame for a thousand clients is built once. The
broadcaster reads from a `LinkConnection`: all frames that come in one read are handed over together. pyproject.toml
bounds the version of `websockets`, and the tests of this module fail when something that it relies on changes: a
connection's `transport`, `paused` and `protocol` (state, closes), and the calls of `connection_made`,
`connection_lost`, `data_received`, `process_event`, `send_data`, `pause_writing` and `resume_writing`.
"""

import asyncio
import struct
import zlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection as DialledConnection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidMessage, ProtocolError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import CLOSED, CLOSING, CONNECTING, OPEN, Event

from common.fanout.first_frame import FirstFrame
from common.fanout.handshake_errors import MALFORMED, HeadTooLarge
from common.web.access import MAX_HEADER_BYTES, MAX_TARGET_BYTES
from cottage.grant import ANYBODY
from cottage.protocol import Close, Subscription
from cottage.token_bucket import TokenBucket

UNSENT_BYTES = 64 * 1024
"""A connection with more than this unsent gets no further writes until it has drained.

With one write on top, itself at most two updates of 64 KiB, a client stays below 256 KiB.
"""
MOST_UNSENT_BYTES = 224 * 1024
"""Our own writes stay below this. Only the library's pongs can exceed it, to a client that sends pings and does not
read the answers; such a client is cut off."""

CLOSE_SECONDS = 2.0
"""A client that does not close its end within this time after a close was sent is cut off."""

FAREWELL_BYTES = 8 * 1024
"""How much is still read of a client that was turned away for its token: its close, and what it sent before it."""

READ_BYTES = 4 * 1024
"""So much of what has come is read at once: a flood of the smallest frames is noticed before all of it was read."""

PING = Frame(Opcode.PING, b"").serialize(mask=False)
_TEXT = 0x80 | Opcode.TEXT
_RSV1 = 0x40
DEFLATE_LEVEL = 1  # level 6 takes three times as long and saves a tenth: docs/speed.md
DEFLATE = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
"""Without a context from message to message, one frame serves all clients, and a connection keeps no buffers."""
_DATA = frozenset({0x80 | Opcode.TEXT, 0x80 | Opcode.BINARY})
_CONTROL = frozenset({0x80 | Opcode.PING, 0x80 | Opcode.PONG, 0x80 | Opcode.CLOSE})
_HEAD_END = b"\r\n\r\n"
_MOST_HEAD_BYTES = 64 * 1024  # of a response to a handshake


def text_frame(payload: bytes) -> bytes:
    """One unfragmented, uncompressed text frame from the server. `payload` must be UTF-8 (RFC 6455, section 5.2)."""
    return _frame(_TEXT, payload)


def deflated_frame(payload: bytes, level: int = DEFLATE_LEVEL) -> bytes:
    """The same frame compressed, for all connections that negotiated DEFLATE: it refers to no earlier message (RFC
    7692, section 7.2.1)."""
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


class ConnectionListener(Protocol):
    """The server that accepted a connection. It is called for every TCP connection, also for one that never completes
    its handshake."""

    def connected(self, connection: "ClientConnection") -> None: ...

    def lost(self, connection: "ClientConnection") -> None: ...


def no_callback() -> None:
    """Does nothing: the callback of a connection that has no session."""


class ClientConnection(ServerConnection):
    """The server's end of a client's connection; sessions write ready frames to it.

    Backpressure: it calls `on_blocked` when its write buffer is full, and `on_writable` when that has drained.
    Nothing else may send messages on it. Then no fragmented message is ever under way, and a ready frame may be
    written at any time between the handshake and the close.
    """

    def __init__(self, listener: ConnectionListener, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._listener = listener
        self.on_blocked: Callable[[], None] = no_callback
        self.on_writable: Callable[[], None] = no_callback
        self.grant = ANYBODY
        """What the client may do; set by the server."""
        self.inbound: TokenBucket | None = None
        """Limits the bytes that the client may send."""
        self.requests: TokenBucket | None = None
        """Limits its requests."""
        self.ends_at: float | None = None
        """When its grant expires, by the loop's clock; None means never."""
        self.first_frame: FirstFrame | None = None
        """While the client has to show a token by its first message."""
        self.turned_away = ""
        """One word for why the token of its handshake is refused, where its close has to say it."""
        self.address = "unknown"
        """The client's address without its port."""
        self.peer = "unknown"
        """The client's address and port."""
        self.received_at = self.made_at = self.loop.time()
        """When the client sent something last, and when the connection was made, by the loop's clock."""
        self.blocked_since: float | None = None
        """Since when the connection has taken no writes, without a break."""
        self.pinged = False
        """Whether a PING was sent since the client sent something last."""
        self.sent_a_byte = False
        """Whether the client has ever sent anything."""
        self.subscription: Subscription | None = None
        """What the client's handshake asked for, once the connection was admitted."""
        self.waiting = False
        """Whether it was admitted to show a good token, and has not."""
        self.forbidden = False
        """Whether its request was refused for its Host, its Origin, its size or its form."""
        self.ended_by_us: Close | None = None
        self._ended_early = False
        """Whether the client ended its side before its request was answered."""
        self._head_bytes = 0
        """How many bytes came before the request was complete."""
        self._head_tail = b""
        """The last of them, in which the end of the request may begin."""
        self._early = b""
        """What came after the request, before it was answered."""
        self._farewell_left = FAREWELL_BYTES
        self._cut_off: asyncio.TimerHandle | None = None
        self._most_unsent = MOST_UNSENT_BYTES
        self._over_tls = False

    @property
    def writable(self) -> bool:
        # After abort() the protocol still says OPEN for a moment, and uvloop's write would raise.
        return not self.paused and self.protocol.state is OPEN and not self.transport.is_closing()

    @property
    def write(self) -> Callable[[bytes], None]:
        """The `write` of the transport itself, so that a group can call it without a detour. It raises RuntimeError
        once the connection is closed, which may be before `on_blocked` is called."""
        return self.transport.write

    def offer_deflate(self) -> None:
        """Accept compression if the client offers it. To be called before the handshake is answered."""
        self.protocol.available_extensions = [DEFLATE]

    @property
    def inflates(self) -> bool:
        """Whether the client can read a `deflated_frame`."""
        return bool(self.protocol.extensions)

    @property
    def end_code(self) -> int | None:
        """The close code of whichever side ended the connection; 1006 if neither side sent one."""
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

    async def handshake(self, *arguments: Any, **options: Any) -> None:
        """Answer the request, and only then look at what the client sent after it."""
        await super().handshake(*arguments, **options)
        early, self._early = self._early, b""
        if early and self.response is not None and self.protocol.state is OPEN:
            self._read(early)
        if self._ended_early:
            super().eof_received()
            self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks whether to keep the connection open
        """The client sends no more; one that has asked is still answered."""
        # Over TLS whoever ends its side ends the other one too: nothing can be answered.
        self._ended_early = not self._over_tls and self.request is not None and self.response is None
        if not self._ended_early:
            super().eof_received()
        return self._ended_early

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.received_at = self.made_at = self.loop.time()  # over TLS its handshake lies before
        if transport.get_extra_info("sslcontext") is not None:
            self._wait_above_tls()
        name = transport.get_extra_info("peername")
        if isinstance(name, tuple):
            self.address, self.peer = str(name[0]), f"{name[0]}:{name[1]}"
        self._listener.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._cut_off is not None:
            self._cut_off.cancel()
        self.on_blocked()
        self._listener.lost(self)

    def data_received(self, data: bytes) -> None:
        self.received_at = self.loop.time()
        self.sent_a_byte, self.pinged = True, False
        if self.inbound is not None and not self.inbound.take(len(data), self.received_at):
            self.end(Close.POLICY, "sends more than it may")
            if self.ended_by_us is None:  # in its handshake
                self.cut_off(Close.POLICY)
            return
        if self.response is None:
            data = self._of_request(data)
        self._read(data)
        if self.request is None:
            self._limit_head(len(data))

    def process_event(self, event: Event) -> None:
        """Take a frame, or the request. A ping is a request that the library answers."""
        super().process_event(event)
        if isinstance(event, Frame) and event.opcode in (Opcode.PING, Opcode.PONG):
            allowed = self.requests
            if allowed is not None and not allowed.take(1, self.received_at):
                self.end(Close.POLICY, "asks more often than it may")

    def read_on(self) -> None:
        """The first message was judged: read what comes after it."""
        first, self.first_frame = self.first_frame, None
        if first is not None and not self.transport.is_closing():
            self.transport.resume_reading()
            self._read(first.rest())

    def _read(self, data: bytes) -> None:
        if self.first_frame is not None:
            data = self._of_first_frame(self.first_frame, data)
        elif self.turned_away or (self.waiting and self.ended_by_us is not None):
            data = data[: self._farewell_left]
            self._farewell_left -= len(data)
        for at in range(0, len(data), READ_BYTES):
            super().data_received(data[at : at + READ_BYTES])
            if self.ended_by_us is Close.POLICY:
                break
        if self.transport.get_write_buffer_size() > self._most_unsent:
            self.cut_off(Close.POLICY)  # it does not read the answers to its pings
        elif self.protocol.close_expected():
            # The library's recv() would wait for as long as the client keeps its end open.
            self._cut_off_soon()

    def _of_first_frame(self, first: FirstFrame, data: bytes) -> bytes:
        """What of `data` may be read before the first message is judged. Nothing else is taken from the socket."""
        data = first.take(data)
        if first.too_large:
            self.end(Close.UNAUTHORIZED, "too_long")
        elif first.complete and not self.transport.is_closing():
            self.transport.pause_reading()
        return data

    def send_data(self) -> None:
        if self.request is None:
            self._answer_unreadable()
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

    def _wait_above_tls(self) -> None:
        """Take half of each limit. What TLS has taken out of our buffer, and the socket has not, is as much again."""
        self._over_tls = True
        self._most_unsent = MOST_UNSENT_BYTES // 2
        self.transport.set_write_buffer_limits(UNSENT_BYTES // 2, UNSENT_BYTES // 8)

    def _of_request(self, data: bytes) -> bytes:
        """What of `data` belongs to the request. The rest waits for the answer: the library would take it for frames
        at once, and garbage among them would end the connection without one."""
        if self.request is not None:
            self._early += data
            return b""
        head = self._head_tail + data
        _, end, self._early = head.partition(_HEAD_END)
        self._head_tail = b"" if end else head[1 - len(_HEAD_END) :]
        return data[: len(data) - len(self._early)]

    def _answer_unreadable(self) -> None:
        """Say that what came is no request, before the library ends the connection without a word."""
        error = self.protocol.handshake_exc
        if isinstance(error, InvalidMessage) and not self.forbidden and not self.transport.is_closing():
            self.forbidden = True
            self.transport.write(self.protocol.reject(HTTPStatus.BAD_REQUEST, f"{MALFORMED}\n").serialize())

    def _limit_head(self, more: int) -> None:
        """Refuse a request whose headers do not end."""
        self._head_bytes += more
        protocol = self.protocol
        if self._head_bytes > MAX_TARGET_BYTES + MAX_HEADER_BYTES and protocol.handshake_exc is None:
            protocol.handshake_exc = HeadTooLarge(f"more than {MAX_HEADER_BYTES} bytes of headers")
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            protocol.send_response(protocol.reject(status, f"{protocol.handshake_exc}\n"))
            self.send_data()

    def _cut_off_soon(self) -> None:
        if self._cut_off is None:
            self._cut_off = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)


class LinkConnection(DialledConnection):
    """The broadcaster's end of its link to the bridge. It hands over all messages of one read together.

    The bridge sends unfragmented, uncompressed frames. They are parsed here, at half the cost of the library's
    `recv()` (docs/speed.md, "The link"). The handshake, pings and closes are left to the library.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._unread = b""
        self._messages: list[bytes] = []
        self._arrived = asyncio.Event()
        self._protocol_violated = False
        """Whether a frame came that no bridge sends."""

    async def messages(self) -> list[bytes]:
        """All messages since the last call, in order; waits for one if there is none.

        Raises ConnectionClosed at the end, and ProtocolError for a frame that no bridge sends.
        """
        while not self._messages:
            if self._protocol_violated:
                raise ProtocolError("a frame that no bridge sends")
            if self.protocol.state is CLOSED:
                raise self.protocol.close_exc
            if self.protocol.state is CLOSING:  # both closes were sent; the server need not hang up first
                self.transport.close()
            self._arrived.clear()
            await self._arrived.wait()
        messages, self._messages = self._messages, []
        return messages

    def post(self, message: bytes) -> None:
        """Send a text message without waiting until it is written."""
        if self.protocol.state is OPEN and not self.transport.is_closing():
            self.protocol.send_text(message)
            self.send_data()

    def end(self, code: Close) -> None:
        """Send a close frame without waiting for the answer."""
        if self.protocol.state is OPEN and not self.transport.is_closing():
            self.protocol.send_close(code)
            self.send_data()

    def data_received(self, data: bytes) -> None:
        self._unread = self._unread + data if self._unread else data
        if self.protocol.state is CONNECTING:
            head, end, rest = self._unread.partition(_HEAD_END)
            if not end and len(head) < _MOST_HEAD_BYTES:
                return
            self._unread = rest
            super().data_received(head + end)
        if self.protocol.state is OPEN and not self._protocol_violated:
            self._split()
        else:
            data, self._unread = self._unread, b""
            super().data_received(data)
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._arrived.set()

    def _split(self) -> None:
        """Take all complete frames out of the unread bytes (RFC 6455, section 5.2)."""
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
            if length > most or unread[at + 1] > 127 or not (kind in _DATA or kind in _CONTROL):
                self._protocol_violated = True
                break
            if end > available:
                break
            if kind in _DATA:
                self._messages.append(unread[start:end])
            else:
                super().data_received(unread[at:end])
            at = end
        self._unread = unread[at:]
