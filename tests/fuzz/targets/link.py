"""The link: what a bridge that was taken over may send to a broadcaster, and what that then sends to its clients.

An input that begins with a zero byte is bytes of the socket; any other is messages, one a line.
"""

import asyncio
import random
import weakref
from collections.abc import Iterable

from tests.fuzz.mutation import of_json, of_lines
from tests.fuzz.target import Run, Target, Unnamed


def _prepare() -> Run:
    import orjson
    from websockets.client import ClientProtocol
    from websockets.datastructures import Headers
    from websockets.exceptions import ConnectionClosed, ProtocolError
    from websockets.http11 import Response
    from websockets.protocol import OPEN
    from websockets.uri import parse_uri

    from common.fanout.frames import LinkConnection
    from common.fanout.hub import Hub
    from cottage.client.replica import StateReplica
    from cottage.clock import SystemClock, from_iso
    from cottage.errors import InvalidMessage
    from cottage.freshness import USUAL
    from cottage.protocol import Subscription
    from services.broadcaster.bridge_link import MAX_FRAME_BYTES, BridgeLink
    from services.broadcaster.link_status import LinkStatus
    from tests.common.fanout.wires import NOW, FakeWire

    granted = Response(101, "Switching Protocols", Headers())
    loop = asyncio.new_event_loop()
    clock = SystemClock()

    class NoTransport(asyncio.Transport):
        def write(self, data: object) -> None: ...
        def abort(self) -> None: ...
        def close(self) -> None: ...
        def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
        def get_write_buffer_size(self) -> int:
            return 0

        def is_closing(self) -> bool:
            return False

    async def messages(data: bytes) -> str:
        state = LinkStatus(clock.monotonic(), USUAL)
        hub = Hub(clock, lambda: state.upstream(clock.monotonic()))
        link = BridgeLink("ws://test/ws", hub, state, clock, 3.0)
        state.watch.told(from_iso(NOW), clock.monotonic())
        wire, client = FakeWire(), StateReplica(None, lambda _symbol: None)
        client.connected(clock.monotonic())
        hub.join(wire, Subscription(everything=True))
        outcome = "taken"
        for message in data.split(b"\n")[:200]:
            try:
                link.take(message)
            except InvalidMessage as error:
                if not error.reason.isidentifier() or len(error.reason) > 20:
                    raise Unnamed(f"{error.reason!r}: {error}") from error
                outcome = error.reason
        link.publish_freshness()
        hub.flush()
        for payload in wire.payloads():  # which the client's library checked as frames
            try:
                client.take(orjson.loads(payload), clock.monotonic())
            except (InvalidMessage, KeyError, TypeError, ValueError) as error:
                outcome += f", client: {type(error).__name__}"
        for name in list(client.states)[:5]:
            client.freshness(name, clock.monotonic()), client.cause(name, clock.monotonic())
        client.due(clock.monotonic())
        await asyncio.sleep(0)
        return outcome

    async def socket(data: bytes) -> str:
        connection = LinkConnection(
            ClientProtocol(parse_uri("ws://test/ws"), state=OPEN, max_size=MAX_FRAME_BYTES), ping_interval=None
        )
        connection.connection_made(NoTransport())
        connection.response = granted
        held = 0
        for at in range(0, len(data), 4096):
            connection.data_received(data[at : at + 4096])
            try:
                while connection._messages:
                    held += len(await connection.messages())
            except (ConnectionClosed, ProtocolError):
                break
            if len(connection._unread) > MAX_FRAME_BYTES + 2 * 4096:
                raise Unnamed("more than a frame is held")
        outcome = "refused" if connection._protocol_violated else "taken"
        connection.connection_lost(None)
        await asyncio.sleep(0)
        return outcome

    def run(data: bytes) -> str:
        return loop.run_until_complete(socket(data[1:]) if data[:1] == b"\0" else messages(data))

    weakref.finalize(run, loop.close)
    return run


def _seeds() -> Iterable[bytes]:
    from common.fanout.frames import PING, text_frame
    from cottage import protocol
    from cottage.freshness import Freshness, FreshnessStatement
    from tests.common.fanout.wires import heartbeat, snapshot, update
    from tests.fuzz.targets.messages import TARGET as MESSAGES

    told = [
        snapshot(update("SPY", 1, 1), update("QQQ", 1, 1)),
        heartbeat(),
        update("SPY", 1, 2),
        protocol.with_skipped(update("SPY", 1, 5), 2),
        protocol.freshness(FreshnessStatement.of_symbols("stale", "market_quiet", {"SPY": 12.5})),
        protocol.freshness(FreshnessStatement(Freshness("expired", "redis_down", 70.0))),
        protocol.pong("2025-12-21T12:00:01.000Z", 1, Freshness("live", None, 0.1)),
        protocol.removed("QQQ"),
        protocol.revoked(["SPY"]),
        protocol.ack(protocol.Request("subscribe", protocol.Subscription(True))),
        *(each for each in MESSAGES.seeds() if b"\n" not in each),
    ]
    yield b"\n".join(told)
    for each in told:
        yield b"\n".join([told[0], each])
    yield b"\0" + b"".join(map(text_frame, told)) + PING
    yield b"\0" + text_frame(b"x" * 70_000) + b"\x88\x02\x03\xe8"


def mutate(data: bytes, source: random.Random) -> bytes:
    if data[:1] == b"\0":
        return data
    lines = data.split(b"\n")
    at = source.randrange(len(lines))
    lines[at] = of_json(lines[at], source)
    return b"\n".join(lines) if source.random() < 0.8 else of_lines(data, source)


TARGET = Target(
    name="link",
    about="frames and messages of the bridge, at a broadcaster, and what its clients then get",
    prepare=_prepare,
    seeds=_seeds,
    covered=("common.fanout", "services.broadcaster", "cottage"),
    words=tuple(
        b'"%b"' % word.encode()
        for word in (
            "event",
            "SNAPSHOT",
            "updates",
            "HEARTBEAT",
            "upstream",
            "PONG",
            "FRESHNESS",
            "ages_ms",
            "REMOVED",
            "REVOKED",
            "skipped",
            "last",
            "complete",
            "symbols",
            "*",
            "id",
        )
    ),
    mutate=mutate,
    longest=128 * 1024,
)
