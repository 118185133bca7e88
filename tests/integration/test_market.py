"""The market service as a real process on a real Redis."""

import contextlib
import gzip
import itertools
import signal
from pathlib import Path

import pytest

from cottage.keys import FEED_TTL_SECONDS, SNAPSHOT_TTL_SECONDS
from cottage.redis import Client, connect
from cottage.snapshot import MarketSnapshot
from cottage.store import MarketFeeds, MarketSnapshots
from services.market.simulate import DEFAULT_SYMBOLS, Simulation
from tests.clock_shim import ClockShim
from tests.one_kind import on_one_kind
from tests.support import OwnRedis, ServiceProcess, eventually, service

pytestmark = pytest.mark.usefixtures("no_debug")  # only the test itself runs in this process
pytest_generate_tests = on_one_kind

HEADER = "timestamp,symbol,price,size\n"


def recorded(folder: Path, rows: list[str]) -> str:
    path = folder / "trades.csv.gz"
    path.write_bytes(gzip.compress((HEADER + "\n".join(rows)).encode()))
    return str(path)


async def snapshot(client: Client, symbol: str) -> MarketSnapshot:
    """As soon as there is one."""
    found = await eventually(lambda: MarketSnapshots(client).get(symbol))
    assert found is not None
    return found


async def steps_seen(client: Client, symbol: str, wanted: int) -> list[MarketSnapshot]:
    """That many snapshots with different timestamps, one after the other."""
    seen: list[MarketSnapshot] = []
    for _ in range(wanted):

        async def newer() -> MarketSnapshot | None:
            now = await MarketSnapshots(client).get(symbol)
            return now if now is not None and (not seen or now.timestamp > seen[-1].timestamp) else None

        found = await eventually(newer)
        assert found is not None
        seen.append(found)
    return seen


async def test_simulate(redis_url: str, client: Client) -> None:
    env = {"REDIS_URL": redis_url, "MARKET_SEED": "3", "MARKET_INTERVAL_SECONDS": "0.2"}
    async with service("market", env) as market:
        await market.ready()
        seen = await steps_seen(client, "SPY", 5)
        assert await MarketSnapshots(client).symbols() == sorted(DEFAULT_SYMBOLS)
        assert 0 < await client.ttl("market:snapshot:SPY") <= SNAPSHOT_TTL_SECONDS
        assert {s.source for s in seen} == {"simulate"}
        assert abs(seen[-1].timestamp - await client.now()) < 5

        # The prices are the seed's, whichever of its steps were seen.
        simulation = Simulation(DEFAULT_SYMBOLS, 3, 0.2)
        expected = {(s.price, s.volume, s.trades) for _ in range(600) for s in simulation.step(0.0)[:1]}
        assert {(s.price, s.volume, s.trades) for s in seen} <= expected

        feeds = await MarketFeeds(client).alive()
        assert feeds["SIMULATE"]["source"] == "simulate"
        assert feeds["SIMULATE"]["symbols"] == list(DEFAULT_SYMBOLS)
        assert 0 < await client.ttl("market:feed:SIMULATE") <= FEED_TTL_SECONDS

        status = (await market.get("/status")).json()
        assert status["about"]["source"] == "simulate"
        assert status["writes"]["snapshots"] > 0
        assert status["redis"]["problem"] is None
        metrics = (await market.get("/metrics")).text
        assert "cottage_market_snapshots_written_total" in metrics
        assert "cottage_market_backlog_snapshots 0.0" in metrics

        assert await market.stop() == 0
        assert await MarketFeeds(client).alive() == {}, "a feed that stops says so"


async def test_replay_to_its_end(redis_url: str, client: Client, tmp_path: Path) -> None:
    rows = [f"2013-09-03T10:00:{i / 10:06.3f}Z,BTC/USD,{1000 + i % 7},2" for i in range(100)]
    rows[50:50] = ["2013-09-03T10:00:05Z,BTC/USD,ten,2", "2013-09-03T10:00:05Z,btc/usd,1000,2"]
    env = {
        "REDIS_URL": redis_url,
        "MARKET_SOURCE": "replay",
        "MARKET_FILE": recorded(tmp_path, rows),
        "MARKET_SPEED": "10",
        "MARKET_EXIT_AT_END": "true",
    }
    async with service("market", env) as market:
        await snapshot(client, "BTC-USD")
        feed = await eventually(lambda: MarketFeeds(client).alive())
        assert await market.ended() == 0
        finished = await market.logged("replay_finished")
    assert (finished["rows"], finished["used"], finished["bad"]) == (102, 100, {"price": 1, "native": 1})
    bad = [(line["line"], line["reason"]) for line in market.logs if line["event"] == "row_dropped"]
    assert bad == [(52, "price"), (53, "native")]

    last = await snapshot(client, "BTC-USD")
    assert (last.price, last.volume, last.trades, last.source) == (1000 + 99 % 7, 200.0, 100.0, "replay")
    assert last.native == "BTC/USD"
    assert (last.open, last.high, last.low) == (1000, 1006, 1000)
    about = feed["REPLAY"]
    recorded_time = about["recorded_from"] + (last.timestamp - about["started_at"]) * about["speed"]
    assert recorded_time == pytest.approx(1378202400 + 9.9, abs=1e-5)
    assert await MarketFeeds(client).alive() == {}


async def test_the_end_of_a_replay_is_said_and_the_service_stays(
    redis_url: str, client: Client, tmp_path: Path
) -> None:
    env = {
        "REDIS_URL": redis_url,
        "MARKET_SOURCE": "replay",
        "MARKET_FILE": recorded(tmp_path, ["100,ES,10,1", "100.3,ES,11,2"]),
        "MARKET_FEED_SECONDS": "1",
    }
    feeds = MarketFeeds(client)

    async def ended() -> float | None:
        return (await feeds.alive()).get("REPLAY", {}).get("ended_at")

    async def lives() -> bool:
        return "ended_at" not in (await feeds.alive()).get("REPLAY", {"ended_at": None})

    async with service("market", env) as market:
        await market.logged("replay_finished")
        assert (await market.logged("feed_ended"))["feed"] == "REPLAY"
        ended_at = await eventually(ended)
        assert ended_at is not None
        last = await snapshot(client, "ES")
        assert (last.price, last.volume) == (11.0, 3.0)
        assert last.timestamp <= ended_at <= await client.now()
        status = (await market.get("/status")).json()
        assert (status["state"], status["about"]["ended_at"]) == ("replay_finished", ended_at)
        await market.ready()

        # Its symbols and its ID are free for another feed, which takes them over though this one is there.
        again = {**env, "MARKET_FILE": recorded(tmp_path, [f"{i},ES,{100 + i},1" for i in range(1000)])}
        async with service("market", again) as another:
            await another.ready()
            await eventually(lives)
            assert (await another.get("/status")).json()["writes"]["refused"] == []
            assert await another.stop() == 0
        assert await market.stop() == 0
    assert "two_writers" not in {line["event"] for line in market.logs}


async def test_a_stop_in_the_middle_of_a_replay(redis_url: str, client: Client, tmp_path: Path) -> None:
    rows = [f"{1378202400 + i},ES,{1000 + i % 7},2" for i in range(10_000)]
    env = {"REDIS_URL": redis_url, "MARKET_SOURCE": "replay", "MARKET_FILE": recorded(tmp_path, rows)}
    async with service("market", env) as market:
        await snapshot(client, "ES")
        assert await market.stop() == 0
    assert "replay_finished" not in {line["event"] for line in market.logs}
    assert market.errors == []


async def test_a_replay_that_starts_over(redis_url: str, client: Client, tmp_path: Path) -> None:
    env = {
        "REDIS_URL": redis_url,
        "MARKET_SOURCE": "replay",
        "MARKET_FILE": recorded(tmp_path, ["100,ES,10,1", "100.3,ES,11,2"]),
        "MARKET_LOOP": "true",
    }
    async with service("market", env) as market:
        volumes = [s.volume or 0.0 for s in await steps_seen(client, "ES", 6)]
        await market.logged("replay_finished")
        status = (await market.get("/status")).json()
        assert (status["state"], status["about"].get("ended_at")) == ("running", None)
        assert await market.stop() == 0
    assert "feed_ended" not in {line["event"] for line in market.logs}
    # A slow look may miss one of them.
    assert set(volumes) == {1.0, 3.0}
    assert any(now < before for before, now in itertools.pairwise(volumes)), "a new session"


async def complaint_of(env: dict[str, str]) -> tuple[int, ServiceProcess]:
    async with service("market", env) as market:
        return await market.ended(), market


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", "empty"),
        (b"time,price\n1700000000,2\n", "SYMBOL=BTC-USD chooses"),
        (HEADER.encode() + b"1,ES,ten,1\n", "no usable row (1 refused for their price in lines 2)"),
        (b"\x89PNG\r\n\x1a\n", "is no text"),
        (gzip.compress(b"".join(b"%d,ES,%d.25,1\n" % (i, i * i % 977) for i in range(1, 5000)))[:-20], "cut short"),
    ],
)
async def test_a_file_that_cannot_be_replayed_is_one_clear_line(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "trades.csv"
    if content is not None:
        path.write_bytes(content)
    # Said before Redis is waited for: there is none at this port.
    env = {"REDIS_URL": "redis://127.0.0.1:1", "MARKET_SOURCE": "replay", "MARKET_FILE": str(path)}
    status, market = await complaint_of(env)
    assert status == 2, "nobody has to try that again"
    (failed,) = [line for line in market.logs if line["level"] == "error"]
    assert words in failed["error"]
    assert "trades.csv" in failed["error"]
    assert market.errors == market.text == []


async def test_live_is_refused_in_one_line() -> None:
    status, market = await complaint_of({"MARKET_SOURCE": "live"})
    assert status == 2
    (line,) = market.errors
    assert "MARKET_SOURCE" in line
    assert "later version" in line


async def test_redis_comes_goes_and_comes_back(own_redis: OwnRedis) -> None:
    own_redis.kill()
    env = {"REDIS_URL": own_redis.url, "MARKET_INTERVAL_SECONDS": "0.05"}
    async with service("market", env) as market:
        # Not there yet at the start.
        await market.logged("redis_lost")
        assert (await market.get("/readyz")).status_code == 503
        assert (await market.get("/healthz")).status_code == 200
        own_redis.start()
        await market.ready()

        # Gone for a while: said once, and the newest is written when it is back.
        own_redis.kill()

        async def is_unready() -> bool:
            return (await market.get("/readyz")).status_code == 503

        await eventually(is_unready)
        steps = (await market.get("/status")).json()["progress"]["steps"]

        async def has_gone_on() -> bool:
            return bool((await market.get("/status")).json()["progress"]["steps"] > steps + 20)

        await eventually(has_gone_on)
        waiting = (await market.get("/status")).json()["writes"]["waiting"]
        assert waiting <= len(DEFAULT_SYMBOLS), "the newest of each symbol, whatever happens"
        own_redis.start()
        await market.ready()
        async with connect(own_redis.url) as client:
            assert abs((await snapshot(client, "SPY")).timestamp - await client.now()) < 5
        assert await market.stop() == 0
    events = [line["event"] for line in market.logs]
    assert events.count("redis_lost") == events.count("redis_back") == 2
    assert not [line for line in market.logs if line["level"] == "error"]


@pytest.mark.parametrize("condition", ["dead", "hung"])
async def test_it_stops_in_time_whatever_redis_does(own_redis: OwnRedis, condition: str) -> None:
    async with service("market", {"REDIS_URL": own_redis.url, "MARKET_INTERVAL_SECONDS": "0.05"}) as market:
        await market.ready()
        if condition == "dead":
            own_redis.kill()
        else:
            own_redis.suspend()
        market.signal(signal.SIGTERM)
        assert await market.ended(timeout=8.0) == 0
        if condition == "hung":
            own_redis.resume()
    assert "drain_deadline_passed" not in {line["event"] for line in market.logs}


async def test_a_wrong_password_is_said_at_once_and_tried_slowly(own_redis: OwnRedis) -> None:
    own_redis.restart("--requirepass", "secret")
    async with service("market", {"REDIS_URL": f"redis://:wrong@127.0.0.1:{own_redis.port}"}) as market:
        failed = await market.logged("redis_lost")
        assert "password" in failed["error"].lower()
        async with connect(f"redis://:secret@127.0.0.1:{own_redis.port}") as client:
            await client.config_set("requirepass", "wrong")
        await market.ready()
    assert "wrong@" not in market.report()
    assert len([line for line in market.logs if line["event"] == "redis_lost"]) == 1


async def test_a_key_that_somebody_made_of_another_type_costs_its_own_symbol_only(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url) as client:
        await client.set("market:snapshot:AAPL", "no hash")
        async with service("market", {"REDIS_URL": own_redis.url, "MARKET_INTERVAL_SECONDS": "0.1"}) as market:
            line = await market.logged("wrong_type")
            assert (line["by"], line["symbols"], line["first"]) == ("market:snapshot:AAPL", 1, ["AAPL"])
            await market.ready()
            await steps_seen(client, "SPY", 3)
            (told,) = (await market.get("/status")).json()["writes"]["refused"]
            assert (told["reason"], told["first"]) == ("type", ["AAPL"])
            assert 'cottage_market_snapshots_refused_total{reason="type"}' in (await market.get("/metrics")).text
            await client.delete("market:snapshot:AAPL")
            await steps_seen(client, "AAPL", 2)
            await market.logged("refusal_ended")
            assert await market.stop() == 0
    assert "redis_lost" not in {line["event"] for line in market.logs}


async def test_an_announcement_whose_key_is_of_another_type_is_replaced(own_redis: OwnRedis) -> None:
    env = {"REDIS_URL": own_redis.url, "MARKET_INTERVAL_SECONDS": "0.1", "MARKET_FEED_SECONDS": "1"}
    async with connect(own_redis.url) as client:
        await client.lpush("market:feed:SIMULATE", "no string")
        async with service("market", env) as market:
            await market.logged("lease_discarded", key="market:feed:SIMULATE", holder="a list")
            await eventually(MarketFeeds(client).alive)
            await client.sadd("elsewhere", "again")
            await client.rename("elsewhere", "market:feed:SIMULATE")  # in one step: the market announces it anew
            await market.logged("lease_discarded", key="market:feed:SIMULATE", holder="a set")
            await client.set("market:feed:SIMULATE", "a stranger's word")
            await market.logged("lease_discarded", key="market:feed:SIMULATE", holder='b"a stranger\'s word"')
            await eventually(MarketFeeds(client).alive)
            await steps_seen(client, "SPY", 3)
            assert await market.stop() == 0
    assert "redis_lost" not in {line["event"] for line in market.logs}


# --- two writers ---


async def test_of_two_processes_one_writes_and_the_other_takes_its_place(redis_url: str, client: Client) -> None:
    env = {"REDIS_URL": redis_url, "MARKET_INTERVAL_SECONDS": "0.1", "MARKET_FEED_SECONDS": "2"}
    async with contextlib.AsyncExitStack() as stack:
        writer = await stack.enter_async_context(service("market", env))
        await writer.ready()
        await eventually(lambda: client.exists("market:feed:SIMULATE"))
        waiting = await stack.enter_async_context(service("market", {**env, "MARKET_SEED": "5"}))
        first = await snapshot(client, "SPY")
        said = [await waiting.logged("two_writers", reason=reason) for reason in ("owned", "id")]
        assert all(f":{writer.pid}:" in line["by"] for line in said)
        assert (said[0]["symbols"], said[1]["first"]) == (9, ["SIMULATE"])
        status = (await waiting.get("/status")).json()
        assert {pair["reason"] for pair in status["writes"]["refused"]} == {"owned", "id"}
        assert "belong to others" in (await waiting.get("/readyz")).text
        assert 'refused_total{reason="owned"}' in (await waiting.get("/metrics")).text
        rival = await client.hget("market:snapshot:SPY", "rival")
        assert f":{waiting.pid}:".encode() in (rival or b"")

        # The prices are one walk: nothing of the other's is among them.
        seen = await steps_seen(client, "SPY", 10)
        volumes = [one.volume or 0.0 for one in [first, *seen]]
        assert volumes == sorted(volumes)

        writer.signal(signal.SIGKILL)
        await waiting.logged("refusal_ended", reason="owned")
        await waiting.logged("refusal_ended", reason="id")
        await waiting.ready()
        owner, rival = await client.hmget("market:snapshot:SPY", ["owner", "rival"])
        assert (f":{waiting.pid}:".encode() in (owner or b""), rival) == (True, None)
        assert (await waiting.get("/status")).json()["writes"]["refused"] == []
        assert len([line for line in waiting.logs if line["event"] == "two_writers"]) == 2, "once a pair"

        assert await waiting.stop() == 0
        assert await client.hmget("market:snapshot:SPY", ["owner", "feed"]) == [None, b"SIMULATE"]


async def test_the_successor_of_a_killed_process_writes_at_once(redis_url: str, client: Client) -> None:
    env = {"REDIS_URL": redis_url, "MARKET_INTERVAL_SECONDS": "0.1", "MARKET_FEED_SECONDS": "50"}
    async with service("market", env) as writer:
        await writer.ready()
        await eventually(lambda: client.exists("market:feed:SIMULATE"))
        await writer.kill()
        async with service("market", env) as successor:
            gone = await successor.logged("lease_discarded", key="market:feed:SIMULATE")
            assert gone["reason"] == "its process has ended"
            await successor.ready()
            owners = [await client.hget(key, "owner") or b"" for key in await client.keys("market:snapshot:*")]
            assert all(f":{successor.pid}:".encode() in owner for owner in owners)
            assert await successor.stop() == 0
    assert "two_writers" not in {line["event"] for line in successor.logs}


async def test_somebody_writes_one_of_the_simulated_symbols_by_hset(redis_url: str, client: Client) -> None:
    """As README says it, beside `make run`."""
    async with service("market", {"REDIS_URL": redis_url, "MARKET_INTERVAL_SECONDS": "0.05"}) as market:
        await steps_seen(client, "SPY", 2)
        words = "HSET market:snapshot:SPY price 450.32 volume 89234567 timestamp 1703174400.25 source myfeed"
        await client.execute_command(*words.split())
        said = await market.logged("two_writers")
        assert (said["by"], said["reason"], said["first"]) == ("myfeed", "stranger", ["SPY"])
        await steps_seen(client, "QQQ", 3)
        kept = await snapshot(client, "SPY")
        assert kept == MarketSnapshot("SPY", 450.32, 1703174400.25, 89234567.0, None, "myfeed"), "nothing of ours"
        assert b"SIMULATE" in (await client.hget("market:snapshot:SPY", "rival") or b"")
        # A minute later.
        await client.hset("market:snapshot:SPY", "owned_until", "1")
        await market.logged("refusal_ended")
        assert (await snapshot(client, "SPY")).source == "simulate"
        assert await client.hget("market:snapshot:SPY", "rival") is None


# --- Redis's clock is set ---


@pytest.mark.parametrize("step", [-3600.0, 3600.0, -5.0])
async def test_a_simulation_is_stamped_by_redis_clock_whatever_happens_to_it(
    step: float, stepped_redis: OwnRedis, tmp_path: Path, clock_shim: ClockShim
) -> None:
    env = {"MARKET_INTERVAL_SECONDS": "0.1", **ClockShim(tmp_path).environment()}  # it has a clock of its own
    url = stepped_redis.url
    clock_shim.step(7 * 86_400)
    async with connect(url) as client, service("market", {**env, "REDIS_URL": url}) as market:
        assert abs((await snapshot(client, "SPY")).timestamp - await client.now()) < 5
        clock_shim.step(step)
        said = await market.logged("clock_stepped")
        assert (said["of"], said["seconds"]) == ("redis", pytest.approx(step, abs=3))

        async def follows() -> bool:
            (stamp,) = await client.hmget("market:snapshot:SPY", ["timestamp"])
            return stamp is not None and abs(float(stamp) - await client.now()) < 2

        await eventually(follows)
        assert await market.stop() == 0
    assert len([line for line in market.logs if line["event"] == "clock_stepped"]) == 1


async def test_the_mapping_of_a_replay_moves_with_redis_clock_and_stays_exact(
    stepped_redis: OwnRedis, tmp_path: Path, clock_shim: ClockShim
) -> None:
    rows = [f"{1378202400 + i / 10:.1f},ES,{1000 + i},1" for i in range(10_000)]
    url = stepped_redis.url
    env = {"REDIS_URL": url, "MARKET_SOURCE": "replay", "MARKET_FILE": recorded(tmp_path, rows)}
    async with connect(url) as client, service("market", env) as market:
        before = (await snapshot(client, "ES")).timestamp
        clock_shim.step(-3600)
        moved = await market.logged("replay_moved")
        assert moved["milliseconds"] == pytest.approx(-3_600_000, abs=30_000)

        async def mapped() -> list[float]:
            texts = await client.hmget("market:snapshot:ES", ["price", "timestamp"])
            found = [float(text or "nan") for text in texts]
            return found if found[1] < before - 3000 else []

        price, timestamp = await eventually(mapped)
        row = 1378202400 + (price - 1000) / 10  # the price is the row's number
        about = (await market.get("/status")).json()["about"]
        recorded_time = about["recorded_from"] + (timestamp - about["started_at"]) * about["speed"]
        assert recorded_time == pytest.approx(row, abs=1e-5)
        assert await market.stop() == 0
