"""TLS end to end: link, clients, physics API and commands, with a CA of one's own."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from common.tls import only_this
from cottage import StateClient
from cottage.api_client import ask
from cottage.errors import ApiUnavailable
from cottage.probe import Unhealthy, probe, url_of
from cottage.redis import Client
from deploy.redis_server import free_port
from tests.certificates import Authority, Pair
from tests.integration.fanout import beat, bridging, broadcasting, put, state, write
from tests.support import ServiceProcess, eventually, program, service


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue()


def half_written(key: str) -> None:
    Path(key).write_bytes(b"-----BEGIN PRIVATE KEY-----\nMC4")


def said(process: ServiceProcess, event: str) -> list[dict[str, Any]]:
    return [line for line in process.logs if line["event"] == event]


async def test_link_and_clients(
    redis_url: str, client: Client, authority: Authority, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    trusting = {"SSL_CERT_FILE": str(authority.path)}
    bridge_port, port = free_port(), free_port()
    link: dict[str, Any] = {"bridge_url": f"wss://127.0.0.1:{bridge_port}/ws", "LINK_CA_FILE": str(authority.path)}
    await write(client, "SPY", state(1, 1))
    async with (
        bridging(redis_url, bridge_port, **pair.settings()),
        broadcasting(bridge_port, port, **link, **pair.settings()),
        StateClient.connect(f"wss://localhost:{port}/ws") as states,
    ):
        await beat(client)
        await states.synced()
        await write(client, "SPY", state(1, 2))
        async with asyncio.timeout(10):
            assert (await anext(states.changes()))[0] == "SPY"
        assert "wss://" in await probe(f"wss://localhost:{port}/ws", full=False)
        with pytest.raises(Unhealthy):
            await probe(f"ws://localhost:{port}/ws", full=False)
        async with program(["-m", "cottage", "probe", "--url", f"wss://localhost:{port}/ws"], trusting) as probing:
            await eventually(lambda: probing.returncode is not None, 20.0)
            assert (probing.returncode, probing.errors) == (0, [])


@pytest.mark.parametrize("trusts", ["another CA", "the system", "another name"])
async def test_a_bridge_whose_certificate_is_not_verified_is_no_bridge(
    redis_url: str, authority: Authority, tmp_path: Path, trusts: str
) -> None:
    bridge_port, port = free_port(), free_port()
    pair = authority.issue("server", "bridge.example") if trusts == "another name" else authority.issue()
    ca = {"another CA": str(Authority(tmp_path, "another").path), "the system": ""}.get(trusts, str(authority.path))
    link: dict[str, Any] = {"bridge_url": f"wss://127.0.0.1:{bridge_port}/ws", "LINK_CA_FILE": ca}
    async with (
        bridging(redis_url, bridge_port, **pair.settings()),
        broadcasting(bridge_port, port, ready=False, **link) as broadcaster,
    ):
        await eventually(lambda: "certificate verify failed" in (broadcaster.not_ready() or ""))
        assert broadcaster.status()["upstream"]["cause"] == "bridge_down"


async def test_the_recorder_dials_over_tls(
    redis_url: str, client: Client, authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    bridge_port = free_port()
    settings = {
        "REDIS_URL": redis_url,
        "RECORDER_DIR": str(tmp_path / "record"),
        "RECORDER_BRIDGE_URL": f"wss://127.0.0.1:{bridge_port}/ws",
        "LINK_CA_FILE": str(authority.path),
    }
    async with bridging(redis_url, bridge_port, **pair.settings()), service("recorder", settings) as recorder:
        await recorder.ready()

        async def linked() -> bool:
            return (await recorder.get("/status")).json()["bridge"]["problem"] is None

        await eventually(linked)


async def test_the_physics_api_over_https(
    redis_url: str, client: Client, authority: Authority, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(client, "SPY", state(1, 1))
    port = free_port()
    environment = {
        "REDIS_URL": redis_url,
        "PHYSICS_PORT": str(port),
        "PHYSICS_TLS_CERT_FILE": pair.certificate,
        "PHYSICS_TLS_KEY_FILE": pair.key,
    }
    url = f"https://localhost:{port}"
    async with service("physics", environment) as physics:
        await physics.ready()
        with pytest.raises(ApiUnavailable, match="certificate verify failed"):
            await asyncio.to_thread(ask, "/v1/physics/SPY", url=url)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
        assert b'"price":451.0' in await asyncio.to_thread(ask, "/v1/physics/SPY", url=url)
        with pytest.raises(ApiUnavailable):
            await asyncio.to_thread(ask, "/v1/physics/SPY", url=f"http://localhost:{port}")


async def test_a_broadcaster_checks_itself_over_tls(authority: Authority, pair: Pair) -> None:
    """By its own certificate, which is not for the address at which it is asked."""
    public = authority.issue("public", "cottage.example")
    port = free_port()
    environment = {
        "BROADCASTER_PORT": str(port),
        "BROADCASTER_BRIDGE_URL": f"ws://127.0.0.1:{free_port()}/ws",
        "BROADCASTER_TLS_CERT_FILE": public.certificate,
        "BROADCASTER_TLS_KEY_FILE": public.key,
    }
    async with service("broadcaster", environment) as broadcaster:
        await broadcaster.logged("listening")
        async with program(["-m", "services.broadcaster", "--probe"], environment) as probing:
            await eventually(lambda: probing.returncode is not None, 20.0)
            assert (probing.returncode, probing.errors) == (0, [])
        another = {**environment, "BROADCASTER_TLS_CERT_FILE": pair.certificate}
        async with program(["-m", "services.broadcaster", "--probe"], another) as probing:
            await eventually(lambda: probing.returncode is not None, 20.0)
            assert probing.returncode == 1
    assert url_of("0.0.0.0", 1, tls=True) == "wss://127.0.0.1:1/ws"  # it is only spelt


@pytest.mark.parametrize("name", ["bridge", "broadcaster", "physics"])
@pytest.mark.parametrize("wrong", ["no key", "no certificate", "another's key", "missing"])
async def test_a_pair_that_cannot_be_used_is_exit_2(
    redis_url: str, authority: Authority, pair: Pair, name: str, wrong: str, tmp_path: Path
) -> None:
    other = authority.issue("other")
    files = {
        "no key": (pair.certificate, ""),
        "no certificate": ("", pair.key),
        "another's key": (pair.certificate, other.key),
        "missing": (str(tmp_path / "none"), pair.key),
    }[wrong]
    prefix = name.upper()
    environment = {
        "REDIS_URL": redis_url,
        f"{prefix}_PORT": "0",
        f"{prefix}_OPS_PORT": "0",
        f"{prefix}_TLS_CERT_FILE": files[0],
        f"{prefix}_TLS_KEY_FILE": files[1],
    }
    async with program(["-m", f"services.{name}"], environment) as started:
        await eventually(lambda: started.returncode is not None, 30.0)
        assert started.returncode == 2
        await eventually(lambda: f"{prefix}_TLS_" in f"{started.errors} {started.logs}")


async def test_clients_stay_through_a_new_certificate(
    redis_url: str, client: Client, authority: Authority, pair: Pair
) -> None:
    """As real processes: the old clients go on, the new ones see the new certificate."""
    port = free_port()
    environment = {
        "REDIS_URL": redis_url,
        "BRIDGE_PORT": str(port),
        "BRIDGE_TLS_CERT_FILE": pair.certificate,
        "BRIDGE_TLS_KEY_FILE": pair.key,
    }
    url = f"wss://127.0.0.1:{port}/ws"
    async with service("bridge", environment) as bridge:
        await bridge.ready()
        async with connect(url, proxy=None, ssl=authority.client_context()) as old:
            half_written(pair.key)
            await bridge.logged("certificate_not_taken")
            async with connect(url, proxy=None, ssl=authority.client_context()) as meanwhile:
                assert await meanwhile.ping()
            new = authority.issue()
            await eventually(
                lambda: len([line for line in bridge.logs if line["event"] == "certificate_in_use"]) == 2
            )
            async with connect(url, proxy=None, ssl=only_this(new.certificate)) as newest:
                assert await newest.ping()
            await (await old.ping())
    assert len(said(bridge, "certificate_not_taken")) == 1
