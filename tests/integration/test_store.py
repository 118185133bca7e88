"""Every structure of the specification and both channels, on real servers."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from cottage import keys
from cottage.errors import InvalidMessage, InvalidName, RedisError, RedisUnavailable
from cottage.events import Event
from cottage.messages import TradeSignal, parse_state_update, parse_trade_signal
from cottage.process_name import process_name
from cottage.redis import Client, connect, subscribe
from cottage.snapshot import MOST_FILL, SAMPLE_FIELDS, MarketSnapshot
from cottage.state import PhysicsState
from cottage.store import (
    AgentStates,
    MarketFeeds,
    MarketSnapshots,
    PhysicsStates,
    StrategyLeaderboard,
    TaskQueue,
    batches,
    publish_agent_update,
    publish_trade_signal,
    scan,
    scan_pages,
)
from cottage.version import Version
from tests.support import OwnRedis, eventually, heard

STATE = PhysicsState(
    0.42, 1.23, 0.15, 0.08, 0.05, "Gaussian", 2.8, timestamp="2025-12-21T12:00:00.000Z", version=Version(7, 1)
)
AS_PRINTED = (
    b'{"mass": 0.42, "momentum": 1.23, "friction": 0.15, "entropy": 0.08, "nash_dist": 0.05,'
    b' "regime": "Gaussian", "alpha_coefficient": 2.8}'
)


class Complaints(list[tuple[str, str]]):
    """An OnBad that keeps (name, reason)."""

    def __call__(self, name: str, error: InvalidMessage) -> None:
        self.append((name, error.reason))


async def lifetime(client: Client, key: str) -> int:
    """The key's seconds to live, -1 without end, -2 where there is no key."""
    return int(await client.ttl(key))


# --- physics:state:{SYMBOL} ---


async def test_a_state_is_read_as_it_was_written(client: Client) -> None:
    states = PhysicsStates(client)
    assert await states.get("SPY") is None
    await client.set("physics:state:SPY", STATE.to_bytes())
    assert await states.get("SPY") == STATE
    assert await lifetime(client, "physics:state:SPY") == -1


async def test_a_state_as_the_specification_prints_it_is_read(client: Client) -> None:
    await client.set("physics:state:SPY", AS_PRINTED)
    assert await PhysicsStates(client).get("SPY") == PhysicsState(0.42, 1.23, 0.15, 0.08, 0.05, "Gaussian", 2.8)


async def test_many_states_leave_out_what_is_missing_and_name_what_is_bad(client: Client) -> None:
    await client.mset({"physics:state:A": STATE.to_bytes(), "physics:state:B": b"{", "physics:state:D": b"[]"})
    await client.lpush("physics:state:E", "of another type")
    bad = Complaints()
    assert await PhysicsStates(client).many(["A", "B", "C", "D", "E"], bad) == {"A": STATE}
    assert bad == [("B", "json"), ("D", "object"), ("E", "type")]
    with pytest.raises(InvalidMessage):
        await PhysicsStates(client).get("B")


async def test_a_key_of_a_wrong_type_is_named_and_no_other_suffers(client: Client) -> None:
    for key in ("physics:state:L", "market:feed:L", "agent:state:l"):
        await client.lpush(key, "a list")
    await client.set("market:snapshot:L", "text")
    await client.set("physics:state:S", STATE.to_bytes())
    await MarketFeeds(client).announce("F", {"source": "f"})
    bad = Complaints()
    assert await PhysicsStates(client).all(bad) == {"S": STATE}
    assert list(await MarketFeeds(client).alive(bad)) == ["F"]
    assert bad == [("L", "type"), ("L", "type")]
    for key, read in (
        ("physics:state:L is no string", PhysicsStates(client).get("L")),
        ("market:snapshot:L is no hash", MarketSnapshots(client).get("L")),
        ("agent:state:l is no string", AgentStates(client).get("l")),
    ):
        with pytest.raises(InvalidMessage, match=key):
            await read


async def test_a_flood_of_names_is_read_up_to_a_bound(client: Client) -> None:
    await client.mset({f"physics:state:F{number:04}": b"{}" for number in range(3000)})
    assert await scan(client, keys.PHYSICS_STATE, most=10) == [f"F{number:04}" for number in range(10)]
    pages = [page async for page in scan_pages(client, keys.PHYSICS_STATE)]
    assert max(map(len, pages)) < 3000, "not all in memory at once"
    assert {name for page in pages for name in page} == {f"F{number:04}" for number in range(3000)}


async def test_all_states_are_found_whatever_their_number(client: Client) -> None:
    names = [f"S{number}" for number in range(2345)]
    await client.mset({f"physics:state:{name}": STATE.to_bytes() for name in names})
    await client.mset({"physics:state:spy": STATE.to_bytes(), "physics:state:A/B": STATE.to_bytes(), "physics:s": 1})
    await client.set(b"physics:state:\xff", STATE.to_bytes())
    bad = Complaints()
    found = await PhysicsStates(client).all(bad)
    assert found == dict.fromkeys(sorted(names), STATE)
    assert sorted(bad) == [("A/B", "symbol"), ("spy", "symbol"), ("\N{REPLACEMENT CHARACTER}", "symbol")]


@pytest.mark.parametrize("name", ["", "Spy", "A/B", "A B", "*", "A:B", "A" * 33, "SPY\n", None])
async def test_a_bad_name_is_refused_before_any_command(name: Any) -> None:
    # Nothing listens there: only a command that is not sent can fail with another error.
    async with connect("redis://127.0.0.1:1") as nowhere:
        with pytest.raises(RedisUnavailable):
            await PhysicsStates(nowhere).get("SPY")
        for call in (
            PhysicsStates(nowhere).get(name),
            PhysicsStates(nowhere).many(["SPY", name]),
            MarketSnapshots(nowhere).get(name),
            MarketSnapshots(nowhere).samples([name]),
            MarketFeeds(nowhere).announce(name, {}),
            AgentStates(nowhere).get(name),
            AgentStates(nowhere).set(name, {}),
            publish_agent_update(nowhere, name, "2025-12-21T12:00:00Z", {}),
            publish_trade_signal(nowhere, TradeSignal(name, "2025-12-21T12:00:00Z", "1", "BUY", 0.7, "Kalman")),
        ):
            with pytest.raises(InvalidName, match="bad"):
                await call


# --- market:snapshot:{SYMBOL} ---


async def test_a_feed_writes_symbols_as_its_venue_spells_them(client: Client) -> None:
    snapshots, now = MarketSnapshots(client), await client.now()
    natives = {"BTC/USDT:USDT": "BTC-USDT_USDT", "^GSPC": "I_GSPC", "spy": "SPY", " QQQ ": "QQQ", "ES1!": "ES1_21"}
    assert await snapshots.write([MarketSnapshot(native, 1.0, now) for native in natives]) == {}
    for native, symbol in natives.items():
        stored = await snapshots.get(symbol)
        assert stored is not None
        assert (stored.symbol, stored.native) == (symbol, None if native == " QQQ " else native)
    assert await client.hget("market:snapshot:QQQ", "native") is None


async def test_a_symbol_that_a_stranger_took_is_refused_to_a_write_and_a_renewal_at_once(client: Client) -> None:
    snapshots, now = MarketSnapshots(client, lifetime=0.02), await client.now()
    await snapshots.write([MarketSnapshot("A", 100.0, now, source="mine")])
    await asyncio.sleep(0.05)
    await client.hset(keys.market_snapshot("A"), mapping={"price": 7.5, "source": "theirs"})
    refused, _ = await asyncio.gather(
        snapshots.write([MarketSnapshot("A", 101.0, now + 1, source="mine")]), snapshots.renew()
    )
    assert refused["A"].reason == "stranger"


async def test_a_name_of_which_no_symbol_can_be_made_costs_its_own_snapshot_only(client: Client) -> None:
    snapshots, now = MarketSnapshots(client), await client.now()
    names: Any = ["", "A" * 65, "A\nB", None]
    refused = await snapshots.write([MarketSnapshot(name, 1.0, now) for name in [*names, "SPY"]])
    assert [(name, refusal.reason) for name, refusal in refused.items()] == [(name, "name") for name in names]
    assert await snapshots.symbols() == ["SPY"]


async def test_a_snapshot_is_a_hash_that_lives_a_minute(client: Client) -> None:
    snapshots = MarketSnapshots(client)
    now = await client.now()
    written = MarketSnapshot("SPY", 450.32, now, 89234567.0, 12.0, "live", bid=450.31, ask=450.33)
    await snapshots.write([written])
    assert await client.type("market:snapshot:SPY") == b"hash"
    fields = await client.hgetall("market:snapshot:SPY")
    assert {name: fields[name] for name in (b"price", b"bid", b"ask")} == {
        b"price": b"450.32",
        b"bid": b"450.31",
        b"ask": b"450.33",
    }
    assert float(fields[b"timestamp"]) == now
    assert 55 < await lifetime(client, "market:snapshot:SPY") <= 60
    assert await snapshots.get("SPY") == written
    assert await snapshots.get("QQQ") is None


async def test_every_write_renews_the_minute(client: Client) -> None:
    snapshots = MarketSnapshots(client)
    await snapshots.write([MarketSnapshot("SPY", 1.0, 1.0)])
    await client.expire("market:snapshot:SPY", 5)
    await snapshots.write([MarketSnapshot("SPY", 2.0, 2.0)])
    assert 55 < await lifetime(client, "market:snapshot:SPY") <= 60


@asynccontextmanager
async def cut_after(sent: int, url: str) -> AsyncIterator[str]:
    """A proxy's URL: it passes so many bytes on to the server, and then ends both connections."""
    parts = urlsplit(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_connection(parts.hostname, parts.port)

        async def replies() -> None:
            while data := await from_redis.read(2**16):
                writer.write(data)

        answering = asyncio.create_task(replies())
        left = sent
        while left and (data := await reader.read(left)):
            to_redis.write(data)
            left -= len(data)
        for each in (to_redis, writer):
            each.close()
            with contextlib.suppress(OSError):
                await each.wait_closed()
        await answering

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("sent", [30, 200, 300, 400, 500, 700, 1_000, 2_000, 10_000, 19_000])
async def test_a_connection_cut_anywhere_leaves_no_snapshot_without_an_end(
    client: Client, redis_url: str, sent: int
) -> None:
    many = [MarketSnapshot(f"S{number}", 1.0, 1.0) for number in range(300)]
    async with cut_after(sent, redis_url) as proxy, connect(proxy) as cut:
        with pytest.raises(RedisUnavailable):
            await MarketSnapshots(cut).write(many)
    found = [key async for key in client.scan_iter(match="market:snapshot:*", count=1000)]
    assert len(found) in (0, 250)  # a transaction, or nothing of it
    for key in found:
        assert 0 < await client.ttl(key) <= 60


async def test_a_snapshot_as_the_specification_prints_it_is_read(client: Client) -> None:
    words = "HSET market:snapshot:SPY price 450.32 volume 89234567 bid 450.31 ask 450.33 timestamp 1703174400"
    await client.execute_command(*words.split())
    assert await MarketSnapshots(client).get("SPY") == MarketSnapshot(
        "SPY", 450.32, 1703174400.0, 89234567.0, None, "unknown", bid=450.31, ask=450.33
    )


async def test_whatever_the_feed_no_longer_gives_is_gone(client: Client) -> None:
    """Or the volume of the sample before would be taken for this one's."""
    snapshots = MarketSnapshots(client)
    known = MarketSnapshot("SPY", 1.0, 1.0, 10.0, 2.0, bid=0.9, ask=1.1, session="one", notes=("auction",))
    known = replace(known, event_time=1381143600.25, interval=60.0, tick=0.25)
    await snapshots.write([known])
    assert await snapshots.get("SPY") == known
    for at in (2.0, 3.0):
        await snapshots.write([MarketSnapshot("SPY", 1.0, at)])
        assert await snapshots.get("SPY") == MarketSnapshot("SPY", 1.0, at)
    await snapshots.write([known])
    assert await snapshots.get("SPY") == known


async def test_a_doubtful_quote_is_not_written_and_counted(client: Client) -> None:
    snapshots = MarketSnapshots(client)
    quotes: list[tuple[float, float]] = [(0.9, 1.1), (-5.0, 1.1), (1.2, 1.1), (0.01, 200_000.0)]
    for second, (bid, ask) in enumerate(quotes):
        await snapshots.write([MarketSnapshot("SPY", 1.0, float(second), bid=bid, ask=ask)])
    assert await snapshots.get("SPY") == MarketSnapshot("SPY", 1.0, 3.0)
    assert snapshots.doubtful == {"bid": 3, "ask": 2}


async def test_a_quote_that_the_feed_no_longer_gives_is_gone(client: Client) -> None:
    snapshots = MarketSnapshots(client)
    await snapshots.write([MarketSnapshot("SPY", 1.0, 1.0, bid=0.9, ask=1.1)])
    await snapshots.write([MarketSnapshot("SPY", 1.0, 2.0, bid=0.9)])
    assert await snapshots.get("SPY") == MarketSnapshot("SPY", 1.0, 2.0, bid=0.9)
    await snapshots.write([MarketSnapshot("SPY", 1.0, 3.0, ask=1.1)])
    assert await snapshots.get("SPY") == MarketSnapshot("SPY", 1.0, 3.0, ask=1.1)
    whole = MarketSnapshot("SPY", 1.0, 4.0, bid=0.9, ask=1.1, open=1.0, high=1.2, low=0.8)
    await snapshots.write([whole])
    assert await snapshots.get("SPY") == whole
    await snapshots.write([MarketSnapshot("SPY", 1.0, 5.0, ask=1.1)])
    assert await snapshots.get("SPY") == MarketSnapshot("SPY", 1.0, 5.0, ask=1.1)


async def test_a_hostile_snapshot_is_refused_by_the_fields_name(client: Client) -> None:
    await client.hset("market:snapshot:SPY", mapping={"price": "-1", "timestamp": "1"})
    with pytest.raises(InvalidMessage) as refusal:
        await MarketSnapshots(client).get("SPY")
    assert refusal.value.reason == "price"


async def test_a_timestamp_ahead_of_the_servers_clock_is_refused(client: Client) -> None:
    now = await client.now()
    await client.hset("market:snapshot:SPY", mapping={"price": "1", "timestamp": str(now + 120)})
    with pytest.raises(InvalidMessage) as refusal:
        await MarketSnapshots(client).get("SPY")
    assert refusal.value.reason == "timestamp"


async def test_samples_come_in_the_order_asked_for(client: Client) -> None:
    snapshots = MarketSnapshots(client)
    many = [MarketSnapshot(f"S{number}", number + 1.0, 7.0, source="replay") for number in range(1234)]
    await snapshots.write(many)
    await client.set("market:snapshot:TEXT", "of another type")
    rows = await snapshots.samples(["GONE", "TEXT", *(each.symbol for each in reversed(many))])
    gone, text, first, *_ = rows
    assert gone == (None,) * len(SAMPLE_FIELDS)
    assert isinstance(text, InvalidMessage)
    assert text.reason == "type"
    prices = [float(row[0] or b"nan") for row in rows[2:] if isinstance(row, tuple)]
    assert prices == [each.price for each in reversed(many)]
    assert first == (b"1234.0", b"7.0", None, None, b"replay", *[None] * 12)
    assert await snapshots.symbols() == sorted(["TEXT", *(each.symbol for each in many)])


async def test_each_snapshot_has_its_event_time(client: Client) -> None:
    snapshots = MarketSnapshots(client)
    for second in (1.0, 2.0):
        await snapshots.write([MarketSnapshot("SPY", 1.0, second, event_time=second + 0.5, tick=0.01)])
        (row,) = await snapshots.samples(["SPY"])
        assert isinstance(row, tuple)
        said = dict(zip(SAMPLE_FIELDS, row, strict=True))
        told = said["event_time"], said["tick"], said["interval"]
        assert told == (str(second + 0.5).encode(), b"0.01", None)


@pytest.mark.parametrize("field", ["price", "timestamp", "volume", "trades"])
async def test_a_hash_of_which_a_stranger_has_written_a_field_is_no_sample(client: Client, field: str) -> None:
    now = await client.now()
    snapshots = MarketSnapshots(client, "SIM")
    ours = [MarketSnapshot(name, 450.0, now, 1000.0, source="simulate") for name in ("SPY", "QQQ")]
    await snapshots.write(ours)
    await client.hset("market:snapshot:SPY", field, str(now - 1.0))
    spy, qqq = await snapshots.samples(["SPY", "QQQ"])
    assert isinstance(spy, InvalidMessage)
    assert spy.reason == "owner"
    assert spy.detail == "somebody has written some fields of market:snapshot:SPY over those of its feed"
    assert isinstance(qqq, tuple)
    assert (await snapshots.write(ours))["SPY"].reason == "stranger"
    (left,) = await snapshots.samples(["SPY"])
    assert isinstance(left, tuple)
    assert dict(zip(SAMPLE_FIELDS, left, strict=True))[field] == str(now - 1.0).encode()
    assert left.count(None) == len(SAMPLE_FIELDS) - 2, "that field, and the rival"


async def test_what_a_stranger_writes_over_a_dead_feed_s_is_not_that_feed_s(client: Client) -> None:
    now = await client.now()
    await MarketSnapshots(client, "SIM", 0.01).write([MarketSnapshot("SPY", 450.0, now, source="simulate")])
    await asyncio.sleep(0.02)
    (ours,) = await MarketSnapshots(client).samples(["SPY"])
    await client.hset("market:snapshot:SPY", mapping={"price": "1.5", "timestamp": str(now + 1)})
    (theirs,) = await MarketSnapshots(client).samples(["SPY"])
    feed = SAMPLE_FIELDS.index("feed")
    assert isinstance(ours, tuple)
    assert isinstance(theirs, tuple)
    assert (ours[feed], theirs[0], theirs[feed]) == (b"SIM", b"1.5", None)


async def test_a_snapshot_that_redis_did_not_take_is_written_whole_next_time(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url) as client:
        snapshots = MarketSnapshots(client)
        await client.hset("market:snapshot:SPY", mapping={"bid": "1"})  # left by an earlier feed
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", "1")
        with pytest.raises(RedisError):
            await snapshots.write([MarketSnapshot("SPY", 1.0, 1.0)])
        await client.config_set("maxmemory", "0")
        await snapshots.write([MarketSnapshot("SPY", 1.0, 1.0)])
        assert await snapshots.get("SPY") == MarketSnapshot("SPY", 1.0, 1.0)


# --- market:feed:{ID} ---


def sampled(*prices: float, session: str = "one") -> MarketSnapshot:
    """A snapshot of the last price, and of the others as the samples before it; each a second of event time later."""
    *fill, newest = [
        MarketSnapshot("SPY", price, 1000.0 + price, price, source="replay", session=session, event_time=price)
        for price in prices
    ]
    return replace(newest, fill=tuple(fill))


async def number_of(client: Client) -> int:
    """The number of the snapshot's sample."""
    (row,) = await MarketSnapshots(client).samples(["SPY"])
    assert isinstance(row, tuple)
    return int(dict(zip(SAMPLE_FIELDS, row, strict=True))["fill"] or b"0")


async def handed_over(client: Client, wanted: int = 1000) -> list[tuple[int, float]]:
    """Which samples can be taken: their numbers, counted from that of the snapshot, and their event times."""
    found = await MarketSnapshots(client).fills({"SPY": wanted})
    elements = [orjson.loads(element) for element in found["SPY"]]
    newest = await number_of(client)
    return [(element["fill"] - newest, element["event_time"]) for element in elements]


async def test_samples_that_one_snapshot_cannot_hold_are_handed_over_in_order(client: Client) -> None:
    snapshots = MarketSnapshots(client, "REPLAY")
    await snapshots.write([sampled(1), MarketSnapshot("QQQ", 1.0, 1.0)])
    await snapshots.write([sampled(2, 3, 4)])
    assert await handed_over(client) == [(-3, 1.0), (-2, 2.0), (-1, 3.0), (0, 4.0)]
    first, *_others = await client.lrange("market:fill:SPY", 0, -1)
    assert orjson.loads(first).keys() == {"fill", "price", "timestamp", "volume", "event_time", "session"}
    assert 0 < await client.ttl("market:fill:SPY") <= 60
    assert await client.exists("market:fill:QQQ") == 0
    assert await snapshots.fills({"QQQ": 3}) == {"QQQ": []}
    assert await snapshots.get("SPY") == replace(sampled(4), fill=None)


async def test_several_snapshots_of_one_symbol_in_one_write_are_samples_too(client: Client) -> None:
    await MarketSnapshots(client).write([sampled(1), sampled(2, 3), sampled(4)])
    assert [at for _number, at in await handed_over(client)] == [1.0, 2.0, 3.0, 4.0]


async def test_a_feed_that_counts_by_itself_leaves_out_the_numbers_of_what_is_lost(client: Client) -> None:
    def numbered(*numbers: int) -> MarketSnapshot:
        newest = sampled(*numbers)
        return replace(
            newest, number=numbers[-1], fill=tuple(replace(e, number=int(e.price)) for e in newest.fill or ())
        )

    snapshots = MarketSnapshots(client)
    await snapshots.write([numbered(1)])
    await snapshots.write([numbered(3, 4)])
    await snapshots.write([sampled(5)])
    assert await number_of(client) == 5
    assert await handed_over(client) == [(-4, 1.0), (-2, 3.0), (-1, 4.0), (0, 5.0)]
    await snapshots.write([numbered(1)])
    assert await number_of(client) == 1


async def test_what_is_handed_over_is_bounded(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("cottage.store.monotonic", lambda: now)
    snapshots = MarketSnapshots(client)
    for second in range(30):
        now += 1.0
        await snapshots.write([sampled(2 * second, 2 * second + 1)])
    assert await client.llen("market:fill:SPY") == 12 + 16, "those of five seconds, and some more"
    for first in range(0, 4 * MOST_FILL, MOST_FILL):
        await snapshots.write([sampled(*range(first, first + MOST_FILL))])
    assert await client.llen("market:fill:SPY") == 2 * MOST_FILL
    newest = await number_of(client)
    (found,) = (await snapshots.fills({"SPY": 10})).values()
    assert [orjson.loads(element)["fill"] for element in found[-11:]] == list(range(newest - 10, newest + 1))


async def test_samples_of_two_writers_do_not_follow_one_another(client: Client) -> None:
    """So nobody takes what a writer handed over that was then refused, or what was handed over to its predecessor."""
    ours, theirs = MarketSnapshots(client, "OURS"), MarketSnapshots(client, "THEIRS")
    await ours.write([sampled(1)])
    refused = await theirs.write([sampled(70, 71)])
    assert refused["SPY"].reason == "owned"
    await theirs.write([sampled(72, 73)])
    await ours.write([sampled(2, 3)])
    found = await handed_over(client)
    assert [pair for pair in found if abs(pair[0]) < 10] == [(-2, 1.0), (-1, 2.0), (0, 3.0)]
    assert [at for _number, at in found] == [1.0, 70.0, 71.0, 2.0, 3.0], "a writer that was refused adds nothing"
    await ours.release()
    await theirs.write([sampled(74, 75)])
    await theirs.write([sampled(76)])
    assert [at for number, at in await handed_over(client) if abs(number) < 10] == [76.0]


async def test_a_key_of_another_type_is_replaced(client: Client) -> None:
    snapshots = MarketSnapshots(client)
    await client.set("market:fill:SPY", "x")
    assert await MarketSnapshots(client).fills({"SPY": 1}) == {}
    assert await snapshots.write([sampled(1, 2)]) == {}
    await snapshots.write([sampled(3, 4)])
    assert await handed_over(client) == [(-1, 3.0), (0, 4.0)]


async def test_samples_that_redis_did_not_take_are_handed_over_once(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url, timeout=0.5) as client:
        snapshots = MarketSnapshots(client)
        await snapshots.write([sampled(1)])
        own_redis.suspend()
        with pytest.raises(RedisError):
            await snapshots.write([sampled(2, 3)])
        own_redis.resume()
        await snapshots.write([sampled(2, 3)])
        await snapshots.write([sampled(4)])
        followed = itertools.takewhile(
            lambda pair: pair[0] == pair[1][0],
            zip(itertools.count(0, -1), reversed(await handed_over(client)), strict=False),
        )
        times = [at for _number, (_found, at) in followed]
        assert sorted(set(times)) in ([1.0, 2.0, 3.0, 4.0], [2.0, 3.0, 4.0])


async def test_a_feed_is_alive_for_five_seconds(client: Client) -> None:
    feeds = MarketFeeds(client)
    about = {"source": "simulate", "venue": None, "symbols": ["SPY"]}
    await feeds.announce("SIM-1", about)
    await feeds.announce("SIM-2", {})
    assert 0 < await lifetime(client, "market:feed:SIM-1") <= 5
    assert await feeds.alive() == {"SIM-1": about, "SIM-2": {}}
    await feeds.withdraw("SIM-2")
    assert await feeds.alive() == {"SIM-1": about}


async def test_an_announcement_says_its_lifetime_and_is_renewed_without_being_written_again(client: Client) -> None:
    feeds = MarketFeeds(client)
    await feeds.announce("SIM-1", {"source": "simulate"}, 2.5)
    value = orjson.loads(await client.get("market:feed:SIM-1") or b"")
    assert value == {"owner": process_name(), "source": "simulate", "lifetime_ms": 2500}
    # Another end, which only a SET would undo.
    await client.append("market:feed:SIM-1", " ")
    await client.pexpire("market:feed:SIM-1", 100)
    assert await feeds.announce("SIM-1", {"source": "simulate"}, 2.5) is None
    assert await client.getrange("market:feed:SIM-1", -2, -1) == b"} "
    assert await client.pttl("market:feed:SIM-1") > 1000
    await feeds.announce("SIM-1", {"source": "other"}, 2.5)
    assert await feeds.alive() == {"SIM-1": {"source": "other"}}
    await client.flushall()
    await feeds.announce("SIM-1", {"source": "other"}, 2.5)
    assert await feeds.alive() == {"SIM-1": {"source": "other"}}


async def test_an_id_belongs_to_one_process(client: Client) -> None:
    feeds, theirs = MarketFeeds(client), b'{"owner":"host:1:x","lifetime_ms":5000}'
    await feeds.announce("SIM", {"source": "simulate"})
    await client.set("market:feed:SIM", theirs, px=5000)
    for _ in range(2):
        refusal = await feeds.announce("SIM", {"source": "simulate"})
        assert refusal is not None
        assert (refusal.reason, refusal.by) == ("id", "host:1:x")
        await feeds.withdraw("SIM")
        assert await client.get("market:feed:SIM") == theirs
    assert [pair["by"] for pair in feeds.refusals.report()] == ["host:1:x"]
    await client.delete("market:feed:SIM")
    assert await feeds.announce("SIM", {"source": "simulate"}) is None
    assert feeds.refusals.report() == []


async def test_the_id_of_a_feed_that_has_ended_is_free_for_one_that_lives(client: Client) -> None:
    feeds, theirs = MarketFeeds(client), b'{"owner":"host:1:x","ended_at":1766318400.25,"lifetime_ms":5000}'
    await client.set("market:feed:SIM", theirs, px=5000)
    assert await feeds.announce("SIM", {"source": "simulate", "ended_at": 1766318401.0}) is not None
    assert await client.get("market:feed:SIM") == theirs
    assert await feeds.announce("SIM", {"source": "simulate"}) is None
    assert await feeds.alive() == {"SIM": {"source": "simulate"}}


@pytest.mark.parametrize("left", [None, 3_600_000])
async def test_an_announcement_that_outlives_its_process_is_dead(client: Client, left: int | None) -> None:
    """Redis's clock went back by an hour, or somebody wrote the key without a lifetime."""
    feeds, reader = MarketFeeds(client), MarketFeeds(client)
    await client.set("market:feed:SIM", b'{"owner":"host:1:x","source":"live","lifetime_ms":200}', px=left)
    await client.set("market:feed:OTHER", b'{"source":"live"}', px=5000)
    assert (await reader.alive()).keys() == {"SIM", "OTHER"}
    assert await feeds.announce("SIM", {"source": "simulate"}) is not None

    async def dead() -> bool:
        return (await reader.alive()).keys() == {"OTHER"}

    await eventually(dead)

    async def taken() -> bool:
        return await feeds.announce("SIM", {"source": "simulate"}) is None

    await eventually(taken)
    assert (await reader.alive())["SIM"] == {"source": "simulate"}


async def test_a_feed_that_cannot_be_read_hides_no_other(client: Client) -> None:
    feeds = MarketFeeds(client)
    await feeds.announce("GOOD", {"source": "live"})
    await client.set("market:feed:BAD", b"{")
    await client.set("market:feed:bad name", b"{}")
    bad = Complaints()
    assert await feeds.alive(bad) == {"GOOD": {"source": "live"}}
    assert sorted(bad) == [("BAD", "json"), ("bad name", "symbol")]


async def test_an_announcement_that_is_too_long_is_not_read(client: Client) -> None:
    """It would stand in the way of all that its readers do, again and again."""
    feeds = MarketFeeds(client)
    await feeds.announce("GOOD", {"source": "live"})
    await client.set("market:feed:BAD", b'{"symbols":["%b"]}' % (b"A" * 2**23))
    await client.lpush("market:feed:LIST", "no string")
    bad = Complaints()
    assert await feeds.alive(bad) == {"GOOD": {"source": "live"}}
    assert sorted(bad) == [("BAD", "size"), ("LIST", "type")]


# --- agent:state:{agent_id} ---


async def test_an_agents_memory_lives_an_hour(client: Client) -> None:
    agents = AgentStates(client)
    assert await agents.get("analyst_001") is None
    memory = {"seen": ["SPY"], "mood": "Lévy", "depth": {"n": 1}}
    await agents.set("analyst_001", memory)
    assert await agents.get("analyst_001") == memory
    assert await client.type("agent:state:analyst_001") == b"string"
    assert 3590 < await lifetime(client, "agent:state:analyst_001") <= 3600
    await client.expire("agent:state:analyst_001", 5)
    await agents.set("analyst_001", {})
    assert 3590 < await lifetime(client, "agent:state:analyst_001") <= 3600


async def test_a_memory_that_is_no_object_is_refused(client: Client) -> None:
    await client.set("agent:state:analyst_001", "[1]")
    with pytest.raises(InvalidMessage):
        await AgentStates(client).get("analyst_001")


# --- queue:tasks ---


async def test_tasks_leave_in_the_order_they_came(client: Client) -> None:
    queue = TaskQueue(client)
    assert [await queue.push({"n": number}) for number in range(3)] == [1, 2, 3]
    assert await client.type("queue:tasks") == b"list"
    # What another program pushes and pops with LPUSH and BRPOP is the same queue.
    await client.lpush("queue:tasks", orjson.dumps({"n": 3}))
    _key, task = await client.brpop(["queue:tasks"], timeout=1) or (None, None)
    assert task == b'{"n":0}'
    assert [await queue.pop() for _ in range(3)] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert await queue.pop() is None


async def test_a_consumer_that_waits_gets_the_task(client: Client, redis_url: str) -> None:
    # Its commands may take less time than it waits.
    async with connect(redis_url, timeout=1.5) as other, asyncio.timeout(10):
        waiting = asyncio.create_task(TaskQueue(other).pop(wait=10))

        async def it_waits() -> bool:
            return int((await client.info("clients"))["blocked_clients"]) == 1

        await eventually(it_waits)
        await TaskQueue(client).push({"n": 1})
        assert await waiting == {"n": 1}


async def test_each_task_goes_to_one_consumer(client: Client) -> None:
    queue = TaskQueue(client)
    waiting = [asyncio.create_task(queue.pop(wait=10)) for _ in range(5)]
    for number in range(5):
        await queue.push({"n": number})
    tasks = await asyncio.gather(*waiting)
    assert sorted(task["n"] for task in tasks if task) == list(range(5))


async def test_a_task_that_is_no_object_is_off_the_queue(client: Client) -> None:
    await client.lpush("queue:tasks", b"\xff")
    queue = TaskQueue(client)
    await queue.push({"n": 1})
    with pytest.raises(InvalidMessage):
        await queue.pop()
    assert await queue.pop() == {"n": 1}


# --- leaderboard:strategies ---


async def test_the_best_strategies_come_first(client: Client) -> None:
    board = StrategyLeaderboard(client)
    assert await board.top() == []
    await board.score({"KalmanMomentum": 1.85, "BollingerReversion": 1.23, "Loser": -0.4})
    await board.score({f"S{number}": number / 100 for number in range(5)})
    assert await client.type("leaderboard:strategies") == b"zset"
    assert await board.top(2) == [("KalmanMomentum", 1.85), ("BollingerReversion", 1.23)]
    assert [name for name, _score in await board.top()] == ["KalmanMomentum", "BollingerReversion", "S4", "S3", "S2"]
    assert (await board.top(100))[-1] == ("Loser", -0.4)
    await board.score({"Loser": 3.0})
    assert await board.top(1) == [("Loser", 3.0)]
    assert await board.top(0) == []


# --- channels ---


async def test_an_agent_update_reaches_state_update(client: Client, redis_url: str) -> None:
    async with subscribe(redis_url, keys.STATE_UPDATE) as subscription:
        assert await publish_agent_update(client, "analyst_001", "2025-12-21T12:00:00.000Z", {"mood": "calm"}) == 1
        (payload,) = await heard(subscription)
    assert parse_state_update(payload, await client.now()) == Event("AGENT_UPDATE", "analyst_001", payload)
    assert orjson.loads(payload) == {
        "event": "AGENT_UPDATE",
        "agent_id": "analyst_001",
        "timestamp": "2025-12-21T12:00:00.000Z",
        "data": {"mood": "calm"},
    }


async def test_a_trade_signal_reaches_trade_signals_only(client: Client, redis_url: str) -> None:
    signal = TradeSignal("SPY", "2025-12-21T12:00:00.000Z", "s-1", "BUY", 0.7, "KalmanMomentum")
    async with subscribe(redis_url, "trade_signals") as signals, subscribe(redis_url, "state_update") as states:
        assert await publish_trade_signal(client, signal) == 1
        (payload,) = await heard(signals)
        assert parse_trade_signal(payload) == signal
        assert await states.answers(10)
        assert await states.messages(0.001) == []
    assert await publish_trade_signal(client, signal) == 0


# --- what they share ---


async def test_a_scan_takes_the_prefix_literally_and_gives_each_name_once(client: Client) -> None:
    await client.mset({"market:feed:A": 1, "market:feed:B": 1, "market:feeds:C": 1, "xmarket:feed:D": 1})
    assert await scan(client, keys.MARKET_FEED) == ["A", "B"]


def test_batches_hold_everything_once_in_order() -> None:
    for count in (0, 1, 499, 500, 501, 1500):
        parts = list(batches(range(count)))
        assert list(itertools.chain(*parts)) == list(range(count))
        assert all(0 < len(part) <= 500 for part in parts)


async def test_what_is_published_from_another_database_says_so(redis_url: str) -> None:
    signal = TradeSignal("SPY", "2025-12-21T12:00:00Z", "1", "BUY", 0.7, "Kalman")
    async with (
        connect(f"{redis_url}/9") as other,
        subscribe(redis_url, keys.TRADE_SIGNALS, keys.STATE_UPDATE) as subscription,
    ):
        assert await publish_trade_signal(other, signal) == 1
        assert await publish_agent_update(other, "analyst_001", "2025-12-21T12:00:00Z", {}) == 1
        payloads = await heard(subscription, 2)
    assert [orjson.loads(payload)["db"] for payload in payloads] == [9, 9]
    assert parse_trade_signal(payloads[0], 9) == signal
    with pytest.raises(InvalidMessage, match="from database 9"):
        parse_trade_signal(payloads[0])
    with pytest.raises(InvalidMessage, match="from database 9"):
        parse_state_update(payloads[1], None)
