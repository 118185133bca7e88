"""`cottage retire` on a real Redis, with a real feynman and without. Both kinds are in test_retirement.py."""

import asyncio
from dataclasses import replace

import pytest

from cottage import keys
from cottage.cli import main
from cottage.cli import retire as command
from cottage.redis import Client
from cottage.snapshot import MarketSnapshot
from cottage.state import FAIL_SAFE
from cottage.store import MarketFeeds, MarketSnapshots, PhysicsStates
from deploy.redis_server import free_port
from tests.integration.feynman import process
from tests.one_kind import on_one_kind

pytest_generate_tests = on_one_kind


@pytest.fixture(autouse=True)
def environment(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setattr(command, "WAIT_SECONDS", 30.0)  # a busy machine takes its time


async def cottage(*arguments: str) -> int:
    return await asyncio.to_thread(main, ["retire", *arguments])


async def put(client: Client, *symbols: str) -> None:
    await client.mset({keys.physics_state(name): replace(FAIL_SAFE, source="x").to_bytes() for name in symbols})


async def test_what_matches_is_retired_and_printed(
    client: Client, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await put(client, "OLD1", "OLD2", "OLD.X", "NEW", "B-DEMO")
    async with process(redis_url):
        assert await cottage("OLD?", "*-DEMO") == 0
        assert capsys.readouterr() == ("B-DEMO\nOLD1\nOLD2\n", "")
        assert list(await PhysicsStates(client).all()) == ["NEW", "OLD.X"]
        assert await cottage("OLD[.]X") == 0
        assert list(await PhysicsStates(client).all()) == ["NEW"]


async def test_what_a_living_feed_brings_is_refused_and_the_feed_named(
    client: Client, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await put(client, "A", "B", "C", "OLD")
    await MarketSnapshots(client, lifetime=60.0).write(
        [MarketSnapshot("C", 1.0, await client.now(), source="myfeed")]
    )
    await MarketFeeds(client).announce("SIM", {"symbols": ["A", "B"], "complete": True}, 60.0)
    async with process(redis_url):
        assert await cottage("*") == 1
    said = capsys.readouterr()
    assert said.out == "OLD\n"
    assert said.err == "cottage: A, B: the feed SIM brings them; C: the feed myfeed brings it\n"
    assert list(await PhysicsStates(client).all()) == ["A", "B", "C"]


async def test_a_feed_that_outlives_its_process_holds_up_nobody(
    client: Client, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Redis's clock went back by an hour after it died."""
    await put(client, "A", "B")
    about = b'{"owner":"elsewhere:1:x","source":"sim","symbols":["A"],"complete":true,"lifetime_ms":1500}'
    await client.set("market:feed:SIM", about, px=3_600_000)
    async with process(redis_url):
        assert await cottage("A") == 0
        assert capsys.readouterr() == ("A\n", "")
        assert list(await PhysicsStates(client).all()) == ["B"]


async def test_a_dry_run_changes_nothing(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    await put(client, "A", "B")
    assert await cottage("--dry-run", "*") == 0
    assert capsys.readouterr() == ("A\nB\n", "")
    assert await client.exists(keys.PHYSICS_RETIRE) == 0


async def test_without_feynman_it_says_that_the_request_waits(
    client: Client, redis_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "WAIT_SECONDS", 0.2)
    names = [f"S{number}" for number in range(9)]
    await put(client, *names)
    assert await cottage("S*") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert (
        said.err == "cottage: S0, S1, S2, S3, S4 and 4 more: no feynman has done it yet; one that runs takes them\n"
    )
    async with process(redis_url):
        monkeypatch.setattr(command, "WAIT_SECONDS", 30.0)
        assert await cottage("S*") in (0, 1), "1 where feynman was faster"
        assert await PhysicsStates(client).all() == {}


async def test_what_is_not_there_and_a_redis_that_is_not_there(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    await put(client, "A")
    assert await cottage("B*", "C") == 1
    assert capsys.readouterr() == ("", "cottage: Redis has no state of B* or C\n")
    assert await cottage("A", "--redis-url", f"redis://127.0.0.1:{free_port()}") == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert await cottage("A", "--redis-url", "http://host") == 2
