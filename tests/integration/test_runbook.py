"""The runbook on a real Redis of each kind, with and without a password."""

import io
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cottage.redis import BlockingClient, connect_blocking
from deploy.redis_server import RunningServer, Server, free_port, start
from deploy.runbook.commands import main
from deploy.runbook.dump import encode
from tests.support import IN_MEMORY, OwnRedis, eventually, program

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
LIFETIMES = {b"market:snapshot:SPY": 60_000, b"agent:state:analyst_001": 3_600_000}


def fill(client: BlockingClient) -> None:
    """Every structure of the specification, every type there is, and what is hard to write down."""
    client.set("physics:state:SPY", json.dumps({"mass": 0.42, "regime": "Lévy Stable"}))
    client.hset("market:snapshot:SPY", mapping={"price": "450.32", "volume": "89234567", "": "empty"})
    client.set("agent:state:analyst_001", b"\x00\xff\r\n$5\r\n")
    client.lpush("queue:tasks", *(f"task {number}" for number in range(1200)), b"same", b"same")
    client.zadd("leaderboard:strategies", {"KalmanMomentum": 1.85, "Third": 1 / 3, "Best": math.inf})
    client.zadd("leaderboard:strategies", {b"\xff": -1e-300})
    client.sadd("set", *range(1100), b"\xff")
    client.xadd("stream", {"field": "value", "other": "1"}, id="5-1")
    client.xadd("stream", {"gone": "1"}, id="6-1")
    client.xdel("stream", "6-1")
    client.xgroup_create("stream", "readers", "5-1")
    client.xgroup_create("empty stream", "readers", "0", mkstream=True)
    client.set("", "a key without a name")
    client.set(b"\xff\x00 key", "")
    for key, lifetime in LIFETIMES.items():
        client.pexpire(key, lifetime)


def everything(client: BlockingClient) -> dict[bytes, Any]:
    """All keys with type, end of life and content."""
    found: dict[bytes, Any] = {}
    read: dict[bytes, Any] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": lambda key: (
            client.xrange(key),
            client.xinfo_stream(key)["last-generated-id"],
            [(group["name"], group["last-delivered-id"]) for group in client.xinfo_groups(key)],
        ),
    }
    names: Any = client.keys("*")
    for key in names:
        kind: Any = client.type(key)
        end = client.execute_command("PEXPIRETIME", key)
        found[key] = (kind, end, read[kind](key))
    return found


@pytest.fixture(params=["", "secret"], ids=["open", "password"])
def durable(request: pytest.FixtureRequest, own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch) -> OwnRedis:
    """A server that keeps what it has; REDIS_URL leads to it. `options` start it again."""
    options = (*DURABLE, "--requirepass", request.param) if request.param else DURABLE
    own_redis.restart(*options)
    url = own_redis.url.replace("//", f"//:{request.param}@") if request.param else own_redis.url
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("TEST_OPTIONS", json.dumps(options))
    return own_redis


@pytest.fixture
def client(durable: OwnRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockingClient]:
    with connect_blocking(os.environ["REDIS_URL"], retries=3) as connected:
        yield connected


def restart_with_its_files(durable: OwnRedis) -> None:
    durable.stop()
    durable.start(*json.loads(os.environ["TEST_OPTIONS"]))


def test_what_was_exported_is_back_and_still_there_after_two_restarts(
    durable: OwnRedis, client: BlockingClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(client)
    before = everything(client)
    dump = tmp_path / "dump.resp"
    assert main(["export", str(dump)]) == 0
    assert f"exported {len(before)} keys" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".", "dump"))] == ["dump.resp"]

    assert main(["flush", "--yes"]) == 0
    assert client.dbsize() == 0
    assert main(["import", str(dump)]) == 0
    assert f"imported {len(before)} keys" in capsys.readouterr().err
    assert everything(client) == before
    for _restart in range(2):
        restart_with_its_files(durable)
        assert everything(client) == before

    assert main(["import", str(dump)]) == 0, "a second time changes nothing"
    assert everything(client) == before


def test_the_specifications_own_command_reads_an_export(
    durable: OwnRedis, client: BlockingClient, tmp_path: Path
) -> None:
    """`redis-cli --pipe < dump.rdb`, whatever the export's name ends with."""
    if shutil.which("redis-cli") is None:
        pytest.skip("no redis-cli on this machine")
    fill(client)
    before = everything(client)
    assert main(["export", str(tmp_path / "dump.rdb")]) == 0
    client.flushall()
    password = urlsplit(os.environ["REDIS_URL"]).password
    with (tmp_path / "dump.rdb").open("rb") as file:
        done = subprocess.run(
            ["redis-cli", "-p", str(durable.port), "--pipe"],
            env=dict(os.environ) | ({"REDISCLI_AUTH": password} if password else {}),
            stdin=file,
            capture_output=True,
            text=True,
            check=True,
        )
    assert "errors: 0" in done.stdout
    assert everything(client) == before


@pytest.mark.parametrize("source_kind", ["redis", "valkey"])
def test_an_rdb_of_either_server_is_imported(
    durable: OwnRedis,
    client: BlockingClient,
    tmp_path: Path,
    server_binaries: dict[str, Server],
    source_kind: str,
) -> None:
    if source_kind not in server_binaries:
        pytest.skip(f"no {source_kind}-server on this machine")
    rdb = tmp_path / "source" / "dump.rdb"
    with (
        start(server_binaries[source_kind], rdb.parent, free_port(), config=None, arguments=IN_MEMORY) as source,
        connect_blocking(source.url) as filled,
    ):
        fill(filled)
        before = everything(filled)
        filled.save()
    assert rdb.read_bytes().startswith((b"REDIS", b"VALKEY"))
    assert main(["import", str(rdb)]) == 0
    assert everything(client) == before
    restart_with_its_files(durable)
    assert everything(client) == before


@pytest.fixture
def url(redis_server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    return redis_server.url


@pytest.fixture
def shared(url: str) -> Iterator[BlockingClient]:
    with connect_blocking(url) as connected:
        yield connected


def test_a_file_that_was_cut_off_changes_nothing(
    shared: BlockingClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(shared)
    whole = tmp_path / "dump.resp"
    assert main(["export", str(whole)]) == 0
    shared.flushall()
    shared.set("mine", "1")
    cut = tmp_path / "cut.resp"
    cut.write_bytes(whole.read_bytes()[:-30])
    assert main(["import", str(cut)]) == 1
    assert "cut off" in capsys.readouterr().err
    assert shared.keys("*") == [b"mine"]


@pytest.mark.parametrize("content", [b"REDIS0010\xfa\x09redis-ver", b"VALKEY080", b"[1, 2, 3]", b""])
def test_a_file_that_is_none_changes_nothing(
    shared: BlockingClient, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    shared.set("mine", "1")
    (tmp_path / "bad").write_bytes(content)
    assert main(["import", str(tmp_path / "bad")]) == 1
    assert "runbook: " in capsys.readouterr().err
    assert shared.keys("*") == [b"mine"]


def test_an_rdb_with_several_databases_is_refused(
    shared: BlockingClient, tmp_path: Path, redis_server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        start(redis_server.server, tmp_path, free_port(), config=None, arguments=IN_MEMORY) as source,
        connect_blocking(source.url) as zero,
        connect_blocking(f"{source.url}/3") as three,
    ):
        zero.set("a", "1")
        three.set("b", "1")
        zero.save()
    assert main(["import", str(tmp_path / "dump.rdb")]) == 1
    assert "db3" in capsys.readouterr().err
    assert shared.dbsize() == 0


def test_a_command_that_fails_is_counted_and_the_rest_goes_on(
    shared: BlockingClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared.set("wrong", "a string")
    (tmp_path / "dump.resp").write_bytes(encode("RPUSH", "wrong", "1") + encode("SET", "right", "1"))
    assert main(["import", str(tmp_path / "dump.resp")]) == 1
    said = capsys.readouterr().err
    assert "RPUSH wrong: " in said
    assert "1 of them failed" in said
    assert shared.get("right") == b"1"


def test_what_has_expired_meanwhile_does_not_come_back(
    shared: BlockingClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared.set("short", "1", px=50)
    shared.set("long", "1")
    assert main(["export", str(tmp_path / "dump.resp")]) == 0
    while shared.exists("short"):
        time.sleep(0.01)
    assert main(["import", str(tmp_path / "dump.resp")]) == 0
    assert shared.keys("*") == [b"long"]


def test_a_failed_export_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://:secret@127.0.0.1:{free_port()}")
    assert main(["export", str(tmp_path / "dump.resp")]) == 1
    assert list(tmp_path.iterdir()) == []
    assert "secret" not in capsys.readouterr().err


def test_an_export_takes_no_other_things_place(
    shared: BlockingClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, pipe, link = tmp_path / "folder", tmp_path / "pipe", tmp_path / "link"
    folder.mkdir()
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (folder, pipe, link):
        assert main(["export", str(path)]) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith(f"runbook: {path} is no regular file")
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [folder, link, pipe]


def test_a_wrong_password_is_one_line(
    durable: OwnRedis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", durable.url.replace("//", "//:guess@"))
    assert main(["stats"]) in (0, 1)  # a server without a password takes any
    said = capsys.readouterr().err.splitlines()
    assert len(said) <= 2
    assert "guess" not in "".join(said)


def test_fields_of_a_hash_keep_their_lifetimes(shared: BlockingClient, tmp_path: Path) -> None:
    if shared.execute_command("COMMAND INFO", "HPEXPIRETIME") == [None]:
        pytest.skip("this server gives fields no lifetimes")
    shared.hset("hash", mapping={"stays": "1", "goes": "2"})
    shared.execute_command("HPEXPIRE", "hash", 60_000, "FIELDS", 1, "goes")
    ends = shared.execute_command("HPEXPIRETIME", "hash", "FIELDS", 2, "stays", "goes")
    assert main(["export", str(tmp_path / "dump.resp")]) == 0
    shared.flushall()
    assert main(["import", str(tmp_path / "dump.resp")]) == 0
    assert shared.execute_command("HPEXPIRETIME", "hash", "FIELDS", 2, "stays", "goes") == ends


def test_state_and_keys(shared: BlockingClient, capsys: pytest.CaptureFixture[str]) -> None:
    shared.set("physics:state:SPY", '{"mass":0.42}')
    shared.set("physics:state:QQQ", "{}")
    shared.set("market:feed:X", "{}")
    assert main(["state", "SPY"]) == 0
    assert capsys.readouterr().out == '{"mass":0.42}\n'
    assert main(["state", "NONE"]) == 1
    assert "there is no physics:state:NONE" in capsys.readouterr().err
    assert main(["state", "spy"]) == 2
    assert main(["state"]) == 2
    assert main(["keys", "physics:state:*"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == ["physics:state:QQQ", "physics:state:SPY"]
    assert "2 keys" in said.err


def test_stats_and_slow_log(shared: BlockingClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats"]) == 0
    stats = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert {
        "total_commands_processed", "instantaneous_ops_per_sec", "used_memory_human", "connected_clients", "keys"
    } <= set(stats)  # fmt: skip
    before = shared.config_get("slowlog-log-slower-than")["slowlog-log-slower-than"]
    assert before is not None
    try:
        shared.config_set("slowlog-log-slower-than", 0)
        shared.set("slow", "1")
        assert main(["slowlog"]) == 0
    finally:
        shared.config_set("slowlog-log-slower-than", before)
    assert "SET slow 1" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["flush"], ["delete", "physics:*"]])
@pytest.mark.parametrize("answer", ["no\n", "", "y\n"])
def test_nothing_is_deleted_without_a_yes(
    shared: BlockingClient,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    answer: str,
) -> None:
    shared.set("physics:state:SPY", "1")
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert main(command) == 1
    said = capsys.readouterr().err
    assert url in said
    assert "1 keys" in said
    assert shared.dbsize() == 1


def test_a_yes_deletes_what_was_shown(
    shared: BlockingClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1200):
        shared.set(f"physics:state:S{number}", "1")
    shared.set("market:feed:X", "1")
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    assert main(["delete", "physics:state:*"]) == 0
    assert "deleted 1,200 keys" in capsys.readouterr().err
    assert shared.keys("*") == [b"market:feed:X"]
    assert main(["delete"]) == 2, "a forgotten pattern is not all of them"
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    assert main(["flush"]) == 0
    assert shared.dbsize() == 0


async def test_watch_shows_messages_until_its_input_ends(url: str) -> None:
    async with program(["-m", "deploy.runbook", "watch"], {"REDIS_URL": url}) as watching:
        with connect_blocking(url) as publisher:
            await eventually(lambda: publisher.publish("state_update", '{"event":"HEARTBEAT"}'))
        assert await watching.logged("HEARTBEAT")
    async with program(["-m", "deploy.runbook", "watch", "--until-eof"], {"REDIS_URL": url}) as watching:
        assert await watching.ended() == 0  # what `program` gives it to read is empty


async def test_monitor_shows_commands(url: str) -> None:
    async with program(["-m", "deploy.runbook", "monitor"], {"REDIS_URL": url}) as watching:

        def seen() -> bool:
            with connect_blocking(url) as other:
                other.set("shown", "1")
            return any('"SET" "shown" "1"' in line for line in watching.text)

        await eventually(seen)
