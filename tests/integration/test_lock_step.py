"""A replay in lock-step with feynman: real processes on a real Redis."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from cottage import keys
from cottage.lock_step import Mark, Taken
from cottage.redis import Client, subscribe
from cottage.snapshot import MarketSnapshot
from cottage.store import MarketSnapshots
from tests.integration.feynman import Channel, process, states, states_when
from tests.one_kind import on_one_kind
from tests.support import ServiceProcess, eventually, heard, service

pytestmark = pytest.mark.usefixtures("no_debug")  # only the test itself runs in this process
pytest_generate_tests = on_one_kind

USUAL = {"tick_seconds": 1.0, "heartbeat_seconds": 1.0, "discovery_seconds": 60.0}
"""A replay that waits neither for such ticks nor for such a search is in lock-step."""


def recording(folder: Path, seconds: int, symbols: Sequence[str] = ("ES", "NQ"), *, in_turn: bool = False) -> str:
    """A trade of each symbol in each second, or of one after the other."""
    generator, price, lines = random.Random(5), dict.fromkeys(symbols, 1000.0), ["timestamp,symbol,price,size"]
    for second in range(seconds):
        for symbol in (symbols[second % len(symbols)],) if in_turn else symbols:
            price[symbol] += 0.25 * generator.choice((-3, -2, -1, 1, 2, 3))
            lines.append(f"{1_381_143_600 + second},{symbol},{price[symbol]},{generator.randint(1, 9)}")
    path = folder / "trades.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def market(url: str, file: str, speed: str = "max", **more: str) -> Any:
    env = {"REDIS_URL": url, "MARKET_SOURCE": "replay", "MARKET_FILE": file, "MARKET_SPEED": speed}
    return service("market", {**env, **{f"MARKET_{name.upper()}": value for name, value in more.items()}})


async def counted(running: ServiceProcess, metric: str) -> float:
    lines = (await running.get("/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{metric} ", f"{metric}{{")))


async def samples(client: Client, *symbols: str) -> list[tuple[int | None, int | None]]:
    """How many samples and holes the windows of these symbols have."""
    found = await states(client, symbols)
    return [(found[symbol].samples, found[symbol].holes) for symbol in symbols]


async def test_a_replay_runs_as_fast_as_feynman_takes_it_and_loses_nothing(
    redis_url: str, client: Client, tmp_path: Path
) -> None:
    file = recording(tmp_path, 200)
    async with (
        Channel(redis_url) as channel,
        process(redis_url, **USUAL) as feynman,
        market(redis_url, file, exit_at_end="true") as replay,
    ):
        assert await replay.ended() == 0, replay.report()
        assert await samples(client, "ES", "NQ") == [(200, 0), (200, 0)]
        await eventually(lambda: len(channel.updates("ES")) >= 200)
        assert len(channel.updates("ES")) == 200, "each second is a state of its own"
        assert channel.versions("ES") == sorted(set(channel.versions("ES")))
        taken = await counted(feynman, "cottage_feynman_marks_taken_total")
        assert 100 < taken <= 220, "but for some that ticks of its own have answered"
        finished = next(line for line in replay.logs if line["event"] == "replay_finished")
        assert finished["place"] == "11:03:19 of 3 min, 100 %"


async def test_bars_come_one_by_one(redis_url: str, client: Client, tmp_path: Path) -> None:
    lines = ["timestamp,symbol,open,high,low,close,volume"]
    lines += [f"{1_381_143_600 + i},ES,{100 + i},{102 + i},{99 + i},{101 + i},5" for i in range(20)]
    (tmp_path / "bars.csv").write_text("\n".join(lines) + "\n")
    bars = market(redis_url, str(tmp_path / "bars.csv"), "bars", interval_seconds="0.05", exit_at_end="true")
    async with Channel(redis_url) as channel, process(redis_url, **USUAL), bars as replay:
        assert await replay.ended() == 0, replay.report()
        assert await samples(client, "ES") == [(20, 0)]
        await eventually(lambda: len(channel.updates("ES")) == 20)


async def test_a_replay_waits_for_feynman_and_goes_on_where_it_was(
    redis_url: str, client: Client, tmp_path: Path
) -> None:
    file = recording(tmp_path, 100)
    async with market(redis_url, file, exit_at_end="true") as replay:
        assert (await replay.logged("feynman_awaited"))["used"] == 2
        async with process(redis_url, **USUAL):
            assert await replay.ended() == 0, replay.report()
            assert (await replay.logged("feynman_ticks"))["seconds"] >= 5
            assert await samples(client, "ES", "NQ") == [(100, 0), (100, 0)]


async def test_a_standby_takes_a_replay_over_without_a_hole(redis_url: str, client: Client, tmp_path: Path) -> None:
    file = recording(tmp_path, 400)
    async with process(redis_url, **USUAL) as writer:
        await eventually(lambda: client.exists(keys.physics_writer(0)))
        async with process(redis_url, **USUAL) as standby, market(redis_url, file, exit_at_end="true") as replay:
            await standby.logged("standby")
            await states_when(client, ["ES", "NQ"], lambda state: (state.samples or 0) > 50)
            await writer.kill()
            assert await replay.ended(60) == 0, replay.report()
            assert await samples(client, "ES", "NQ") == [(400, 0), (400, 0)]


async def test_the_writers_of_all_shards_are_waited_for(redis_url: str, client: Client, tmp_path: Path) -> None:
    names = [f"S{i}" for i in range(6)]
    assert {keys.shard_index(name, 2) for name in names} == {0, 1}
    file = recording(tmp_path, 300, names, in_turn=True)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(process(redis_url, shard="0/2", **USUAL))
        replay = await stack.enter_async_context(market(redis_url, file, exit_at_end="true"))
        await states_when(client, [next(n for n in names if keys.shard_index(n, 2) == 0)], lambda _state: True)
        assert not await states(client, [name for name in names if keys.shard_index(name, 2) == 1])
        other = await stack.enter_async_context(process(redis_url, shard="1/2", **USUAL))
        assert await replay.ended() == 0, replay.report()
        assert {found[0] for found in await samples(client, *names)} == {50}
        assert await counted(other, "cottage_feynman_marks_taken_total") < 300, "others' symbols cost it no tick"


async def test_several_feeds_run_in_lock_step(redis_url: str, client: Client, tmp_path: Path) -> None:
    for name in ("A", "B"):
        (tmp_path / name).mkdir()
    one, other = recording(tmp_path / "A", 150, ["ES"]), recording(tmp_path / "B", 150, ["NQ"])
    async with (
        process(redis_url, **USUAL),
        market(redis_url, one, feed="A", exit_at_end="true") as a,
        market(redis_url, other, feed="B", exit_at_end="true") as b,
    ):
        assert (await a.ended(), await b.ended()) == (0, 0)
        assert await samples(client, "ES", "NQ") == [(150, 0), (150, 0)]


async def test_forged_marks_cost_a_tenth_of_the_time_and_change_no_number(redis_url: str, client: Client) -> None:
    feed = MarketSnapshots(client, "LIVE")

    async def write(step: int) -> None:
        now = await client.now()
        numbered = MarketSnapshot("NQ", 200.0 + step, now, step, step, event_time=1000.0 + step, fill=())
        await feed.write([MarketSnapshot("ES", 100.0 + step, now, step, step), numbered])

    await write(1)
    forged = [Mark("LIVE", 1, ("ES", "NQ")).to_bytes(), b"{", b'{"feed":"LIVE","mark":1,"symbols":["NQ"],"db":7}']
    async with process(redis_url, **USUAL) as feynman:
        await states_when(client, ["ES", "NQ"], lambda _state: True)
        before = await counted(feynman, "cottage_feynman_ticks_total")

        async def flooded(ticks: float) -> bool:
            await client.bulk(("PUBLISH", keys.MARKET_MARK, each) for each in forged * 100)
            return await counted(feynman, "cottage_feynman_ticks_total") >= ticks

        await eventually(lambda: flooded(before + 3), 20)
        ticks = await counted(feynman, "cottage_feynman_ticks_total") - before
        assert 0 < await counted(feynman, "cottage_feynman_marks_taken_total") <= 200 * (ticks + 2)
        assert await counted(feynman, "cottage_feynman_marks_dropped_total") > 0
        assert await samples(client, "ES", "NQ") == [(1, 0), (1, 0)]

        # Of a feed whose samples have no numbers a mark takes none: they would be as many as there are marks.
        async with subscribe(redis_url, keys.MARKET_MARK_TAKEN) as taken:
            await eventually(lambda: flooded(before + ticks + 2), 20)
            await write(2)
            await client.publish(keys.MARKET_MARK, Mark("LIVE", 4711, ("ES",)).to_bytes())
            answers: list[Taken] = []
            while not any(answer.number == 4711 for answer in answers):
                answers += map(Taken.from_bytes, await heard(taken))
        await states_when(client, ["ES", "NQ"], lambda state: state.samples == 2)
        assert feynman.returncode is None


async def test_a_replay_is_not_sped_up_or_stopped_by_who_answers_for_another_number_of_shards(
    redis_url: str, client: Client, tmp_path: Path
) -> None:
    file = recording(tmp_path, 100)
    async with subscribe(redis_url, keys.MARKET_MARK) as marks, market(redis_url, file, exit_at_end="true") as replay:

        async def answer() -> None:
            while True:
                for payload in await heard(marks, timeout=30):
                    mark = Mark.from_bytes(payload)
                    for shard in ("0/999", "0/2", "garbage"):
                        await client.publish(keys.MARKET_MARK_TAKEN, Taken(mark.feed, mark.number, shard).to_bytes())
                        await client.publish(keys.MARKET_MARK_TAKEN, Taken("OTHER", mark.number, "0/1").to_bytes())

        answering = asyncio.create_task(answer())
        try:
            assert (await replay.logged("feynman_awaited"))["used"] == 2
            async with process(redis_url, **USUAL):
                assert await replay.ended() == 0, replay.report()
                assert await samples(client, "ES", "NQ") == [(100, 0), (100, 0)]
        finally:
            answering.cancel()
            await asyncio.wait([answering])


async def test_where_a_feed_in_lock_step_is_killed_feynman_goes_on_with_its_own_ticks(
    redis_url: str, client: Client, tmp_path: Path
) -> None:
    async with process(redis_url, **USUAL) as feynman, market(redis_url, recording(tmp_path, 5000)) as replay:
        await states_when(client, ["ES"], lambda state: (state.samples or 0) > 20)
        await replay.kill()
        marks = await counted(feynman, "cottage_feynman_marks_taken_total")
        ticks = await counted(feynman, "cottage_feynman_ticks_total")
        await eventually(lambda: _more(feynman, ticks + 2), 20)
        assert await counted(feynman, "cottage_feynman_marks_taken_total") <= marks + 1


async def _more(feynman: ServiceProcess, ticks: float) -> bool:
    return await counted(feynman, "cottage_feynman_ticks_total") >= ticks
