"""FeynmanService on a real Redis: what it reads, writes and publishes, and what becomes of it in trouble."""

import asyncio
import itertools
import json
import math
import signal
import zipfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from cottage import reference
from cottage.cancellation import background
from cottage.clock import Clock, SystemClock, iso_millis
from cottage.errors import RedisError, RedisUnavailable
from cottage.redis import Client, connect
from cottage.reference import PlainSample
from cottage.snapshot import MarketSnapshot
from cottage.state import FAIL_SAFE, PhysicsState
from cottage.store import MarketSnapshots, PhysicsStates
from cottage.version import Version
from deploy.redis_server import RunningServer, Server, free_port, start
from services.feynman.service import FeynmanService
from services.feynman.settings import FeynmanSettings
from services.feynman.symbol_table import StateWrite
from services.feynman.writer import Writer, Written
from tests.integration.feynman import FAST, Channel, feed, process, states_when
from tests.one_kind import on_one_kind
from tests.services.feynman.histories import assert_vector
from tests.support import IN_MEMORY, OwnRedis, eventually, full_pipe, library_events, service

pytest_generate_tests = on_one_kind

SYSTEM_CLOCK = SystemClock()
KEY = "physics:writer:0"


def settings_for(url: str, **settings: Any) -> FeynmanSettings:
    return FeynmanSettings(**{"REDIS_URL": url, **FAST, **settings})


@asynccontextmanager
async def feynman(url: str, clock: Clock = SYSTEM_CLOCK, **settings: Any) -> AsyncIterator[FeynmanService]:
    """In this process, and stopped as a signal would stop it."""
    running = FeynmanService(settings_for(url, **settings), clock)
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        work = group.create_task(running.run(stopping))
        yield running
        stopping.set()
        async with asyncio.timeout(8):
            await work


class SteppedClock(SystemClock):
    """Its monotonic time stands still until it is told to go on; the service's three tasks sleep meanwhile."""

    def __init__(self) -> None:
        self._now = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self._now + seconds, woken))
        await woken.wait()

    async def pass_time(self, seconds: float) -> None:
        """Let it pass at once, and wait until all have done what is due."""
        await self.all_asleep()
        self._now += seconds
        for sleeper in [each for each in self._sleepers if each[0] <= self._now + 1e-9]:
            self._sleepers.remove(sleeper)
            sleeper[1].set()
        await self.all_asleep()

    async def all_asleep(self) -> None:
        await eventually(lambda: len(self._sleepers) == 3)


async def snapshot(client: Client, symbol: str, price: float = 100.0, ago: float = 0.0, **fields: Any) -> float:
    """Write one, `ago` seconds before Redis's clock; its timestamp."""
    timestamp = await client.now() - ago
    await MarketSnapshots(client).write([MarketSnapshot(symbol, price, timestamp, **fields)])
    return timestamp


async def state_of(client: Client, symbol: str) -> PhysicsState | None:
    return await PhysicsStates(client).get(symbol)


async def seen(client: Client, symbol: str, timeout: float = 10.0, **fields: Any) -> PhysicsState:
    """The symbol's state, waited for until it has these values."""

    async def found() -> list[PhysicsState]:
        state = await state_of(client, symbol)
        there = state is not None and all(getattr(state, name) == value for name, value in fields.items())
        return [state] if state is not None and there else []

    return (await eventually(found, timeout))[0]


async def newer(client: Client, symbol: str, than: Version | None, epoch: bool = False) -> PhysicsState:
    """A state with a version above that, or with a whole epoch above it."""
    assert than is not None

    async def found() -> list[PhysicsState]:
        state = await state_of(client, symbol)
        if state is None or state.version is None or state.version <= than:
            return []
        return [state] if not epoch or state.version.epoch > than.epoch else []

    return (await eventually(found))[0]


async def test_what_a_stranger_writes_over_a_feed_s_fields_is_not_in_its_window(
    redis_url: str, client: Client
) -> None:
    """By HSET of price and time alone, whose source and feed are then still ours."""
    snapshots = MarketSnapshots(client, "SIM", 60.0)
    await snapshots.write([MarketSnapshot("SPY", 450.0, await client.now(), source="simulate")])
    async with process(redis_url) as running:
        await seen(client, "SPY", source="simulate")
        await client.hset("market:snapshot:SPY", mapping={"price": "1.5", "timestamp": str(await client.now())})
        await running.logged("snapshot_dropped", symbol="SPY", reason="owner")
        state = await state_of(client, "SPY")
        assert state is not None
        assert (state.price, state.samples) == (450.0, 1)
        # Its feed notices it at its next write, and makes room.
        await snapshots.write([MarketSnapshot("SPY", 451.0, await client.now(), source="simulate")])
        state = await seen(client, "SPY", source="unknown")
        assert (state.price, state.samples, "two_writers" in state.notes) == (1.5, 1, True)


async def test_two_strangers_that_write_one_symbol_do_not_share_a_window(redis_url: str, client: Client) -> None:
    """Each writes by HSET ten times a second; a tick sees the one or the other."""

    async def write(source: str, base: float) -> None:
        for number in itertools.count():
            now = await client.now()
            fields = [("price", base + number % 7), ("timestamp", now), ("volume", number), ("source", source)]
            await client.execute_command("HSET", "market:snapshot:SPY", *itertools.chain(*fields))
            await asyncio.sleep(0.1)

    env = {"REDIS_URL": redis_url, "FEYNMAN_TICK_SECONDS": "0.05"}
    async with service("feynman", env) as process, background(write("one", 100.0), write("other", 900.0)):
        said = await process.logged("two_writers")
        assert (said["reason"], said["first"]) == ("contest", ["SPY"])
        begun = await seen(client, "SPY", source=said["by"].split()[-1])

        async def grown() -> PhysicsState | None:
            state = await state_of(client, "SPY")
            return state if state is not None and (state.samples or 0) >= (begun.samples or 0) + 20 else None

        state = await eventually(grown)
        assert state is not None
        assert (state.source, "two_writers" in state.notes) == (begun.source, True)
        assert (state.price or 0.0) // 500 == (0 if state.source == "one" else 1)
        (pair,) = (await process.get("/status")).json()["two_writers"]
        assert (pair["by"], pair["first"]) == (said["by"], ["SPY"])
        assert 'snapshots_dropped_total{reason="source"}' in (await process.get("/metrics")).text
    assert len([line for line in process.logs if line["event"] == "two_writers"]) == 1


def told_since(channel: Channel, symbol: str, before: int) -> bool:
    return len(channel.updates(symbol)) > before


async def stored(client: Client, symbol: str) -> bytes:
    """The very bytes, waited for."""

    async def found() -> Any:
        return await client.get(f"physics:state:{symbol}")

    return bytes(await eventually(found))


async def held_epoch(client: Client) -> int | None:
    value = await client.get(KEY)
    return None if value is None else int(json.loads(value)["epoch"])


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"cottage_feynman_{name}", labels) or 0.0


def _more_than(name: str, before: float) -> bool:
    return count(name) > before


async def ticks(more: int) -> None:
    """Wait until so many ticks have begun."""
    wanted = count("ticks_total") + more
    await eventually(lambda: count("ticks_total") >= wanted)


# --- What it writes ---


async def test_with_default_settings_a_new_symbol_shows_within_six_seconds(
    server_binaries: dict[str, Server], tmp_path: Any
) -> None:
    server = server_binaries["valkey"]
    with start(server, tmp_path / "data", free_port(), config=None, arguments=IN_MEMORY) as running:
        async with connect(running.url) as client, service("feynman", {"REDIS_URL": running.url}) as feynman_process:
            await snapshot(client, "SPY")
            await seen(client, "SPY")
            # A discovery has just been: this is about as long as it can take.
            await snapshot(client, "QQQ")
            await seen(client, "QQQ", timeout=6.0)
            assert await feynman_process.stop() == 0


async def test_however_a_new_symbol_falls_it_shows_within_six_seconds(redis_url: str, client: Client) -> None:
    clock = SteppedClock()
    defaults = {"tick_seconds": 1.0, "heartbeat_seconds": 1.0, "discovery_seconds": 5.0}
    async with feynman(redis_url, clock, **defaults):
        await clock.all_asleep()  # a discovery has just been
        await snapshot(client, "SPY")
        for _ in range(3):
            assert await state_of(client, "SPY") is None
            await clock.pass_time(0.5)
        assert await state_of(client, "SPY") is not None, "the first of all is searched for at each tick"
        await clock.pass_time(3.5)  # a discovery has just been
        await snapshot(client, "QQQ")
        for _ in range(11):
            assert await state_of(client, "QQQ") is None
            await clock.pass_time(0.5)
        assert await state_of(client, "QQQ") is not None  # 5.5 s later


async def test_without_any_symbol_the_search_becomes_rare(redis_url: str, client: Client) -> None:
    clock = SteppedClock()
    defaults = {"tick_seconds": 1.0, "heartbeat_seconds": 1.0, "discovery_seconds": 5.0}
    async with feynman(redis_url, clock, **defaults):
        for _ in range(60):
            await clock.pass_time(0.5)
        await clock.pass_time(0.5)  # a discovery has just been, 30 s after the start
        await snapshot(client, "SPY")
        for _ in range(9):
            await clock.pass_time(0.5)
            assert await state_of(client, "SPY") is None


async def test_a_late_tick_is_counted_and_delays_no_other(redis_url: str, client: Client) -> None:
    clock = SteppedClock()
    async with feynman(redis_url, clock, tick_seconds=1.0, heartbeat_seconds=1.0) as running:
        for _ in range(4):
            await clock.pass_time(0.5)
        await snapshot(client, "SPY")
        assert running.status()["tick"]["number"] == 1  # at 0.5 and at 1.5; it is 2.0 now
        before = count("ticks_total"), count("ticks_late_total"), count("ticks_skipped_total")
        await clock.pass_time(3.7)
        assert (running.status()["tick"]["number"], running.status()["tick"]["late_ms"]) == (5, 200.0)
        after = count("ticks_total"), count("ticks_late_total"), count("ticks_skipped_total")
        assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 3]
        await clock.pass_time(0.7)
        assert running.status()["tick"]["number"] == 5
        await clock.pass_time(0.1)
        assert (running.status()["tick"]["number"], running.status()["tick"]["late_ms"]) == (6, 0.0)
        assert count("ticks_skipped_total") == after[2]


async def test_it_ticks_on_while_nobody_reads_its_log(redis_url: str, client: Client, tmp_path: Path) -> None:
    settings = {**FAST, "checkpoint_dir": tmp_path, "ops_port": 0}
    env = {
        "REDIS_URL": redis_url,
        "LOG_LEVEL": "debug",
        **{f"FEYNMAN_{k.upper()}": str(v) for k, v in settings.items()},
    }
    with full_pipe() as output:
        async with feed(client, ["SPY"]), service("feynman", env, output=output) as running:
            await states_when(client, ["SPY"], lambda state: (state.samples or 0) >= 30)
            assert await running.stop() == 0
    zipfile.ZipFile(tmp_path / "windows-0-of-1.npz").close()


async def test_states_are_the_vectors_of_what_was_written(redis_url: str, client: Client) -> None:
    samples: list[PlainSample] = []
    async with feynman(redis_url, tick_seconds=0.01, window=66):
        start_time = await client.now() - 200
        for i in range(70):
            sample = PlainSample(start_time + i, 100 + math.sin(i * i), 50.0 * i + i % 7, float(3 * i + i % 2))
            samples.append(sample)
            written = MarketSnapshot("SPY", sample.price, sample.timestamp, sample.volume, sample.trades, "replay")
            await MarketSnapshots(client).write([written])
            state = await seen(client, "SPY", price=sample.price)
            assert_vector(state, reference.vector(samples, window=66))
            assert state.source == "replay"
    assert (state.samples, state.nonzero) == (66, 66)
    assert state.regime != "WAIT"


async def test_the_interval_of_alpha_is_as_wide_as_is_set(redis_url: str, client: Client) -> None:
    intervals = []
    heavy = [100 + (-1) ** i * 2 / (1 + i * 37 % 67) for i in range(67)]
    for widening in (1.0, 1.5):
        symbol = f"W{widening * 10:.0f}"
        async with feynman(redis_url, tick_seconds=0.01, window=66, symbols=(symbol,), interval_widening=widening):
            start_time = await client.now() - 200
            for i, price in enumerate(heavy):
                await MarketSnapshots(client).write([MarketSnapshot(symbol, price, start_time + i)])
                state = await seen(client, symbol, price=price)
        assert state.alpha_low is not None
        assert state.alpha_high is not None
        intervals.append((state.alpha_coefficient, state.alpha_low, state.alpha_high))
    (alpha, low, high), (same, lower, higher) = intervals
    assert same == alpha
    assert 0.5 < lower < low < alpha < high < higher


async def test_what_the_numbers_stand_on_is_in_the_state_and_in_its_message(redis_url: str, client: Client) -> None:
    key = "market:snapshot:SPY"
    async with Channel(redis_url) as channel, feynman(redis_url, tick_seconds=0.01):
        start_time = await client.now() - 200

        async def told(i: int, price: float, **fields: float | str) -> PhysicsState:
            """What becomes of a hash that somebody writes, with these fields and no others."""
            written: dict[Any, Any] = {
                "price": price,
                "timestamp": start_time + i,
                "source": "mine",
                **fields,
            }
            async with client.pipeline(transaction=True) as pipe:
                pipe.delete(key)
                pipe.hset(key, mapping=written)
                await pipe.execute()
            return await seen(client, "SPY", price=price)

        for i in range(30):
            await told(i, 100 + i % 3 + i / 100, volume=5_000_000 + 100 * i, trades=1000 + i)
        known = await told(30, 101.5, volume=5_003_000, trades=1030)
        assert (known.notes, known.void) == ((), ())
        assert known.mass > 0.1
        missing = await told(31, 99.5, trades=1031, notes="auction my_word")
        assert missing.notes == ("no_volume", "auction", "my_word")
        assert missing.void == ("mass", "momentum", "friction")
        assert (missing.mass, missing.momentum, missing.friction) == (0.0, 0.0, 0.0)
        state, update = await stored(client, "SPY"), channel.updates("SPY")[-1]
        assert PhysicsState.from_bytes(state).update("SPY") == update.payload
        assert json.loads(update.payload)["data"]["void"] == list(missing.void)
        assert json.loads(update.payload)["data"]["notes"] == list(missing.notes)
        split = await told(32, 9.95, volume=5_003_200, trades=1032)
        assert split.notes == ("jump", "no_volume")
        again = await told(33, 9.96, volume=5_003_300, trades=1033)
        assert (again.notes, again.void) == (("jump",), ())


@pytest.mark.parametrize("arrives", [False, True])
async def test_what_was_taken_as_a_write_failed_is_issued_before_more_is_taken(
    redis_url: str, client: Client, arrives: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether only the reply was lost or all of it, every sample is some version's, in order."""
    async with Channel(redis_url) as channel, feynman(redis_url) as running:
        await snapshot(client, "SPY", 100.0)
        await seen(client, "SPY", price=100.0)
        write, fail = running._writer.write, True

        async def failing(writes: Iterable[StateWrite]) -> Written:
            nonlocal fail
            listed = list(writes)
            if fail and any(each.update is not None for each in listed):
                if arrives:
                    await write(listed)
                fail, running._writer._held_on = False, None
                await snapshot(client, "SPY", 102.0)
                raise RedisUnavailable("the reply is lost")
            return await write(listed)

        monkeypatch.setattr(running._writer, "write", failing)
        await snapshot(client, "SPY", 101.0)
        await seen(client, "SPY", price=102.0)
        await eventually(lambda: channel.updates("SPY")[-1].payload.count(b'"price":102.0'))
        told = [json.loads(update.payload) for update in channel.updates("SPY")]
    assert [each["data"]["price"] for each in told] == [100.0, 101.0, *[101.0] * arrives, 102.0]
    versions = [[each["epoch"], each["seq"]] for each in told]
    assert versions == sorted(versions)
    assert [each["prev"] for each in told] == [None, *versions[:-1]]


async def test_a_list_of_hundreds_is_told_by_versions_of_64(redis_url: str, client: Client) -> None:
    now, number = await client.now(), 200
    samples = [
        MarketSnapshot("ES", 100.0 + i % 7, now - 1, volume=float(i), event_time=1000.0 + i, received=1000.5 + i)
        for i in range(number)
    ]
    async with Channel(redis_url) as channel, feynman(redis_url):
        await MarketSnapshots(client).write([replace(samples[-1], fill=tuple(samples[:-1]))])
        last = await seen(client, "ES", samples=number)
        await eventually(lambda: channel.updates("ES")[-1].payload == last.update("ES"))
        found = [json.loads(update.payload) for update in channel.updates("ES")]
    assert [len(each["data"].get("taken", [])) for each in found] == [63, 63, 63, 7]
    told = [time for each in found for time in (*each["data"].get("taken", []), each["data"])]
    assert [each["event_time"] for each in told] == [iso_millis(1000.0 + i) for i in range(number)]
    assert [each["received"] for each in told] == [iso_millis(1000.5 + i) for i in range(number)]
    assert [each["volume"] for each in told] == [float(i) for i in range(number)]
    versions = [[each["epoch"], each["seq"]] for each in found]
    assert [each["prev"] for each in found] == [None, *versions[:-1]]
    assert len({epoch for epoch, _seq in versions}) == 1


async def test_a_message_and_its_state_are_one(redis_url: str, client: Client) -> None:
    async with Channel(redis_url) as channel, feynman(redis_url):
        for price in (100.0, 101.5, 99.25):
            told = len(channel.updates("SPY"))
            await snapshot(client, "SPY", price, volume=price * 10)
            await seen(client, "SPY", price=price)
            await eventually(partial(told_since, channel, "SPY", told))
            state, update = await stored(client, "SPY"), channel.updates("SPY")[-1]
            assert PhysicsState.from_bytes(state).update("SPY") == update.payload
            fields, message = json.loads(state), json.loads(update.payload)
            assert message["data"].pop("alpha") == fields.pop("alpha_coefficient")
            assert message.pop("data") | message == fields | {"event": "PHYSICS_UPDATE", "symbol": "SPY"}


async def test_samples_that_are_handed_over_and_gone_before_they_are_read_leave_a_hole(
    redis_url: str, client: Client
) -> None:
    now = await client.now()
    async with feynman(redis_url):
        # By a feed whose list has expired: there were six others before the third.
        for i, number in enumerate((1, 2, 9, 10)):
            said = {"price": 100.0 + i, "timestamp": now + i / 100, "event_time": 1e9 + i, "fill": number}
            await client.hset("market:snapshot:SPY", mapping=dict[Any, Any](said))
            found = await seen(client, "SPY", price=100.0 + i)
        assert (found.samples, found.nonzero, found.holes) == (4, 2, 1)
        assert "gap" in found.notes


async def test_what_was_deleted_is_back_with_the_same_bytes_and_without_a_message(
    redis_url: str, client: Client
) -> None:
    async with Channel(redis_url) as channel, feynman(redis_url):
        await snapshot(client, "SPY")
        await snapshot(client, "QQQ")
        await seen(client, "SPY")
        await seen(client, "QQQ")
        before = await client.mget("physics:state:SPY", "physics:state:QQQ")
        for _ in range(3):
            await client.delete("physics:state:SPY")
            assert await stored(client, "SPY") == before[0]
        assert await client.mget("physics:state:SPY", "physics:state:QQQ") == before
        beats = len(channel.heartbeats())
        await eventually(lambda: len(channel.heartbeats()) > beats)  # all before it is here, too
        assert len(channel.updates("SPY")) == len(channel.updates("QQQ")) == 1


async def test_seq_rises_within_an_epoch(redis_url: str, client: Client) -> None:
    async with Channel(redis_url) as channel, feynman(redis_url):
        for price in range(100, 110):
            await snapshot(client, "SPY", price)
            await seen(client, "SPY", price=price)
        versions = channel.versions("SPY")
        assert versions == sorted(set(versions))
        assert len({version.epoch for version in versions}) == 1


async def test_everything_flushed_under_load(redis_url: str, client: Client) -> None:
    symbols = [f"S{i}" for i in range(100)]

    async def load() -> None:
        while True:
            now = await client.now()
            await MarketSnapshots(client).write([MarketSnapshot(symbol, 100.0 + now % 7, now) for symbol in symbols])
            await asyncio.sleep(0.02)

    async with Channel(redis_url) as channel, feynman(redis_url):
        writing = asyncio.create_task(load())
        for symbol in (symbols[0], symbols[-1]):
            before = await seen(client, symbol)
            await client.flushall()
            await newer(client, symbol, before.version, epoch=True)
        writing.cancel()
        await asyncio.wait((writing,))
        await eventually(lambda: len(channel.versions(symbols[-1])) > 2)

        async def all_back() -> bool:
            return len(await PhysicsStates(client).all()) == len(symbols)

        await eventually(all_back)
        for symbol in symbols:
            versions = channel.versions(symbol)
            assert versions == sorted(set(versions)), symbol


async def test_only_the_symbols_asked_for(redis_url: str, client: Client) -> None:
    async with feynman(redis_url, symbols="QQQ,IWM") as running:
        await snapshot(client, "SPY")
        await snapshot(client, "QQQ")
        await seen(client, "QQQ")
        await ticks(3)
        assert await state_of(client, "SPY") is None
        assert running.status()["symbols"] == 2


async def test_shards_share_the_symbols(redis_url: str, client: Client) -> None:
    symbols = [f"S{i}" for i in range(40)]
    async with feynman(redis_url, shard="0/2") as first, feynman(redis_url, shard="1/2") as second:
        for symbol in symbols:
            await snapshot(client, symbol)
        for symbol in symbols:
            await seen(client, symbol)
        parts = [first.status()["symbols"], second.status()["symbols"]]
        assert sum(parts) == len(symbols)
        assert min(parts) > 5


# --- Heartbeats ---


async def test_heartbeats_come_whatever_the_tick(redis_url: str, client: Client) -> None:
    slow: dict[str, Any] = {"tick_seconds": 60, "lease_seconds": 0.5, "heartbeat_seconds": 0.1}
    async with Channel(redis_url) as channel, feynman(redis_url, **slow) as running:
        await eventually(lambda: len(channel.heartbeats()) >= 10)  # they alone have kept the lease
        beats = channel.heartbeats()
        assert {beat.version.epoch for beat in beats} == {running.status()["epoch"]}
        seqs = [beat.version.seq for beat in beats]
        assert seqs == sorted(set(seqs))
        assert {beat.shard for beat in beats} == {"0/1"}
        assert running.status()["tick"]["number"] == 0


async def test_a_heartbeat_is_fenced(redis_url: str, client: Client) -> None:
    async with Channel(redis_url) as channel, feynman(redis_url, tick_seconds=60) as running:
        await eventually(lambda: channel.heartbeats())
        await client.set(KEY, b"another", px=60_000)
        await eventually(lambda: running.status()["epoch"] is None)
        beats = len(channel.heartbeats())
        lost = count("leases_lost_total")
        await asyncio.sleep(0.3)  # three more would have come
        assert len(channel.heartbeats()) == beats
        assert count("leases_lost_total") == lost


# --- One writer ---


async def test_a_standby_is_ready_and_says_what_it_waits_for(redis_url: str, client: Client) -> None:
    async with feynman(redis_url) as holder:
        await snapshot(client, "SPY")
        before = await seen(client, "SPY")
        async with feynman(redis_url) as standby:
            await eventually(lambda: standby.status()["symbols"] == 1 and standby.not_ready() is None)
            await ticks(4)
            status = standby.status()
            assert (status["role"], status["epoch"]) == ("standby", None)
            assert status["waiting_for"].startswith(f"{KEY} is held by ")
            assert holder.status()["role"] == "writer"
            assert await held_epoch(client) == holder.status()["epoch"]
            assert (await seen(client, "SPY")).version == before.version


async def test_a_stopped_writer_gives_way_at_once_and_a_killed_one_after_its_lease(
    redis_server: RunningServer, client: Client
) -> None:
    url = redis_server.url
    async with process(url, lease_seconds=60) as first, Channel(url) as channel:
        await snapshot(client, "SPY")
        version = (await seen(client, "SPY")).version
        async with process(url, lease_seconds=1) as second:
            await second.ready()
            await second.logged("standby")
            assert await first.stop() == 0
            assert await first.logged("lease_released")
            taken = await newer(client, "SPY", version, epoch=True)  # its lease alone would have lasted a minute
            async with process(url, lease_seconds=1) as third:
                await third.ready()
                await third.logged("standby")
                await second.kill()
                await newer(client, "SPY", taken.version, epoch=True)
                await third.logged("lease_acquired")
                assert await third.stop() == 0
        await eventually(lambda: len({version.epoch for version in channel.versions("SPY")}) == 3)
        versions = channel.versions("SPY")
        assert versions == sorted(set(versions))


async def test_the_successor_of_a_killed_writer_writes_at_once(redis_url: str, client: Client) -> None:
    async with process(redis_url, lease_seconds=60) as first:
        await snapshot(client, "SPY")
        before = await seen(client, "SPY")
        await first.kill()
        async with process(redis_url, lease_seconds=60) as second:
            await newer(client, "SPY", before.version, epoch=True)
            assert (await second.logged("lease_discarded"))["reason"] == "its process has ended"
            assert await second.stop() == 0
    assert "standby" not in {line["event"] for line in second.logs}


async def test_who_takes_the_lease_goes_on_with_the_regime_that_was_written(redis_url: str, client: Client) -> None:
    """Its own would be `Gaussian`, as α is above 2; but the interval reaches below 1.5, so `Critical` is kept."""
    moves = [(-1) ** i * 1e-4 * math.sqrt(79 / (1 + i * 37 % 79)) for i in range(80)]
    prices = [100.0 * math.exp(total) for total in itertools.accumulate(moves)]
    async with feynman(redis_url, tick_seconds=0.01) as standby:
        async with Writer(redis_url, shard="0/1", lease_seconds=60.0) as rival:
            await eventually(rival.acquire)
            began = await client.now() - 200.0
            for i, price in enumerate(prices):
                sampled = count("samples_total")
                await MarketSnapshots(client).write([MarketSnapshot("SPY", price, began + i, 0.0, 0.0, "replay")])
                await eventually(partial(_more_than, "samples_total", sampled))
            assert standby.status()["role"] == "standby"
            since, newest = iso_millis(began - 5000.0), iso_millis(began + 79.0)
            told = PhysicsState(0.0, 0.0, 0.0, 0.0, 0.0, "Critical", 1.4, source="replay", regime_since=since)
            told = replace(told, timestamp=newest, version=Version(rival.epoch or 0, 1))
            await rival.write([StateWrite("SPY", told.to_bytes(), None)])
        found = await newer(client, "SPY", told.version, epoch=True)
        assert (found.regime, found.regime_since, found.timestamp) == ("Critical", since, newest)
        assert found.alpha_coefficient > 2.0
        written = MarketSnapshot("SPY", prices[-1] * 1.00001, began + 80.0, 0.0, 0.0, "replay")
        await MarketSnapshots(client).write([written])
        found = await seen(client, "SPY", price=written.price)
        assert (found.regime, found.regime_since) == ("Critical", since)


async def test_a_suspended_writer_that_wakes_writes_nothing(redis_server: RunningServer, client: Client) -> None:
    url = redis_server.url
    async with process(url, lease_seconds=0.5) as first, Channel(url) as channel:
        await snapshot(client, "SPY")
        old = await seen(client, "SPY")
        async with process(url, lease_seconds=60) as second:
            await second.ready()
            await second.logged("standby")
            first.signal(signal.SIGSTOP)
            new = await newer(client, "SPY", old.version, epoch=True)
            await snapshot(client, "SPY", 101.0)
            newest = await seen(client, "SPY", price=101.0)
            first.signal(signal.SIGCONT)
            await first.logged("standby")
            assert new.version is not None
            assert newest.version is not None
            assert (await seen(client, "SPY")).version == newest.version
            epochs = [version.epoch for version in channel.versions("SPY")]
            assert epochs == sorted(epochs)
            assert await held_epoch(client) == new.version.epoch
            beats = [beat.version.epoch for beat in channel.heartbeats()]
            assert beats == sorted(beats)
            # it goes on as a standby
            await first.ready()
            await second.stop()
            await newer(client, "SPY", newest.version, epoch=True)
            assert first.returncode is None


async def test_beside_another_number_of_shards_nothing_is_written(redis_url: str, client: Client) -> None:
    await client.set("physics:writer:1", json.dumps({"holder": "x", "epoch": 1, "shards": 2}), px=60_000)
    await snapshot(client, "SPY")
    async with feynman(redis_url) as running:
        await eventually(lambda: running.status()["waiting_for"])
        assert "one of 2 shards" in running.status()["waiting_for"]
        await ticks(4)
        assert await client.keys("physics:*") == [b"physics:writer:1"]
        await client.delete("physics:writer:1")
        await seen(client, "SPY")


async def test_epochs_of_stored_states(redis_url: str, client: Client) -> None:
    now = await client.now()
    ahead, far = round((now + 86_400) * 1000), round((now + 3 * 86_400) * 1000)
    await client.set("physics:state:SPY", FAIL_SAFE.at(Version(ahead, 9)).to_bytes())
    await client.set("physics:state:QQQ", FAIL_SAFE.at(Version(far, 9)).to_bytes())
    await snapshot(client, "SPY")
    await snapshot(client, "QQQ")
    async with feynman(redis_url):
        for symbol in ("SPY", "QQQ"):
            state = await seen(client, symbol, source="unknown")
            assert state.version is not None
            assert state.version.epoch == ahead + 1


# --- Trouble with Redis ---


async def test_redis_is_killed_and_started_again(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url) as client, process(own_redis.url) as running:
        await snapshot(client, "SPY", 100.0)
        await seen(client, "SPY")
        await snapshot(client, "SPY", 101.0)
        before = await seen(client, "SPY", price=101.0)
        own_redis.kill()

        async def noticed() -> bool:
            return bool((await running.get("/readyz")).status_code == 503)

        await eventually(noticed)
        assert (await running.get("/healthz")).status_code == 200
        assert (await running.get("/status")).json()["redis"]["problem"].startswith("Redis: ")
        own_redis.start()
        after = await newer(client, "SPY", before.version, epoch=True)  # from memory: Redis had kept nothing
        assert after.at(Version(0, 0)) == before.at(Version(0, 0))
        assert after.prev is None, "Redis had nothing"
        await running.ready()
        await snapshot(client, "SPY", 102.0)
        assert (await seen(client, "SPY", price=102.0)).samples == 3
        await running.logged("redis_back")
        said = [line for line in running.logs if line["event"] == "redis_lost"]
        assert 1 <= len(said) <= 2  # a broken connection, perhaps a loading server
        assert await running.stop() == 0


async def test_redis_is_not_there_yet(own_redis: OwnRedis) -> None:
    url = own_redis.url
    own_redis.kill()
    async with feynman(url) as running:
        await ticks(3)
        assert (running.not_ready() or "").startswith("Redis: ")
        own_redis.start()
        async with connect(url) as client:
            await snapshot(client, "SPY")
            await seen(client, "SPY")
        assert running.not_ready() is None


async def test_redis_hangs_longer_than_the_lease(own_redis: OwnRedis) -> None:
    url = own_redis.url
    async with connect(url) as client, Channel(url) as channel, feynman(url, lease_seconds=0.3):
        await snapshot(client, "SPY")
        before = await seen(client, "SPY")
        own_redis.suspend()
        await asyncio.sleep(0.6)  # two leases
        own_redis.resume()
        await newer(client, "SPY", before.version, epoch=True)
        await snapshot(client, "SPY", 101.0)
        await seen(client, "SPY", price=101.0)
        versions = channel.versions("SPY")
        assert versions == sorted(set(versions))


async def test_all_connections_are_killed_again_and_again(redis_url: str, client: Client) -> None:
    async with Channel(redis_url) as channel, feynman(redis_url):
        await snapshot(client, "SPY", 99.0)
        before = await seen(client, "SPY")
        for price in range(100, 110):
            await snapshot(client, "SPY", price)
            await client.client_kill_filter(_type="normal", skipme=True)
            await seen(client, "SPY", price=price)
        await newer(client, "SPY", before.version, epoch=True)
        assert (await seen(client, "SPY")).samples == 11
        versions = channel.versions("SPY")
        assert versions == sorted(set(versions))


async def test_a_wrong_password(own_redis: OwnRedis) -> None:
    own_redis.restart("--requirepass", "correct horse")
    host = own_redis.url.removeprefix("redis://")
    async with process(f"redis://:battery-staple@{host}") as running:
        refused = await running.logged("redis_lost")
        assert (await running.get("/readyz")).status_code == 503
        async with connect(f"redis://:correct%20horse@{host}") as client:
            await client.config_set("requirepass", "battery-staple")
            await snapshot(client, "SPY")
        async with connect(f"redis://:battery-staple@{host}") as client:
            await seen(client, "SPY")
        assert sum(line["event"] == "redis_lost" for line in running.logs) == 1, refused
        assert "battery-staple" not in running.report()
        assert "battery-staple" not in (await running.get("/status")).text


async def test_the_script_cache_is_flushed(redis_url: str, client: Client) -> None:
    async with feynman(redis_url) as running:
        await snapshot(client, "SPY", 1.0)
        await seen(client, "SPY")
        epoch = running.status()["epoch"]
        for price in range(2, 8):
            await client.script_flush()
            await snapshot(client, "SPY", price)
            await seen(client, "SPY", price=price)
        assert running.status()["epoch"] == epoch


async def test_redis_is_full(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url) as client:
        await client.config_set("maxmemory-policy", "noeviction")
        await snapshot(client, "SPY")
        await client.config_set("maxmemory", 1)
        failed = count("ticks_failed_total")
        async with feynman(own_redis.url) as running:
            await eventually(lambda: "maxmemory" in (running.not_ready() or ""))
            await eventually(lambda: count("ticks_failed_total") > failed)
            await client.config_set("maxmemory", 0)
            await seen(client, "SPY")
            await eventually(lambda: running.not_ready() is None)


async def test_a_tick_longer_than_the_interval_skips_and_never_doubles(redis_url: str, client: Client) -> None:
    skipped, late = count("ticks_skipped_total"), count("ticks_late_total")
    async with Channel(redis_url) as channel, feynman(redis_url):
        await snapshot(client, "SPY", 1.0)
        await seen(client, "SPY")
        for price in (2.0, 3.0):
            await snapshot(client, "SPY", price)
            await client.client_pause(300)
            await seen(client, "SPY", price=price)
        assert count("ticks_skipped_total") >= skipped + 2
        assert count("ticks_late_total") > late
        await eventually(lambda: len(channel.versions("SPY")) >= 3)
        versions = channel.versions("SPY")
        assert versions == sorted(set(versions))
        assert len(versions) == 3


# --- Bad input ---


async def test_a_hash_without_any_field_that_is_read_is_named_until_it_is_gone(
    redis_server: RunningServer, client: Client
) -> None:
    await client.hset("market:snapshot:ACME", mapping={"Price": 450.32, "Timestamp": await client.now()})
    await snapshot(client, "SPY", 1.0)
    async with process(redis_server.url) as running:
        said = await running.logged("snapshot_dropped", symbol="ACME", reason="price")
        assert "no field of this name" in said["error"]
        await running.logged("snapshot_dropped", symbol="ACME", reason="timestamp")
        assert (await running.get("/status")).json()["refused"]["fields"] == {"price": 1, "timestamp": 1}
        await client.delete("market:snapshot:ACME")

        async def none_is_refused() -> bool:
            return not (await running.get("/status")).json()["refused"]["symbols"]

        await eventually(none_is_refused)
        await snapshot(client, "ACME", 2.0)
        await seen(client, "ACME", price=2.0)


async def test_bad_snapshots_are_named_once_and_everything_else_goes_on(
    redis_server: RunningServer, client: Client
) -> None:
    now = await client.now()
    good: dict[Any, Any] = {"price": 100, "timestamp": now}
    bad: dict[str, tuple[str, dict[Any, Any]]] = {
        "A1": ("price", good | {"price": "abc"}),
        "A2": ("price", good | {"price": "-1"}),
        "A3": ("price", good | {"price": "1_000"}),
        "A4": ("price", {"timestamp": now}),
        "A5": ("timestamp", {"price": 1}),
        "A6": ("timestamp", good | {"timestamp": now + 3600}),
        "A7": ("timestamp", good | {"timestamp": -1}),
        "A8": ("volume", good | {"volume": "inf"}),
        "A9": ("trades", good | {"trades": "-3"}),
        "B1": ("source", good | {"source": "x" * 2**20}),
        "B2": ("source", good | {"source": "\x1b]0;"}),
        "spy": ("symbol", good),
        "A/B": ("symbol", good),
        "Z" * 2**20: ("symbol", good),
    }
    for name, (_field, fields) in bad.items():
        await client.hset(f"market:snapshot:{name}", mapping=fields)
    await client.hset(b"market:snapshot:\xff\xfe", mapping=good)
    await client.set("market:snapshot:C1", "a string")
    await client.rpush("physics:state:IWM", "no string")
    await snapshot(client, "IWM")
    await snapshot(client, "SPY", 1.0)
    async with process(redis_server.url) as running:
        for price in range(2, 8):
            await snapshot(client, "SPY", price)
            await seen(client, "SPY", price=price)
        assert sorted(await client.keys("physics:state:*")) == [b"physics:state:IWM", b"physics:state:SPY"]
        assert await state_of(client, "IWM") is not None
        said = [line for line in running.logs if line["event"] == "snapshot_dropped"]
        expected = [field for field, _fields in bad.values()] + ["symbol", "type"]
        assert sorted(line["reason"] for line in said) == sorted(expected)
        assert max(len(json.dumps(line)) for line in said) < 600
        assert {line["symbol"]: line["reason"] for line in said if line["symbol"] in bad} == {
            name: field for name, (field, _fields) in bad.items() if len(name) < 40
        }
        assert "market:snapshot:C1 is no hash" in [line["error"] for line in said]
        metrics = (await running.get("/metrics")).text
        for field in set(expected):
            line = f'cottage_feynman_snapshots_dropped_total{{reason="{field}"}} {float(expected.count(field))}'
            assert line in metrics
        refused = (await running.get("/status")).json()["refused"]
        assert refused["symbols"] == 12, "those that are symbols: the bad snapshots, and the key that is no hash"
        assert len(refused["first"]) == 10
        named = {name: field for name, (field, _fields) in bad.items()} | {"C1": "type"}
        assert {name: text.partition(":")[0] for name, text in refused["first"].items()}.items() <= named.items()
        assert refused["fields"] == {"price": 4, "timestamp": 3, "volume": 1, "trades": 1, "source": 2, "type": 1}
        assert refused["bad_names"]["names"] == 4
        assert refused["bad_names"]["first"]["A/B"].endswith("; use A-B")
        summary = await running.logged("snapshots_dropped")
        assert summary["reasons"] == refused["fields"] | {"symbol": 4}
        assert (summary["refused"], summary["symbols"]) == (16, 12)
        for gauge, number in (("symbols", 12), ("names", 4)):
            assert f"cottage_feynman_refused_{gauge} {float(number)}" in metrics
        # one that turns bad keeps its last state, one that turns good has one
        before = await client.get("physics:state:SPY")
        await client.hset("market:snapshot:SPY", "price", "nan")
        await client.hset("market:snapshot:A1", mapping=good | {"price": 5})
        await client.delete("market:snapshot:C1")
        await snapshot(client, "C1")
        await seen(client, "A1", price=5.0)
        await seen(client, "C1")
        await running.logged("snapshot_dropped", symbol="SPY")
        assert await client.get("physics:state:SPY") == before
        # what is right again, or gone, is told of no more
        for name in bad.keys() - {"A1", "A/B"}:
            await client.delete(f"market:snapshot:{name}")
        await client.delete(b"market:snapshot:\xff\xfe")

        async def left() -> bool:
            told = (await running.get("/status")).json()["refused"]
            return (list(told["first"]), list(told["bad_names"]["first"])) == (["SPY"], ["A/B"])

        await eventually(left)
        assert "cottage_feynman_refused_names 1.0" in (await running.get("/metrics")).text
        assert await running.stop() == 0


async def test_a_lease_of_another_type_is_replaced(redis_url: str, client: Client) -> None:
    await client.rpush(KEY, "a")
    await snapshot(client, "SPY")
    with library_events() as said:
        async with feynman(redis_url) as running:
            before = await seen(client, "SPY")
            await client.hset("elsewhere", "a", "b")
            await client.rename("elsewhere", KEY)  # in one step: a writer takes a lease that is free
            await newer(client, "SPY", before.version, epoch=True)
            assert running.not_ready() is None
    discarded = [(line["key"], line["holder"]) for line in said if line["event"] == "lease_discarded"]
    assert discarded == [(KEY, "a list"), (KEY, "a hash")]


async def test_a_forbidden_command_is_no_absent_snapshot(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url) as client:
        await client.execute_command("ACL", "SETUSER", "feynman", "on", ">secret", "~*", "&*", "+@all", "-hmget")
        await snapshot(client, "SPY")
        host = own_redis.url.removeprefix("redis://")
        async with feynman(f"redis://feynman:secret@{host}") as running:
            await eventually(lambda: "hmget" in (running.not_ready() or ""))
            await client.execute_command("ACL", "SETUSER", "feynman", "+hmget")
            await seen(client, "SPY")


# --- Symbols come and go ---


async def test_another_source_begins_a_new_window(redis_url: str, client: Client) -> None:
    async with feynman(redis_url):
        for price in (1.0, 2.0, 3.0):
            await snapshot(client, "SPY", price, source="simulate")
            state = await seen(client, "SPY", price=price)
        assert (state.samples, state.source) == (3, "simulate")
        await snapshot(client, "SPY", 4.0, source="live")
        state = await seen(client, "SPY", price=4.0)
        assert (state.samples, state.source) == (1, "live")


async def test_a_symbol_without_snapshots_is_given_up_and_comes_back(redis_url: str, client: Client) -> None:
    async with Channel(redis_url) as channel, feynman(redis_url, forget_seconds=0.2) as running:
        await snapshot(client, "SPY", 1.0)
        before = await seen(client, "SPY")
        await client.delete("market:snapshot:SPY")
        await eventually(lambda: running.status()["symbols"] == 0)
        assert await state_of(client, "SPY") == before
        await client.delete("physics:state:SPY")
        await ticks(4)
        assert await state_of(client, "SPY") is None  # it is no longer written
        await snapshot(client, "SPY", 2.0)
        after = await seen(client, "SPY", price=2.0)
        assert before.version is not None
        assert after.version is not None
        assert after.version.epoch == before.version.epoch
        assert after.version.seq > before.version.seq
        assert after.samples == 1
        await eventually(lambda: channel.versions("SPY") == [before.version, after.version])


# --- Its end ---


async def test_stopped_in_the_middle_of_a_tick(own_redis: OwnRedis) -> None:
    async with process(own_redis.url) as running, connect(own_redis.url) as client:
        await snapshot(client, "SPY")
        await seen(client, "SPY")
        own_redis.suspend()
        before = len(running.logs)
        status = await running.stop(timeout=8.0)  # the promise, whatever its peers do
        own_redis.resume()
        assert status == 0, running.logs[before:]


async def test_an_error_that_is_not_redis_ends_it_loudly(
    redis_url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = FeynmanService(settings_for(redis_url), SystemClock())

    def take(*_arguments: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(running._symbol_table, "take", take)
    with pytest.raises(ExceptionGroup) as raised:
        async with asyncio.timeout(8):
            await running.run(asyncio.Event())
    assert raised.value.subgroup(ZeroDivisionError)
    assert not raised.value.subgroup(RedisError)
    assert await client.get(KEY) is None


async def test_a_bad_url_is_one_line(redis_url: str) -> None:
    async with service("feynman", {"REDIS_URL": "redis://localhost:6379?nonsense=1"}) as running:
        assert await running.ended() == 2
        assert [line for line in running.logs if line["event"] == "failed"]
        assert "Traceback" not in running.report()


async def test_of_eighteen_refusals_of_one_symbol_each_field_is_told_and_then_all_are_counted(
    redis_url: str, client: Client
) -> None:
    """Each snapshot is another one, and comes while the one before it may not have been told yet."""
    values: dict[str, list[str]] = {
        "price": ["$450.32", "1,234.5", "-37.63", "450,32", "None"],
        "timestamp": ["1703174400250", "2023-12-21T16:00:00Z", "1703174400250000", "now"],
        "volume": ["89M", "-5", "1,000,000", "null", "nan"],
        "trades": ["x", "-1", "1.5K", "inf"],
    }
    async with process(redis_url) as running:
        await snapshot(client, "SPY", 1.0)
        await seen(client, "SPY", price=1.0)
        for field, texts in values.items():
            for text in texts:
                good: dict[Any, Any] = {"price": 100, "timestamp": await client.now(), "volume": 1, "trades": 1}
                before = await count_of(running, "cottage_feynman_snapshots_dropped_total")
                await client.hset("market:snapshot:SPY", mapping=good | {field: text})
                await eventually(partial(more_than, running, before))
        summary = await running.logged("snapshots_dropped", timeout=30)
        said = [(line["symbol"], line["reason"]) for line in running.logs if line["event"] == "snapshot_dropped"]
        assert said == [("SPY", field) for field in values]
        await running.stop()
    counts = [line["refused"] for line in running.logs if line["event"] == "snapshots_dropped"]
    assert summary["refused"] == sum(summary["reasons"].values()) == counts[0]
    assert sum(counts) == 18, "those of the end too"


async def count_of(running: Any, metric: str) -> float:
    text = (await running.get("/metrics")).text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(metric + "{"))


async def more_than(running: Any, before: float) -> bool:
    return await count_of(running, "cottage_feynman_snapshots_dropped_total") > before


async def test_refused_names_are_published_until_they_are_gone(redis_url: str, client: Client) -> None:
    async with Channel(redis_url) as channel, feynman(redis_url):
        await snapshot(client, "SPY")
        await seen(client, "SPY")
        assert channel.refusals() == []
        await client.hset("market:snapshot:brk/b", mapping={"price": 1, "timestamp": await client.now()})
        await client.hset("market:snapshot:QQQ", mapping={"price": "$1", "timestamp": await client.now()})

        def told(names: dict[str, str], symbols: list[str]) -> bool:
            last = [(each["bad_names"]["first"], list(each["first"])) for each in channel.refusals()[-1:]]
            return last == [(names, symbols)]

        rule = "1 to 32 of A-Z 0-9 . _ - and first a letter or digit"
        await eventually(lambda: told({"brk/b": f"bad symbol 'brk/b': {rule}; use BRK-B"}, ["QQQ"]))
        await client.delete("market:snapshot:brk/b", "market:snapshot:QQQ")
        await eventually(lambda: told({}, []))
        number = len(channel.refusals())
        for price in (2.0, 3.0):
            await snapshot(client, "SPY", price)
            await seen(client, "SPY", price=price)
        assert len(channel.refusals()) == number, "said once that there is none"
