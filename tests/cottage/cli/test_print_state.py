"""`cottage state` on a real Redis of each kind, and `make state`, which prints the same."""

import json
from typing import Any

import pytest

from cottage.cli import main
from cottage.clock import iso_millis
from cottage.redis import Client
from cottage.state import PhysicsState
from cottage.version import Version
from deploy.redis_server import free_port
from deploy.runbook.commands import main as runbook
from tests.integration.fanout import put
from tests.support import OwnRedis


@pytest.fixture(autouse=True)
def environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "redis_url" in request.fixturenames:
        monkeypatch.setenv("REDIS_URL", request.getfixturevalue("redis_url"))


def state(time: float, **fields: Any) -> PhysicsState:
    version = Version(1, 7)
    return PhysicsState(
        0.42, 1.23, 0.15, 0.08, 0.05, "Lévy Stable", 1.7, timestamp=iso_millis(time), version=version, **fields
    )


async def test_it_is_the_state_with_its_freshness(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    await put(client, "SPY", written := state(await client.now() - 20, source="myfeed"))
    assert main(["state", "SPY"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    (line,) = said.out.splitlines()
    printed = json.loads(line)
    freshness = printed.pop("freshness")
    assert printed == {"symbol": "SPY", **written.as_dict()}
    assert (freshness["status"], freshness["cause"], freshness["origin"]) == ("stale", "writer_down", "redis")
    assert freshness["age_ms"] >= 20_000


async def test_those_that_are_there_are_printed_and_the_others_named(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    await put(client, "A", state(await client.now()))
    await put(client, "B", state(await client.now() - 30))
    assert main(["state", "NONE", "B", "A", "--max-age", "10"]) == 1
    said = capsys.readouterr()
    assert [json.loads(line)["symbol"] for line in said.out.splitlines()] == ["A"]
    (line,) = said.err.splitlines()
    assert line.startswith("cottage: NONE: Redis has no state of it; B: its newest sample is 30.")
    assert "10 s are allowed" in line


async def test_what_cannot_be_trusted_is_shown_only_as_it_is_stored(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    await client.set("physics:state:BAD", b'{"mass": "heavy", "\xff": 1}')
    assert main(["state", "BAD"]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "BAD: what Redis has of it cannot be trusted (json); --stored shows it" in said.err
    assert main(["state", "BAD", "--stored"]) == 0
    assert capsys.readouterr().out == '{"mass": "heavy", "\\xff": 1}\n'


async def test_make_state_prints_the_same(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    await put(client, "SPY", written := state(await client.now()))
    assert main(["state", "--stored", "SPY"]) == 0
    stored = capsys.readouterr().out
    assert stored == written.to_bytes().decode() + "\n"
    assert runbook(["state", "SPY"]) == 0
    assert capsys.readouterr().out == stored
    assert main(["state", "--stored", "SPY", "NONE"]) == 1
    said = capsys.readouterr()
    assert said.out == stored
    assert said.err == "cottage: there is no physics:state:NONE\n"


@pytest.mark.parametrize("flags", [[], ["--stored"], ["--max-age", "3"]])
def test_a_redis_that_is_not_there_is_one_line(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["state", "SPY", "QQQ", "--redis-url", f"redis://:secret@127.0.0.1:{free_port()}", *flags]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "Connection refused" in said.err
    assert "secret" not in said.err


@pytest.mark.parametrize("flags", [[], ["--stored"]])
def test_a_wrong_password_is_one_line(
    own_redis: OwnRedis, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    own_redis.restart("--requirepass", "secret")
    url = own_redis.url.replace("//", "//:{}@")
    assert main(["state", "SPY", "--redis-url", url.format("guess"), *flags]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "guess" not in said
    assert main(["state", "SPY", "--redis-url", url.format("secret"), *flags]) == 1, "it has no such state"
    assert "SPY" in capsys.readouterr().err


def test_a_url_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["state", "SPY", "--redis-url", "http://:secret@host"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "REDIS_URL" in said
    assert "secret" not in said
