"""What a client finds at a broadcaster: nobody, a deaf one, a full one, one without its peers, and a whole chain."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cottage.client.state_client import StateClient
from cottage.probe import Unhealthy, local_ops, ops_url, probe, url_of
from cottage.redis import Client
from deploy.redis_server import free_port
from tests.integration.fanout import beat, bridging, broadcasting, cutting
from tests.support import ServiceProcess, eventually, program, service


@asynccontextmanager
async def alone(**settings: str) -> AsyncIterator[tuple[ServiceProcess, int]]:
    """A broadcaster whose bridge is not there."""
    bridge = f"ws://127.0.0.1:{free_port()}/ws"
    environment = {"BROADCASTER_PORT": "0", "BROADCASTER_BRIDGE_URL": bridge, **settings}
    async with service("broadcaster", environment) as running:
        yield running, int((await running.logged("listening"))["port"])


async def asked(port: int, *words: str) -> tuple[int, str]:
    """Exit status, and its one line."""
    environment = {"BROADCASTER_PORT": str(port), "BROADCASTER_HOST": "0.0.0.0"}
    async with program(["-m", "services.broadcaster", "--probe", *words], environment) as running:
        status = await running.ended()
        (line,) = running.text + running.errors
        return status, line


async def test_a_broadcaster_without_its_peers_is_healthy_and_its_chain_is_not() -> None:
    async with alone() as (_, port):
        status, line = await asked(port)
        assert (status, "greets clients; upstream stale" in line) == (0, True)
        status, line = await asked(port, "--full")
        assert (status, "bridge_down" in line) == (1, True)


async def test_a_probe_is_said_at_debug_only() -> None:
    async with alone(LOG_LEVEL="debug") as (broadcaster, port):
        assert (await asked(port))[0] == 0
        assert (await broadcaster.logged("client_left"))["level"] == "debug"
        assert [line for line in broadcaster.logs if "peer" in line and line["level"] != "debug"] == []


async def test_a_whole_chain_is_healthy_in_full(redis_url: str, client: Client) -> None:
    bridge_port, port = free_port(), free_port()
    async with bridging(redis_url, bridge_port), broadcasting(bridge_port, port):

        async def whole() -> bool:
            await beat(client)
            try:
                return "upstream live" in await probe(url_of("127.0.0.1", port), full=True)
            except Unhealthy:
                return False

        await eventually(whole)


async def test_nobody_is_there() -> None:
    status, line = await asked(free_port())
    assert status == 1
    assert "Connect call failed" in line


async def test_a_hung_one_is_unhealthy() -> None:
    async with alone() as (running, port):
        running.signal(signal.SIGSTOP)
        with pytest.raises(Unhealthy, match=r"does not greet a client within 0.5 s"):
            await probe(url_of("127.0.0.1", port), full=False, seconds=0.5)
        running.signal(signal.SIGCONT)
        assert "greets clients" in await probe(url_of("127.0.0.1", port), full=False)


async def test_one_that_is_full_does_its_job() -> None:
    async with alone(BROADCASTER_MAX_CONNECTIONS="1") as (_, port):
        url = f"ws://127.0.0.1:{port}/ws"
        async with StateClient.connect(url) as only:
            await only.synced()
            assert "no room" in await probe(url_of("127.0.0.1", port), full=False)
            with pytest.raises(Unhealthy, match="503"):
                await probe(url_of("127.0.0.1", port), full=True)


async def test_one_that_asks_for_a_token_is_healthy_and_its_ops_port_says_the_rest() -> None:
    async with alone(AUTH_SECRET="s" * 32, LOG_LEVEL="debug") as (broadcaster, port):
        status, line = await asked(port)
        assert (status, "asks for a token" in line) == (0, True)
        with pytest.raises(Unhealthy, match="asks for a token"):
            await probe(url_of("127.0.0.1", port), full=True)
        ops = ops_url("0.0.0.0", int((await broadcaster.logged("starting"))["ops_port"]))
        with pytest.raises(Unhealthy, match="is stale: bridge_down"):
            await probe(url_of("127.0.0.1", port), full=True, ops=ops)
        with pytest.raises(Unhealthy, match="HTTP 401: the token is refused: bad; give a new token"):
            await probe(url_of("127.0.0.1", port), full=False, token="a.b.c")
        await broadcaster.logged("token_refused", reason="bad")
        warned = [line for line in broadcaster.logs if line["level"] == "warning" and "peer" in line]
        assert [line["reason"] for line in warned] == ["bad"], "a probe without a token is no news"


async def test_the_ops_port_of_a_whole_chain_says_so(redis_url: str, client: Client) -> None:
    bridge_port = free_port()
    async with (
        bridging(redis_url, bridge_port),
        alone(AUTH_SECRET="s" * 32, BROADCASTER_BRIDGE_URL=f"ws://127.0.0.1:{bridge_port}/ws") as (broadcaster, port),
    ):
        ops = ops_url("127.0.0.1", int((await broadcaster.logged("starting"))["ops_port"]))

        async def whole() -> bool:
            await beat(client)
            try:
                return "upstream live" in await probe(url_of("127.0.0.1", port), full=True, ops=ops)
            except Unhealthy:
                return False

        await eventually(whole)


def test_only_here_an_ops_port_can_be_guessed() -> None:
    assert local_ops("ws://127.0.0.1:8765/ws") == local_ops("wss://localhost/ws") == "http://127.0.0.1:9105"
    assert local_ops("wss://cottage.example/ws") is None


async def test_another_server_at_that_port_is_unhealthy() -> None:
    async with cutting(lambda writer: writer.write(b"SSH-2.0-OpenSSH\r\n")) as (port, _):
        with pytest.raises(Unhealthy):
            await probe(url_of("127.0.0.1", port), full=False)


async def test_full_goes_with_probe() -> None:
    async with program(["-m", "services.broadcaster", "--full"]) as running:
        assert await running.ended() == 2
        assert running.errors == ["broadcaster: --full goes with --probe"]
