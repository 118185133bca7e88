"""Who is let in by which token, when it ends, and what is told of it: over real sockets."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import structlog
from structlog.typing import EventDict
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from common.fanout import doorkeeper, server
from common.fanout.first_frame import MAX_BYTES
from common.fanout.frames import FAREWELL_BYTES
from common.fanout.hub import Hub
from common.fanout.limits import Limits
from common.fanout.server import FanoutServer
from common.web.access import AccessPolicy
from cottage.clock import SystemClock
from cottage.grant import Grant
from cottage.log import Throttled
from tests.common.fanout.passes import Passes, grant
from tests.common.fanout.sockets import NewLoop, both_loops, close_soon, reset, run
from tests.common.fanout.test_server import FILES, Served, ask, hear, live
from tests.common.web.raw_http import ask as ask_http
from tests.common.web.raw_http import handshake, request
from tests.support import eventually

GOOD = grant("A*", events=("AGENT_UPDATE",))
POLICY = AccessPolicy([], ["https://desk.example"])
REFUSED = {"stale": "expired", "struck": "denied", "strange": "unknown_key"}
PING = Frame(Opcode.PING, b"x").serialize(mask=True)
BAD = (*REFUSED, "nonsense")


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(server, "throttled", Throttled(server.log, seconds=600.0))
    monkeypatch.setattr(doorkeeper, "throttled", Throttled(doorkeeper.log, seconds=600.0))
    close_soon(monkeypatch)
    with structlog.testing.capture_logs() as captured:
        yield captured


class SetClock(SystemClock):
    """A wall clock that can be set."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


class Guarded(Served):
    """A server that asks for tokens."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(60.0, Limits(**limits), POLICY)
        self.clock = SetClock()
        self.passes = Passes(
            good=GOOD, wider=grant("A*", "B*"), narrower=grant("AB"), others=grant("A*", principal="bob"), **REFUSED
        )
        self.hub = Hub(self.clock, live)
        self.server = FanoutServer(
            self.hub,
            self.clock,
            Limits(**limits),
            POLICY,
            heartbeat_seconds=60.0,
            page=FILES.get,
            authentication=self.passes,
        )

    def client(self, *offered: str, header: str | None = None, target: str = "/ws") -> connect:
        names: Sequence[Subprotocol] | None = [Subprotocol(name) for name in offered] or None
        headers = {} if header is None else {"Authorization": header}
        return connect(self.url(target), proxy=None, compression=None, subprotocols=names, additional_headers=headers)


@asynccontextmanager
async def guarding(**limits: Any) -> AsyncIterator[Guarded]:
    guarded = Guarded(**limits)
    async with guarded.server.serve(guarded.sock):
        for symbol in ("AA", "AB", "BB"):
            guarded.publish(symbol, 1)
        yield guarded


async def symbols(client: ClientConnection) -> list[str]:
    return [each["symbol"] for each in (await hear(client, "SNAPSHOT"))["updates"]]


async def end(client: ClientConnection) -> tuple[int, str]:
    """How the server closes a connection, and that it says nothing before."""
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionClosed) as caught:
            pytest.fail(f"was sent {await client.recv()!r:.80}")
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


async def test_a_good_token_opens_in_three_ways(said: list[EventDict]) -> None:
    async with guarding() as guarded:
        async with guarded.client("cottage.v1", "bearer.good") as client:
            assert client.subprotocol == "cottage.v1"
            assert await symbols(client) == ["AA", "AB"]
        async with guarded.client(header="Bearer good") as client:
            assert await symbols(client) == ["AA", "AB"]
        async with guarded.client() as client:
            answered = await ask(client, action="auth", token="good", id=7)
            told = {"symbols": ["A*"], "events": ["AGENT_UPDATE"], "expires": None}
            assert answered == {"event": "ACK", "action": "auth", "id": 7, **told}
            assert await symbols(client) == ["AA", "AB"]
        await eventually(lambda: not guarded.hub)
    came = [line["sub"] for line in said if line["event"] == "client_came"]
    left = [line["sub"] for line in said if line["event"] == "client_left"]
    assert came == left == ["ann"] * 3
    assert "good" not in json.dumps(said, default=str)


@pytest.mark.parametrize("token", BAD)
async def test_a_bad_one_is_told_alike_in_each_way(token: str, said: list[EventDict]) -> None:
    reason = REFUSED.get(token, "bad")
    async with guarding() as guarded:
        async with guarded.client("cottage.v1", f"bearer.{token}") as client:
            assert client.subprotocol == "cottage.v1"
            assert await end(client) == (4401, reason)
        async with guarded.client() as client:
            await client.send(json.dumps({"action": "auth", "token": token}))
            assert await end(client) == (4401, reason)
        with pytest.raises(InvalidStatus) as caught:
            async with guarded.client(header=f"Bearer {token}"):
                pass
        response = caught.value.response
        assert (response.status_code, response.headers["WWW-Authenticate"][:7]) == (401, "Bearer ")
        assert (response.body or b"").split()[-1].decode() == reason
        assert len(guarded.hub) == 0
        await eventually(lambda: not guarded.server._connections)
    assert token not in json.dumps(said, default=str)
    assert [line["event"] for line in said] == ["token_refused"], "once for all three"


async def test_without_a_token_there_is_a_time_limit() -> None:
    async with guarding(token_seconds=0.2) as guarded:
        async with guarded.client("cottage.v1") as client:
            began = asyncio.get_running_loop().time()
            assert await end(client) == (4401, "missing")
            assert asyncio.get_running_loop().time() - began > 0.15
        await eventually(lambda: not guarded.server._connections)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('{"action":"subscribe","symbols":["*"]}', "missing"),
        ('{"action":"ping"}', "missing"),
        ('{"action":"auth","token":""}', "missing"),
        ('{"action":"auth","token":7}', "bad"),
        ("no json", "bad"),
        (b"binary", "bad"),
        ('{"action":"auth","token":"%s"}' % ("a" * 4097), "too_long"),
        ("a" * (MAX_BYTES + 1), "too_long"),
    ],
)
async def test_the_first_message_is_the_token_or_the_last(message: str | bytes, reason: str) -> None:
    async with guarding() as guarded:
        async with guarded.client() as client:
            await client.send(message)
            assert await end(client) == (4401, reason)
        assert len(guarded.passes.asked) == 0


async def test_nothing_is_read_before_the_token_is_judged() -> None:
    """What was sent right behind it waits, however large, and is read then."""
    async with guarding() as guarded, guarded.client("cottage.v1", target="/ws?symbols=") as client:
        frames = [
            Frame(Opcode.TEXT, b'{"action":"auth","token":"good"}'),
            Frame(Opcode.TEXT, json.dumps({"action": "subscribe", "symbols": ["AA"], "id": "x" * 60}).encode()),
            Frame(Opcode.TEXT, json.dumps({"action": "ping", "id": 3, "more": "x" * 60_000}).encode()),
        ]
        client.transport.write(b"".join(frame.serialize(mask=True) for frame in frames))
        assert (await hear(client, "ACK"))["action"] == "auth"
        assert (await hear(client, "ACK"))["symbols"] == ["AA"]
        assert (await hear(client, "PONG"))["id"] == 3


@pytest.mark.parametrize("offered", [["cottage.v1", "bearer.good", "bearer.others"], ["cottage.v1", "bearer.good"]])
async def test_two_different_tokens_are_refused(offered: list[str]) -> None:
    async with guarding() as guarded:
        if len(offered) == 3:
            async with guarded.client(*offered) as client:
                assert await end(client) == (4401, "two_tokens")
        with pytest.raises(InvalidStatus) as caught:
            async with guarded.client(*offered, header="Bearer others"):
                pass
        assert caught.value.response.status_code == 401
        assert guarded.passes.asked == []


async def test_those_who_have_shown_none_have_a_limit_of_their_own() -> None:
    async with guarding(connections=2, waiting=3, waiting_per_address=2, token_seconds=30.0) as guarded:
        async with guarded.client() as first, guarded.client():
            with pytest.raises(InvalidStatus) as caught:
                async with guarded.client():
                    pass
            assert caught.value.response.status_code == 503
            async with guarded.client(header="Bearer good") as third:
                await symbols(third)
                await ask(first, action="auth", token="good")
                async with guarded.client() as late:  # the first one waits no more
                    await late.send('{"action":"auth","token":"good"}')
                    assert (await end(late))[0] == 1013, "there is room for two clients only"
        await eventually(lambda: not guarded.server._connections)
        assert not guarded.server._waiting._by_address
        assert not guarded.server._admission._by_address


@both_loops
def test_who_is_gone_before_its_token_is_judged_takes_no_place(new_loop: NewLoop) -> None:
    """Each took one for ever, by its handshake or by its token."""
    token = Frame(Opcode.TEXT, b'{"action":"auth","token":"good"}').serialize(mask=True)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with guarding(connections=3, waiting=3) as guarded:
            for at_once in (True, False):
                for _ in range(20):
                    sock = socket.create_connection(guarded.address)
                    sock.setblocking(False)
                    await loop.sock_sendall(sock, b"" if at_once else handshake())
                    if not at_once:
                        await loop.sock_recv(sock, 4096)
                    reset(sock, handshake() if at_once else token)
                    await asyncio.sleep(0.002)
                await eventually(lambda: not guarded.server._connections)
                for admission in (guarded.server._admission, guarded.server._waiting):
                    assert admission._inside == 0
                    assert not admission._by_address

    run(new_loop, scenario)


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
async def test_it_ends_by_monotonic_time_alone(step: float) -> None:
    async with guarding(slow_seconds=0.2) as guarded:
        began = asyncio.get_running_loop().time()
        guarded.passes.known["brief"] = replace(GOOD, expires_at=guarded.clock.time() + 1.0)
        guarded.passes.known["long"] = replace(GOOD, expires_at=guarded.clock.time() + 600.0)
        async with guarded.client(header="Bearer brief") as client, guarded.client(header="Bearer long") as other:
            for each in (client, other):
                await hear(each, "SNAPSHOT")
                await hear(each, "HEARTBEAT")
            guarded.clock.ahead = step
            assert await end(client) == (4401, "expired")
            assert asyncio.get_running_loop().time() - began > 0.9
            assert (await ask(other, action="ping"))["event"] == "PONG"


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("by_message", [True, False])
async def test_of_who_is_turned_away_little_is_read(
    by_message: bool, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few packets of PINGs behind a bad token held up the loop for a second, again and again."""
    read, original = 0, ServerConnection.data_received

    def counting(connection: ServerConnection, data: bytes) -> None:
        nonlocal read
        read += len(data)
        original(connection, data)

    monkeypatch.setattr(ServerConnection, "data_received", counting)
    lines = [] if by_message else ["Sec-WebSocket-Protocol: cottage.v1, bearer.stale"]
    token = Frame(Opcode.TEXT, b'{"action":"auth","token":"stale"}').serialize(mask=True) if by_message else b""
    opening, flood = handshake("/ws", *lines) + token, PING * 10_000
    async with guarding() as guarded:
        reader, writer = await asyncio.open_connection(*guarded.address)
        writer.write(opening + flood if at_once else opening)
        received = await reader.readuntil(b"expired")
        assert received.endswith(b"\x88\x09\x11\x31expired")  # 4401
        if not at_once:
            writer.write(flood)
        await eventually(lambda: not guarded.server._connections)
        writer.close()
    assert len(opening) < read <= len(opening) + FAREWELL_BYTES


async def test_a_denied_one_ends() -> None:
    async with (
        guarding(slow_seconds=0.2) as guarded,
        guarded.client(header="Bearer good") as ann,
        guarded.client(header="Bearer others") as bob,
    ):
        for each in (ann, bob):
            await hear(each, "SNAPSHOT")
            await hear(each, "HEARTBEAT")
        guarded.passes.denied.add("ann-1")
        assert await end(ann) == (4401, "denied")
        assert (await ask(bob, action="ping"))["event"] == "PONG"


async def test_renewal() -> None:
    async with guarding() as guarded, guarded.client(header="Bearer good") as client:
        assert await symbols(client) == ["AA", "AB"]
        widened = await ask(client, action="auth", token="wider", id=1)
        assert (widened["symbols"], widened["events"], widened["id"]) == (["A*", "B*"], [], 1)
        assert await symbols(client) == ["BB"]
        narrowed = await ask(client, action="auth", token="narrower")
        assert narrowed["symbols"] == ["AB"]
        assert await hear(client) == {"event": "REVOKED", "symbols": ["AA", "BB"]}
        for token in (*BAD, "others", ""):
            refused = await ask(client, action="auth", token=token, id="x")
            assert (refused["code"], refused["id"]) == ("bad_token", "x")
        guarded.publish("AA", 2)
        guarded.publish("AB", 2)
        assert (await hear(client))["symbol"] == "AB", "the one before stands"


@pytest.mark.parametrize("rate", [0.1, 0.2])
async def test_showing_tokens_fills_no_bucket(rate: float) -> None:
    limited = replace(GOOD, requests_per_second=0.1)
    async with guarding() as guarded:
        guarded.passes.known |= {"slow": limited, "slow2": replace(limited, token_id="x", requests_per_second=rate)}
        async with guarded.client(header="Bearer slow") as client:
            assert await symbols(client) == ["AA", "AB"]
            for token in ("slow2", "slow", "slow2"):
                await client.send(json.dumps({"action": "auth", "token": token}))
            await client.wait_closed()
            assert client.close_code == 1008


async def test_names_that_are_not_allowed_are_told_alike_after_the_rest() -> None:
    async with guarding() as guarded:
        told = []
        for name in ("BB", "NOWHERE"):  # of which one exists
            async with guarded.client(header="Bearer good", target=f"/ws?symbols=AA,AX,{name}") as client:
                first = await hear(client)
                assert ([each["symbol"] for each in first["updates"]], first["missing"]) == (["AA"], ["AX"])
                refused = await hear(client)
                assert refused["symbols"] == [name]
                again = await ask(client, action="subscribe", symbols=[name], id=1)
                told.append([{**each, "symbols": []} for each in (refused, again)])
        assert told[0] == told[1]
        assert [each["code"] for each in told[0]] == ["not_allowed", "not_allowed"]


async def test_more_names_than_the_token_allows() -> None:
    async with guarding() as guarded:
        guarded.passes.known["few"] = replace(GOOD, max_symbols=1)
        async with guarded.client(target="/ws?symbols=AA,AB") as client:
            assert (await ask(client, action="auth", token="few"))["event"] == "ACK"
            assert (await hear(client))["updates"] == []
            assert (await hear(client))["code"] == "too_many_symbols"
        with pytest.raises(InvalidStatus) as caught:
            async with guarded.client(header="Bearer few", target="/ws?symbols=AA,AB"):
                pass
        assert caught.value.response.status_code == 400


@pytest.mark.parametrize("target", ["/ws?token=sesame", "/ws?symbols=A;access_token=sesame", "/?token=sesame"])
async def test_a_token_in_the_url_is_refused_and_not_said(target: str, said: list[EventDict]) -> None:
    async with guarding() as guarded:
        answered = await ask_http(guarded.address[1], handshake(target))
        assert answered.status == 400
        assert b"sesame" not in answered.body
    assert "sesame" not in json.dumps(said, default=str)


@pytest.mark.parametrize(
    "line",
    [
        "Sec-WebSocket-Protocol: cottage.v1, bearer.sesame/+",
        "Sec-WebSocket-Protocol: cottage.v1; bearer.sesame",
        "Sec-WebSocket-Protocol: bearer.sesame",
        "Connection: bearer.sesame",
        "Upgrade: bearer.sesame",
        "Authorization : Bearer sesame",
        "Authorization: Bearer sesame",
        "Sec-WebSocket-Version: sesame",
        "Sec-WebSocket-Extensions: sesame=;",
        "Sec-WebSocket-Protocol: bearer.sesame" + "e" * 9000,
    ],
)
@pytest.mark.parametrize("asks", [True, False])
async def test_header_values_reach_no_log_and_no_answer(line: str, asks: bool, said: list[EventDict]) -> None:
    name = line.partition(":")[0].strip()
    async with guarding() as guarded:
        if not asks:
            guarded.server._doorkeeper._authentication = None
        answered = await ask_http(guarded.address[1], handshake("/ws", line, without=name))
        everything = b"".join([answered.body, *(value.encode() for value in answered.headers.values())])
        assert b"sesame" not in everything
        await asyncio.sleep(0.05)
    assert "sesame" not in json.dumps(said, default=str)


async def test_who_is_never_asked() -> None:
    async with guarding() as guarded:
        port = guarded.address[1]
        for method in ("GET", "HEAD"):
            for path in ("/", "/cottage.js"):
                assert (await ask_http(port, request(path, method=method))).status == 200
            assert (await ask_http(port, request("/none", method=method))).status == 404
        for method, status in (("GET", 426), ("HEAD", 405)):
            assert (await ask_http(port, request("/ws", method=method))).status == status
            assert (
                await ask_http(port, request("/ws", "Authorization: Bearer nonsense", method=method))
            ).status == 401
        assert guarded.passes.asked == ["nonsense"] * 2


async def test_pages_of_listed_origins_may_send_a_token_and_read_a_refusal() -> None:
    async with guarding() as guarded:
        port, origin = guarded.address[1], "Origin: https://desk.example"
        asked = ("Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization")
        answered = await ask_http(port, request("/ws", origin, *asked, method="OPTIONS"))
        headers = answered.headers
        assert (answered.status, answered.body) == (204, b"")
        assert headers["access-control-allow-origin"] == "https://desk.example"
        assert headers["access-control-allow-headers"] == "authorization"
        assert headers["vary"] == "origin"
        assert "access-control-allow-credentials" not in headers
        foreign = await ask_http(port, request("/ws", "Origin: http://evil.example", *asked, method="OPTIONS"))
        assert (foreign.status, foreign.headers["vary"]) == (403, "origin")
        assert "access-control-allow-origin" not in foreign.headers
        refused = await ask_http(port, request("/ws", origin, "Authorization: Bearer nonsense"))
        assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, "https://desk.example")


async def test_where_nobody_is_asked_auth_is_granted(said: list[EventDict]) -> None:
    served = Served()
    async with served.server.serve(served.sock), served.connect("/ws", "cottage.v1", "bearer.anything") as client:
        answered = await ask(client, action="auth", token="anything")
        assert await hear(client) or answered
    assert not [line for line in said if "sub" in line]


def test_the_grants_of_these_tests_are_as_they_read() -> None:
    assert isinstance(GOOD, Grant)
    assert "AA" in GOOD.symbols
    assert "BB" not in GOOD.symbols
