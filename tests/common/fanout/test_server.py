"""The sockets: real clients, good, bad, slow and hostile."""

import asyncio
import fcntl
import json
import socket
import struct
import sys
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
import structlog
import uvloop
from structlog.typing import EventDict
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close, Frame, Opcode
from websockets.typing import Subprotocol

from common.fanout import server
from common.fanout.hub import Hub
from common.fanout.limits import Limits
from common.fanout.server import CLOSED, HANDSHAKES_REFUSED, NOT_SENT_BYTES, REFUSED, FanoutServer, StaticFile
from common.fanout.session import MAX_REPLIES
from common.tls import ServerCertificate
from common.web.access import AccessPolicy
from cottage import protocol
from cottage.clock import SystemClock
from cottage.errors import leaves
from cottage.freshness import Freshness
from cottage.grant import Grant
from cottage.log import Throttled
from cottage.protocol import MAX_REQUEST_BYTES
from cottage.version import Version
from tests.common.fanout.sockets import NewLoop, both_loops, close_soon, raw_client, run
from tests.common.fanout.wires import LIVE, update
from tests.support import eventually

SIOCOUTQNSD = 0x894B  # bytes that are not sent yet (linux/sockios.h)


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is logged meanwhile, with nothing held back from earlier tests."""
    monkeypatch.setattr(server, "throttled", Throttled(server.log))
    close_soon(monkeypatch)
    with structlog.testing.capture_logs() as captured:
        yield captured


def live() -> Freshness:
    return LIVE


FILES = {
    "/": StaticFile("text/html", b"<!doctype html>", {"Content-Security-Policy": "default-src 'none'"}),
    "/cottage.js": StaticFile("text/javascript", b"export {};", public=True),
}


UNLIMITED = Limits()
LOCAL = AccessPolicy()


class Served:
    """A server under test."""

    def __init__(
        self,
        heartbeat_seconds: float = 60.0,
        limits: Limits = UNLIMITED,
        access: AccessPolicy = LOCAL,
        certificate: ServerCertificate | None = None,
    ) -> None:
        self.hub = Hub(SystemClock(), live)
        self.server = FanoutServer(
            self.hub,
            SystemClock(),
            limits,
            access,
            heartbeat_seconds=heartbeat_seconds,
            page=FILES.get,
            certificate=certificate,
        )
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self.sock.getsockname()

    def url(self, target: str = "/ws") -> str:
        return f"ws://127.0.0.1:{self.address[1]}{target}"

    def connect(self, target: str = "/ws", *subprotocols: str) -> connect:
        offered = [Subprotocol(name) for name in subprotocols] or None
        return connect(self.url(target), proxy=None, compression=None, max_size=None, subprotocols=offered)

    def publish(self, symbol: str, seq: int, **data: Any) -> bytes:
        payload = update(symbol, 1, seq, **data)
        assert self.hub.update(symbol, Version(1, seq), payload)
        return payload


@asynccontextmanager
async def serving(
    heartbeat_seconds: float = 60.0,
    access: AccessPolicy = LOCAL,
    certificate: ServerCertificate | None = None,
    **limits: Any,
) -> AsyncIterator[Served]:
    served = Served(heartbeat_seconds, Limits(**limits), access, certificate)
    async with served.server.serve(served.sock):
        yield served


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as each:
        for symbol in ("SPY", "QQQ", "IWM"):
            each.publish(symbol, 1)
        yield each


async def hear(client: ClientConnection, *events: str) -> dict[str, Any]:
    """The next message of one of these events, or of any but HEARTBEAT."""
    async with asyncio.timeout(10):
        while True:
            message: dict[str, Any] = json.loads(await client.recv())
            if message["event"] in events or (not events and message["event"] != "HEARTBEAT"):
                return message


async def ask(client: ClientConnection, **request: Any) -> dict[str, Any]:
    await client.send(json.dumps(request))
    return await hear(client)


async def refused(served: Served, target: str, *subprotocols: str) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as caught:
        async with served.connect(target, *subprotocols):
            pass
    body = caught.value.response.body or b""
    return caught.value.response.status_code, bytes(body).decode()


def lines(said: list[EventDict], event: str) -> list[EventDict]:
    return [line for line in said if line["event"] == event]


@pytest.mark.parametrize(
    ("target", "symbols", "missing"),
    [
        ("/ws", ["IWM", "QQQ", "SPY"], []),
        ("/ws?symbols=SPY,QQQ,NONE", ["QQQ", "SPY"], ["NONE"]),
        ("/ws?symbols=", [], []),
    ],
)
async def test_the_first_message_is_the_snapshot_that_was_asked_for(
    served: Served, target: str, symbols: list[str], missing: list[str]
) -> None:
    async with served.connect(target) as client:
        snapshot = json.loads(await client.recv())
        assert snapshot["event"] == "SNAPSHOT"
        assert sorted(each["symbol"] for each in snapshot["updates"]) == symbols
        assert (snapshot["missing"], snapshot["last"], snapshot["complete"]) == (missing, True, True)
        heartbeat = json.loads(await client.recv())
        assert heartbeat["event"] == "HEARTBEAT"
        assert heartbeat.get("seqs") == (None if target == "/ws" else {symbol: [1, 1] for symbol in symbols})


async def test_updates_come_byte_for_byte_to_who_asked_for_them(served: Served) -> None:
    async with served.connect("/ws?symbols=SPY") as some, served.connect() as everything:
        await hear(some, "HEARTBEAT")
        await hear(everything, "HEARTBEAT")
        published = [served.publish(symbol, 2) for symbol in ("QQQ", "SPY")]
        assert await some.recv(decode=False) == published[1]
        assert [await everything.recv(decode=False), await everything.recv(decode=False)] == published


@pytest.mark.parametrize(
    ("offered", "chosen"), [((), None), (("cottage.v1",), "cottage.v1"), (("chat", "cottage.v1"), "cottage.v1")]
)
async def test_the_subprotocol_is_ours_or_none(served: Served, offered: tuple[str, ...], chosen: str | None) -> None:
    async with served.connect("/ws", *offered) as client:
        assert client.subprotocol == chosen
        assert (await hear(client))["event"] == "SNAPSHOT"


@pytest.mark.parametrize(
    ("target", "subprotocols", "status", "named"),
    [
        ("/ws", ["cottage.v9", "chat"], 400, "only cottage.v1 is spoken here"),
        ("/ws?symbols=spy", [], 400, "bad symbol 'spy'"),
        ("/ws?symbols=A/B", [], 400, "bad symbol 'A/B'"),
        ("/ws?batch=300", [], 400, "batch must be one of 100, 250, 500, 1000"),
        ("/elsewhere", [], 404, "Not found"),
        ("//[", [], 404, "Not found"),
    ],
)
async def test_a_handshake_that_cannot_be_granted_is_refused_in_words(
    served: Served, said: list[EventDict], target: str, subprotocols: list[str], status: int, named: str
) -> None:
    counted = HANDSHAKES_REFUSED.labels(str(status))._value.get()
    for _ in range(3):
        answered, body = await refused(served, target, *subprotocols)
        assert answered == status
        assert named in body
    assert HANDSHAKES_REFUSED.labels(str(status))._value.get() == counted + 3
    (line,) = lines(said, "handshake_refused")
    assert named in line["error"]
    assert len(served.hub) == 0


async def test_pages(served: Served) -> None:
    async with httpx.AsyncClient(trust_env=False, base_url=served.url("").replace("ws:", "http:")) as http:
        answer = await http.get("/?lang=en")
        assert (answer.status_code, answer.text) == (200, "<!doctype html>")
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert (await http.get("/none")).status_code == 404
        assert (await http.get("/ws")).status_code == 426
        assert (await http.post("/ws")).status_code == 405


async def test_requests_are_answered_with_their_ids(served: Served) -> None:
    async with served.connect("/ws?symbols=") as client:
        await hear(client, "SNAPSHOT")
        pong = await ask(client, action="ping", id="p")
        assert (pong["event"], pong["id"]) == ("PONG", "p")
        assert pong["timestamp"].endswith("Z")
        ack = await ask(client, action="subscribe", symbols=["SPY"], id=1)
        assert ack == {"event": "ACK", "action": "subscribe", "symbols": ["SPY"], "id": 1}
        assert [each["symbol"] for each in (await hear(client, "SNAPSHOT"))["updates"]] == ["SPY"]
        served.publish("SPY", 2)
        assert (await hear(client))["seq"] == 2
        ack = await ask(client, action="unsubscribe", symbols=["SPY"])
        assert (ack["event"], ack["symbols"]) == ("ACK", ["SPY"])
        served.publish("SPY", 3)
        assert (await ask(client, action="ping"))["event"] == "PONG"  # and no update before it


async def test_what_cannot_be_understood_is_answered_and_the_connection_stays(
    served: Served, said: list[EventDict]
) -> None:
    bad: list[tuple[str | bytes, str]] = [
        (b"\x00\xff", "binary"),
        ("{", "bad_json"),
        ("[" * 60_000, "bad_json"),
        ('{"action":"fly"}', "unknown_action"),
        ('{"action":"subscribe","symbols":["spy"]}', "bad_symbol"),
        ('{"action":"subscribe","symbols":[' + "[" * 1000 + "]" * 1000 + "]}", "bad_symbol"),
        ('{"action":"subscribe","symbols":1}', "bad_request"),
        ('{"action":"unsubscribe","symbols":["SPY"]}', "subscribed_to_all"),
        ('{"action":"auth"}', "bad_request"),
    ]
    codes = [code for _, code in bad]
    before = {code: REFUSED.labels(code)._value.get() for code in codes}
    async with served.connect() as client, served.connect() as other:
        for message, code in bad * 2:
            await client.send(message)
            error = await hear(client, "ERROR")
            assert error["code"] == code
            assert error["message"]
        published = served.publish("SPY", 2)
        for each in (client, other):
            assert (await hear(each, "PHYSICS_UPDATE"))["seq"] == 2
        assert published
    after = {code: REFUSED.labels(code)._value.get() for code in codes}
    assert {code: after[code] - before[code] for code in codes} == {code: 2.0 * codes.count(code) for code in codes}
    assert sorted(line["code"] for line in lines(said, "request_refused")) == sorted(set(codes)), "one line each"


@pytest.mark.parametrize("fragmented", [False, True])
async def test_a_message_that_is_too_big_ends_its_connection_only(
    served: Served, said: list[EventDict], fragmented: bool
) -> None:
    counted = CLOSED.labels("1009")._value.get()
    part, parts = b"x" * MAX_REQUEST_BYTES, 160  # 10 MB
    message = [Frame(Opcode.TEXT, part * parts)]
    if fragmented:
        message = [Frame(Opcode.CONT if i else Opcode.TEXT, part, fin=i == parts - 1) for i in range(parts)]
    async with served.connect() as other, raw_client(served.address) as client:
        with suppress(ConnectionError):
            for frame in message:
                await client.send(frame.serialize(mask=True))
        received = [frame for _ in range(3) for frame in await client.frames() if frame.opcode is Opcode.CLOSE]
        assert Close.parse(received[0].data).code == 1009
        await eventually(lambda: lines(said, "client_left"))
        served.publish("SPY", 2)
        assert (await hear(other, "PHYSICS_UPDATE"))["seq"] == 2
    assert CLOSED.labels("1009")._value.get() == counted + 1
    (line,) = lines(said, "client_left")
    assert (line["code"], line["log_level"]) == (1009, "warning")


@pytest.mark.parametrize("code", [1000, 4321])
async def test_close_codes_of_clients_make_no_series_of_their_own(served: Served, code: int) -> None:
    label = "1000" if code == 1000 else "other"
    counted = CLOSED.labels(label)._value.get()
    async with served.connect() as client:
        await client.close(code)
    await eventually(lambda: CLOSED.labels(label)._value.get() == counted + 1)


async def test_only_who_never_wanted_anything_and_said_goodbye_at_once_leaves_unsaid(
    served: Served, said: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def levels(target: str, symbols: list[str] | None = None, code: int = 1000) -> list[str]:
        said.clear()
        async with served.connect(target) as client:
            await hear(client, "SNAPSHOT")
            if symbols is not None:
                await ask(client, action="subscribe", symbols=symbols)
                await ask(client, action="unsubscribe", symbols=symbols)
            await client.close(code)
        await eventually(lambda: lines(said, "client_left"))
        return [line["log_level"] for line in lines(said, "client_left")]

    assert await levels("/ws?symbols=") == ["debug"]
    assert await levels("/ws?symbols=SPY") == ["info"]
    assert await levels("/ws?symbols=NONE") == ["info"]
    assert await levels("/ws") == ["info"]
    assert await levels("/ws?symbols=", ["SPY"]) == ["info"]
    assert await levels("/ws?symbols=", ["*"]) == ["info"]
    assert await levels("/ws?symbols=", code=1001) == ["info"]
    monkeypatch.setattr(server, "PROBE_SECONDS", 0.0)  # as one that stayed for longer
    assert await levels("/ws?symbols=") == ["info"]


@pytest.mark.parametrize(
    "bytes_",
    [b"", b"\x00\xff" * 500, b"GET /ws HTTP/1.1\r\nHost: x\r\n", b"\r\n" * 100, b"GET " + b"/" * 100_000],
    ids=["nothing", "noise", "half a handshake", "empty lines", "long line"],
)
async def test_noise_on_the_port_disturbs_nobody(served: Served, said: list[EventDict], bytes_: bytes) -> None:
    counted = HANDSHAKES_REFUSED.labels("none")._value.get()
    async with served.connect() as client:
        for _ in range(3):
            async with raw_client(served.address, target=None) as noisy:
                with suppress(ConnectionError):
                    await noisy.send(bytes_)
        await eventually(lambda: HANDSHAKES_REFUSED.labels("none")._value.get() == counted + 3)
        served.publish("SPY", 2)
        assert (await hear(client, "PHYSICS_UPDATE"))["seq"] == 2
        assert len(lines(said, "handshake_failed")) == 1
    assert not [line for line in said if line["log_level"] == "error"]


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Opcode.TEXT, b"{}").serialize(mask=False),  # clients must mask
        Frame(Opcode.TEXT, b"\xff\xff").serialize(mask=True),  # not UTF-8
        Frame(Opcode.CONT, b"{}").serialize(mask=True),  # nothing to continue
        b"\xc1\x80\x00\x00\x00\x00",  # compressed, which was not negotiated
        b"\x83\x80\x00\x00\x00\x00",  # no such opcode
        b"\x81\xff" + struct.pack("!Q", 2**63 - 1) + b"\x00" * 4,  # 8 EiB announced
    ],
    ids=["unmasked", "not-utf8", "stray-continuation", "compressed", "unknown-opcode", "8-EiB"],
)
async def test_a_client_that_breaks_the_rules_is_closed_and_no_other(served: Served, frame: bytes) -> None:
    async with served.connect() as other, raw_client(served.address) as client:
        await eventually(lambda: len(served.hub) == 2)
        await client.send(frame)
        await client.rest()
        await eventually(lambda: len(served.hub) == 1)
        served.publish("SPY", 2)
        assert (await hear(other, "PHYSICS_UPDATE"))["seq"] == 2


@pytest.mark.parametrize("abrupt", [False, True])
async def test_who_leaves_without_a_word_is_forgotten(served: Served, abrupt: bool) -> None:
    async with raw_client(served.address) as client:
        await eventually(lambda: len(served.hub) == 1)
        if abrupt:  # a reset instead of an end
            client._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await eventually(lambda: len(served.hub) == 0)


async def test_heartbeats_come_by_themselves() -> None:
    async with serving(heartbeat_seconds=0.02) as served, served.connect() as client:
        for _ in range(3):
            await hear(client, "HEARTBEAT")


async def test_a_heartbeat_that_fails_ends_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for that task: its failure must not stay in it."""

    def fail(_hub: Hub) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Hub, "heartbeat", fail)
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(10), serving(heartbeat_seconds=0.01):
            await asyncio.Event().wait()
    assert [type(error) for error in leaves(caught.value)] == [ZeroDivisionError]


SYMBOLS = [f"S{i}" for i in range(5)]


@both_loops
def test_a_slow_client_costs_a_bound_and_nobody_else_anything(new_loop: NewLoop) -> None:
    rounds, pad = 500, "x" * 400  # 1 MB, of which a slow client may hold 256 KiB here

    async def scenario() -> None:
        everything = "/ws?symbols=" + ",".join(SYMBOLS)
        async with (
            serving(slow_seconds=600.0) as served,  # a busy machine must not have it closed
            served.connect(everything) as fast,
            raw_client(served.address) as slow,
        ):
            await eventually(lambda: len(served.hub) == 2)
            stalled = next(each for each in served.server._connections if each.peer.endswith(str(port(slow))))
            reading = asyncio.create_task(read(fast))
            most = 0
            for seq in range(1, rounds + 1):
                for symbol in SYMBOLS:
                    served.publish(symbol, seq, pad=pad)
                await asyncio.sleep(0)
                most = max(most, stalled.transport.get_write_buffer_size())
            assert 0 < most < 256 * 1024
            async with asyncio.timeout(20):
                assert await reading == [(symbol, seq) for seq in range(1, rounds + 1) for symbol in SYMBOLS]
            await catch_up(slow)

    def port(client: Any) -> int:
        number: int = client._socket.getsockname()[1]
        return number

    async def read(client: ClientConnection) -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []
        while len(seen) < rounds * len(SYMBOLS):
            message = await hear(client, "PHYSICS_UPDATE")
            assert "skipped" not in message
            seen.append((message["symbol"], message["seq"]))
        return seen

    async def catch_up(client: Any) -> None:
        held = dict.fromkeys(SYMBOLS, 0)
        skipped = 0
        while set(held.values()) != {rounds}:
            for message in await client.messages():
                if message["event"] != "PHYSICS_UPDATE":
                    continue
                left_out = message.get("skipped", 0)
                assert message["seq"] == held[message["symbol"]] + 1 + left_out
                held[message["symbol"]] = message["seq"]
                skipped += left_out
        assert skipped > rounds  # it was slow indeed

    run(new_loop, scenario)


@both_loops
def test_who_asks_faster_than_it_reads_is_closed(new_loop: NewLoop, said: list[EventDict]) -> None:
    async def scenario() -> None:
        counted = CLOSED.labels("1008")._value.get()
        async with serving() as served:
            served.publish("BIG", 1, pad="x" * 60_000)
            async with raw_client(served.address) as greedy, served.connect("/ws?symbols=") as other:
                with suppress(ConnectionError):
                    for _ in range(10 * MAX_REPLIES):
                        await greedy.send_text('{"action":"unsubscribe","symbols":["*"]}')
                        await greedy.send_text('{"action":"subscribe","symbols":["*"]}')
                await eventually(lambda: lines(said, "client_left"))
                await other.send('{"action":"ping"}')
                await hear(other, "PONG")
        assert lines(said, "client_left")[0]["code"] == 1008
        assert CLOSED.labels("1008")._value.get() == counted + 1

    run(new_loop, scenario)


@both_loops
def test_a_stop_says_goodbye_and_waits_for_nobody(new_loop: NewLoop, said: list[EventDict]) -> None:
    async def scenario() -> None:
        async with raw_clients() as (served, stop, stalled), served.connect() as good:
            await eventually(lambda: len(served.hub) == 2)
            for seq in range(1, 200):
                served.publish("SPY", seq, pad="x" * 10_000)
                await asyncio.sleep(0)
            connection = next(each for each in served.server._connections if each.paused)
            assert connection is not None
            stop.set()
            with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012  # what came before it is still read
                while True:
                    await good.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1001
            await stalled.rest()

    @asynccontextmanager
    async def raw_clients() -> AsyncIterator[tuple[Served, asyncio.Event, Any]]:
        served, stop, started = Served(), asyncio.Event(), asyncio.Event()

        async def serve() -> None:
            async with served.server.serve(served.sock):
                started.set()
                await stop.wait()

        serving = asyncio.create_task(serve())
        await started.wait()
        async with raw_client(served.address) as stalled, raw_client(served.address, target=None) as half:
            await half.send(b"GET /ws HTTP/1.1\r\n")  # in the middle of its handshake
            yield served, stop, stalled
            async with asyncio.timeout(5):
                await serving

    run(new_loop, scenario)
    assert [line["code"] for line in lines(said, "client_left")] == [1001, 1001]


def end_of(said: list[EventDict]) -> list[int]:
    return [line["code"] for line in lines(said, "client_left")]


@both_loops
def test_who_reads_nothing_for_too_long_is_told_to_come_back(new_loop: NewLoop, said: list[EventDict]) -> None:
    async def scenario() -> None:
        async with serving(slow_seconds=0.2) as served, raw_client(served.address) as stalled:
            async with served.connect("/ws?symbols=") as good:
                await eventually(lambda: len(served.hub) == 2)
                seq = 1

                async def given_up() -> bool:
                    nonlocal seq
                    served.publish("SPY", seq, pad="x" * 10_000)
                    seq += 1
                    return bool(end_of(said))

                await eventually(given_up)
                assert end_of(said) == [1013]
                await good.send('{"action":"ping"}')
                await hear(good, "PONG")
            await stalled.rest()

    run(new_loop, scenario)


@both_loops
def test_who_reads_on_in_time_gets_the_close_frame_after_what_waited_before_it(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        async with serving(slow_seconds=0.2) as served, raw_client(served.address) as slow:
            await eventually(lambda: len(served.hub) == 1)
            (connection,) = served.server._connections
            for seq in range(1, 200):
                served.publish("SPY", seq, pad="x" * 10_000)
                await asyncio.sleep(0)
            await eventually(lambda: connection.ended_by_us)
            codes = []
            while frames := await slow.frames():
                codes += [Close.parse(frame.data).code for frame in frames if frame.opcode is Opcode.CLOSE]
            assert codes == [1013]

    run(new_loop, scenario)


@pytest.mark.skipif(sys.platform != "linux", reason="another kernel counts otherwise")
def test_little_waits_in_the_kernel_for_who_does_not_read() -> None:
    """What lies there when it reads on is stale: by default it may be megabytes."""

    def not_sent(connection: Any) -> int:
        counted = array("i", [0])
        fcntl.ioctl(connection.transport.get_extra_info("socket").fileno(), SIOCOUTQNSD, counted)
        return counted[0]

    async def scenario() -> None:
        async with serving() as served, raw_client(served.address) as slow:
            await eventually(lambda: len(served.hub) == 1)
            (connection,) = served.server._connections
            seq = most = 0
            while not connection.paused:
                seq += 1
                served.publish("SPY", seq, pad="x" * 1000)
                await asyncio.sleep(0)
                most = max(most, not_sent(connection))
            assert 0 < most <= 2 * NOT_SENT_BYTES
            assert slow

    run(uvloop.new_event_loop, scenario)


async def test_more_connections_than_there_is_room_for_are_told_when_to_come_back(said: list[EventDict]) -> None:
    async with serving(connections=2) as served:
        async with served.connect(), served.connect():
            with pytest.raises(InvalidStatus) as caught:
                async with served.connect():
                    pass
            response = caught.value.response
            assert response.status_code == 503
            assert 5 <= int(response.headers["Retry-After"]) < 10
            assert b"no room" in (response.body or b"")
        await eventually(lambda: len(served.hub) == 0)
        async with served.connect() as client:
            await hear(client, "SNAPSHOT")
    assert lines(said, "handshake_refused")[0]["status"] == 503


async def test_one_address_does_not_take_all_the_room() -> None:
    async with serving(connections_per_address=1) as served, served.connect():
        status, body = await refused(served, "/ws")
        assert (status, body) == (503, "too many connections from this address\n")


async def test_handshakes_at_once_are_limited_and_pages_count_too() -> None:
    async with serving(handshakes_per_second=2) as served:
        base = served.url("").replace("ws:", "http:")
        async with httpx.AsyncClient(trust_env=False, base_url=base) as http:
            answers = [await http.get("/") for _ in range(5)]
        codes = [answer.status_code for answer in answers]
        assert codes[:2] == [200, 200]
        assert 503 in codes
        assert int(next(each for each in answers if each.status_code == 503).headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("limits", "request_"),
    [
        ({"requests_per_second": 0.5}, '{"action":"ping"}'),
        ({"bytes_per_second": 100}, '{"action":"ping","pad":"' + "x" * 300 + '"}'),
    ],
    ids=["requests", "bytes"],
)
async def test_who_asks_for_more_than_it_may_is_closed(
    said: list[EventDict], limits: dict[str, Any], request_: str
) -> None:
    async with serving(grant=Grant(**limits)) as served, served.connect() as other:
        async with served.connect() as greedy:
            with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012  # answers that came before it are read
                while True:
                    await greedy.send(request_)
                    await greedy.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1008
        await eventually(lambda: end_of(said) == [1008])
        served.publish("SPY", 1)
        assert (await hear(other, "PHYSICS_UPDATE"))["seq"] == 1


async def test_symbols_that_a_client_may_name_are_limited(served: Served) -> None:
    async with serving(grant=Grant(max_symbols=2)) as small:
        assert (await refused(small, "/ws?symbols=A,B,C"))[0] == 400
        async with small.connect("/ws?symbols=A,B") as client:
            await hear(client, "SNAPSHOT")
            error = await ask(client, action="subscribe", symbols=["C"])
            assert (error["event"], error["code"]) == ("ERROR", "too_many_symbols")


async def test_a_connection_that_says_nothing_is_cut_off() -> None:
    async with serving(first_byte_seconds=0.1) as served, served.connect() as client:
        async with raw_client(served.address, target=None) as silent:
            assert await silent.rest() == b""
        served.publish("SPY", 1)
        assert (await hear(client, "PHYSICS_UPDATE"))["seq"] == 1


async def test_a_handshake_that_is_never_finished_is_cut_off() -> None:
    async with serving(handshake_seconds=0.2) as served, raw_client(served.address, target=None) as slow:
        await slow.send(b"GET /ws HTTP/1.1\r\n")
        await slow.rest()
        await eventually(lambda: not served.server._connections)


@both_loops
def test_a_silent_client_is_pinged_and_given_up(new_loop: NewLoop, said: list[EventDict]) -> None:
    async def scenario() -> None:
        async with (
            serving(silence_seconds=0.5) as served,
            served.connect() as good,
            raw_client(served.address) as dead,
        ):
            pings = 0
            while frames := await dead.frames():
                pings += sum(frame.opcode is Opcode.PING for frame in frames)
            assert pings == 1
            await eventually(lambda: end_of(said) == [1011])
            await good.send('{"action":"ping"}')  # the library answers pings by itself
            await hear(good, "PONG")

    run(new_loop, scenario)


async def test_a_batch_is_an_array_of_the_newest_and_nothing_else_comes(served: Served) -> None:
    async with served.connect("/ws?batch=100&symbols=SPY,QQQ") as client:
        (snapshot,), (heartbeat,) = json.loads(await client.recv()), json.loads(await client.recv())
        assert (snapshot["event"], heartbeat["event"]) == ("SNAPSHOT", "HEARTBEAT")
        served.publish("SPY", 2)
        published = served.publish("QQQ", 2)
        last = served.publish("SPY", 3)
        batch = await client.recv(decode=False)
        assert batch == b"[%b,%b]" % (protocol.with_skipped(last, 1), published)
        await client.send('{"action":"subscribe","symbols":["IWM"],"id":1}')
        (ack,), (snapshot,) = json.loads(await client.recv()), json.loads(await client.recv())
        assert (ack["event"], snapshot["updates"][0]["symbol"]) == ("ACK", "IWM")


async def test_batches_are_compressed_once_for_all_that_can_read_them(served: Served) -> None:
    symbols = [f"S{i}" for i in range(100)]
    target = "/ws?batch=100"
    able = connect(served.url(target), proxy=None, compression="deflate", max_size=None)
    also = connect(served.url(target), proxy=None, compression="deflate", max_size=None)
    async with able as one, also as two, served.connect(target) as other, served.connect() as plain:
        clients = (one, two, other)
        for client in clients:
            assert json.loads(await client.recv())[0]["event"] == "SNAPSHOT"
        assert [bool(client.protocol.extensions) for client in (*clients, plain)] == [True, True, False, False]
        published = [served.publish(symbol, 1, mass=0.42) for symbol in symbols]

        async def batch(client: ClientConnection) -> bytes:
            while b"PHYSICS_UPDATE" not in (frame := await client.recv(decode=False)):
                pass
            return frame

        assert [await batch(client) for client in clients] == [b"[%b]" % b",".join(published)] * 3
        await one.send(json.dumps({"action": "ping", "pad": "x" * 1000}))  # the client compresses as well
        assert json.loads(await one.recv())[0]["event"] == "PONG"
        while await plain.recv(decode=False) != published[-1]:  # what is not read holds up the end of a connection
            pass


async def test_who_asks_for_no_batches_is_offered_no_compression(served: Served) -> None:
    async with connect(served.url(), proxy=None, compression="deflate") as client:
        assert client.protocol.extensions == []
        await hear(client, "SNAPSHOT")


async def test_a_stop_without_clients_is_not_spread() -> None:
    served = Served()
    async with asyncio.timeout(30), served.server.serve(served.sock, spread_seconds=3600.0):
        pass


@both_loops
def test_who_comes_as_the_server_stops_is_not_left_open(new_loop: NewLoop) -> None:
    """The kernel has accepted it, the loop has not yet."""

    async def scenario() -> None:
        served = Served()
        async with served.server.serve(served.sock, spread_seconds=0.0):
            await asyncio.sleep(0.1)
            late = [socket.create_connection(served.address) for _ in range(5)]
        for client in late:
            with client:
                client.setblocking(False)
                with suppress(ConnectionResetError):
                    while await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 4096), 10):
                        pass

    run(new_loop, scenario)


@both_loops
def test_a_stop_closes_all_once_over_the_spread_while_updates_go_on(new_loop: NewLoop) -> None:
    async def scenario() -> None:
        served, stop, started = Served(), asyncio.Event(), asyncio.Event()

        async def serve() -> None:
            async with served.server.serve(served.sock, spread_seconds=0.4):
                started.set()
                await stop.wait()

        async def follow(client: ClientConnection) -> tuple[int, int]:
            """(its close code, the last seq before it)"""
            seq = 0
            try:
                while True:
                    seq = json.loads(await client.recv()).get("seq", seq)
            except ConnectionClosed as closed:
                return 0 if closed.rcvd is None else closed.rcvd.code, seq

        serving = asyncio.create_task(serve())
        await started.wait()
        clients = [await served.connect() for _ in range(16)]
        following = [asyncio.create_task(follow(client)) for client in clients]
        stop.set()
        seq = 0
        while not serving.done():
            seq += 1
            served.publish("SPY", seq)
            await asyncio.sleep(0.01)
        await serving
        ends = await asyncio.gather(*following)
        assert {code for code, _ in ends} == {1001}
        assert len({seq for _, seq in ends}) >= 4, "one after the other"
        with pytest.raises(ConnectionRefusedError):
            await served.connect()
        for client in clients:
            await client.close()

    run(new_loop, scenario)
