"""The client protocol at the server: targets, headers and requests of strangers.

An input that begins with GET is the head of a handshake, byte by byte; any other is requests, one a line.
"""

import asyncio
import random
import weakref
from collections.abc import Iterable

from tests.fuzz.mutation import of_json, of_lines
from tests.fuzz.target import Run, Target, Unnamed


def _prepare() -> Run:
    from websockets.exceptions import InvalidHandshake
    from websockets.server import ServerProtocol

    from common.fanout.hub import Hub
    from common.fanout.limits import Limits
    from common.web.access import AccessPolicy, WebRequest
    from common.web.names import split_target
    from common.web.proxies import TrustedProxies
    from cottage.clock import SystemClock
    from cottage.freshness import Freshness
    from cottage.grant import ANYBODY, Grant, SymbolPatterns
    from cottage.protocol import Code, RequestRefused, Subscription, parse_request, parse_target
    from cottage.version import Version
    from tests.common.fanout.wires import FakeWire, update

    loop = asyncio.new_event_loop()
    access = AccessPolicy(("localhost", "desk.example"), ("https://desk.example",), TrustedProxies(()))
    grants = (ANYBODY, Grant("bob", SymbolPatterns.parse(["SPY", "BTC-*"]), frozenset(), max_symbols=3))
    assert Limits().grant == ANYBODY

    async def requests(data: bytes) -> str:
        hub = Hub(SystemClock(), lambda: Freshness("live", None, 0.1))
        for name in ("SPY", "QQQ", "BTC-USD"):
            hub.update(name, Version(1, 1), update(name, 1, 1))
        outcome, wire = "taken", FakeWire()
        for grant in grants:
            session = hub.join(wire, Subscription(everything=False), grant)
            for line in data.split(b"\n")[:50]:
                try:
                    hub.request(session, parse_request(line.decode(errors="surrogatepass") if line else line, grant))
                except RequestRefused as refused:
                    outcome = str(Code(refused.code))
                    hub.refuse(session, refused)
                except UnicodeDecodeError:
                    outcome = "no text"  # which the library ends with 1007
            hub.leave(session)
        wire.payloads()
        await asyncio.sleep(0)
        return outcome

    def handshake(data: bytes) -> str:
        protocol = ServerProtocol()
        for at in range(0, len(data), 1024):
            protocol.receive_data(data[at : at + 1024])
        protocol.receive_eof()
        events = protocol.events_received()
        if not events:
            return f"no request: {type(protocol.handshake_exc or protocol.parser_exc).__name__}"
        request = events[0]
        headers = request.headers  # type: ignore[union-attr]
        web = WebRequest(
            target=request.path,  # type: ignore[union-attr]
            version=request.protocol.removeprefix("HTTP/"),  # type: ignore[union-attr]
            peer="127.0.0.1",
            header=headers.get_all,
            header_bytes=sum(len(name) + len(value) + 4 for name, value in headers.raw_items()),
        )
        forwarded = access.forwarded(web)
        refusal = access.refusal(web, forwarded, public=False)
        access.cors(web)
        if refusal is not None:
            return f"HTTP {int(refusal.status)}"
        outcome = "taken"
        for grant in grants:
            try:
                if parse_target(split_target(web.target)[1], grant) is None:
                    outcome = "no such page"
            except RequestRefused as refused:
                outcome = str(Code(refused.code))
        try:
            response = protocol.accept(request)  # type: ignore[arg-type]
        except InvalidHandshake as error:
            raise Unnamed("the library's own answer") from error
        return f"{outcome} {response.status_code}"

    def run(data: bytes) -> str:
        return handshake(data) if data.startswith(b"GET") else loop.run_until_complete(requests(data))

    weakref.finalize(run, loop.close)
    return run


HEAD = (
    b"GET /ws?symbols=SPY,QQQ&batch=250 HTTP/1.1\r\nHost: localhost:8765\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def _seeds() -> Iterable[bytes]:
    yield b'{"action":"subscribe","symbols":["SPY","BTC-USD"],"id":1}\n{"action":"unsubscribe","symbols":["SPY"]}'
    yield b'{"action":"subscribe","symbols":["*"]}\n{"action":"ping","id":"a"}'
    yield b'{"action":"auth","token":"a.b.c","id":2}'
    yield HEAD + b"\r\n"
    yield HEAD + b"Origin: https://desk.example\r\nSec-WebSocket-Protocol: cottage.v1, bearer.a.b.c\r\n\r\n"
    yield (
        HEAD + b"Authorization: Bearer a.b.c\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\nForwarded: for=1.2.3.4\r\n\r\n"
    )
    yield b"GET http://localhost/ws?token=abc HTTP/1.1\r\nHost: localhost\r\n\r\n"


def mutate(data: bytes, source: random.Random) -> bytes:
    if data.startswith(b"GET"):
        return of_lines(data, source)
    lines = data.split(b"\n")
    at = source.randrange(len(lines))
    lines[at] = of_json(lines[at], source)
    return b"\n".join(lines)


TARGET = Target(
    name="client_protocol",
    about="handshakes and requests of clients",
    prepare=_prepare,
    seeds=_seeds,
    covered=("common", "cottage"),
    words=(
        *(b'"action"', b'"subscribe"', b'"auth"', b'"token"', b'"symbols"', b'["*"]', b"?symbols=", b"&batch=100"),
        *(b"Host: ", b"Origin: ", b"Sec-WebSocket-Protocol: cottage.v1, bearer.", b"Authorization: Bearer ", b"%2C"),
        *(b"X-Forwarded-For: ", b"X-Forwarded-Host: ", b"Forwarded: ", b"http://", b"[::1]", b"\r\n", b"token="),
    ),
    mutate=mutate,
    longest=96 * 1024,
)
