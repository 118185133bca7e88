"""Several feeds on one symbol, on real servers, and what is said of it."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from cottage import store
from cottage.keys import SNAPSHOT_TTL_SECONDS
from cottage.living_feeds import brought
from cottage.log import LogEvent
from cottage.ownership import WriteRefusal, WriteRefusals
from cottage.process_name import process_name
from cottage.redis import Client
from cottage.snapshot import STAMP_FIELDS, MarketSnapshot
from cottage.store import MarketSnapshots
from tests.support import eventually

KEY = "market:snapshot:SPY"
MINUTE = SNAPSHOT_TTL_SECONDS * 1000


def spy(price: float, timestamp: float = 1.0, **fields: Any) -> list[MarketSnapshot]:
    return [MarketSnapshot("SPY", price, timestamp, 1000.0, 10.0, "simulate", **fields)]


async def held(client: Client, *names: str) -> list[str | None]:
    """These fields of SPY's snapshot."""
    values = await client.hmget(KEY, names)
    return [value.decode() if isinstance(value, bytes) else value for value in values]


async def stranger(client: Client, price: float, timestamp: float, *more: str) -> None:
    await client.execute_command("HSET", KEY, "price", str(price), "timestamp", str(timestamp), *more)


async def milliseconds(client: Client) -> int:
    return round(await client.now() * 1000)


async def test_a_snapshot_says_who_wrote_it_and_until_when_it_is_theirs(client: Client) -> None:
    assert await MarketSnapshots(client, "ONE", lifetime=5.0).write(spy(1.0)) == {}
    feed, owner, until, rival = await held(client, "feed", "owner", "owned_until", "rival")
    assert (feed, owner, rival) == ("ONE", process_name(), None)
    assert 0 <= await milliseconds(client) + 5000 - int(until or "0") < 2000
    assert str(os.getpid()) in process_name()


async def test_a_symbol_that_lives_with_another_is_refused_and_that_one_is_told_of_its_rival(client: Client) -> None:
    one, two = MarketSnapshots(client, "ONE"), MarketSnapshots(client, "TWO")
    await one.write(spy(1.0))
    assert await two.write(spy(2.0)) == {"SPY": WriteRefusal("owned", f"ONE {process_name()}")}
    assert await two.write([*spy(2.0), MarketSnapshot("QQQ", 2.0, 1.0)]) == {
        "SPY": WriteRefusal("owned", f"ONE {process_name()}")
    }
    assert await held(client, "price", "feed") == ["1.0", "ONE"]
    (rival,) = await held(client, "rival")
    until, *who = (rival or "").split()
    assert who == [process_name(), "TWO"]
    assert int(until) > await milliseconds(client)
    await one.write(spy(1.1, 2.0))
    assert await held(client, "rival") == [rival], "it still wants to"
    assert [(pair["reason"], pair["first"]) for pair in two.refusals.report()] == [("owned", ["SPY"])]
    assert one.refusals.report() == []


async def test_a_rival_that_went_away_is_no_more_one(client: Client) -> None:
    one, two = MarketSnapshots(client, "ONE"), MarketSnapshots(client, "TWO")
    await one.write(spy(1.0))
    await two.write(spy(2.0))
    await two.release()
    assert await held(client, "rival", "owner") == [None, process_name()]
    for past in ("1 killed TWO", f"{await milliseconds(client) + 2 * MINUTE} killed TWO", "nonsense"):
        await client.hset(KEY, "rival", past)
        await one.write(spy(1.1, 2.0))
        assert await held(client, "rival") == [None]


async def test_what_is_released_is_free_at_once(client: Client) -> None:
    one, two = MarketSnapshots(client, "ONE"), MarketSnapshots(client, "TWO")
    await one.write(spy(1.0, bid=0.9))
    await two.write(spy(2.0))
    await one.release()
    assert await held(client, "price", "feed", "owner") == ["1.0", "ONE", None], "the snapshot itself stays"
    assert await two.write(spy(2.0)) == {}
    assert await held(client, "price", "bid", "feed", "rival") == ["2.0", None, "TWO", None]
    assert two.refusals.report() == []
    assert list(await one.write(spy(1.2, 3.0))) == ["SPY"]


async def test_nothing_of_another_writer_is_left_to_one_that_was_away(client: Client) -> None:
    one, two = MarketSnapshots(client, "ONE"), MarketSnapshots(client, "TWO")
    await one.write(spy(1.0))
    await client.hdel(KEY, "owner", "owned_until")  # its lifetime has passed
    await two.write(spy(2.0, bid=1.9))
    await client.hset(KEY, "native", "of two's venue")
    await two.release()
    assert await one.write(spy(1.1)) == {}
    assert await held(client, "price", "bid", "native") == ["1.1", None, None]
    assert 0 < await client.ttl(KEY) <= SNAPSHOT_TTL_SECONDS


async def test_what_a_killed_owner_had_is_free_after_its_lifetime(client: Client) -> None:
    one, two = MarketSnapshots(client, "ONE", lifetime=0.3), MarketSnapshots(client, "TWO")
    await one.write(spy(1.0))
    assert list(await two.write(spy(2.0))) == ["SPY"]

    async def taken() -> bool:
        return await two.write(spy(2.0)) == {}

    await eventually(taken)
    assert list(await one.write(spy(1.1, 2.0))) == ["SPY"]


async def test_a_symbol_that_does_not_trade_is_kept_by_renewing_it(client: Client) -> None:
    one, two = MarketSnapshots(client, "ONE", lifetime=0.4), MarketSnapshots(client, "TWO")
    await one.write(spy(1.0))
    (first,) = await held(client, "owned_until")

    async def renewed() -> bool:
        await one.renew()
        return await held(client, "owned_until") != [first]

    await eventually(renewed)
    assert list(await two.write(spy(2.0))) == ["SPY"]
    await client.delete(KEY)
    await one.renew()
    assert not await client.exists(KEY), "only a write makes a snapshot"


async def test_an_owner_from_ahead_of_the_clock_is_not_believed(client: Client) -> None:
    """Redis's clock went back by an hour after it was killed."""
    one, two = MarketSnapshots(client, "ONE"), MarketSnapshots(client, "TWO")
    await one.write(spy(1.0))
    for ahead in (MINUTE + 1000, 3_600_000, 10**15):
        await client.hset(KEY, mapping={"owner": "killed", "owned_until": str(await milliseconds(client) + ahead)})
        assert await two.write(spy(2.0)) == {}
        await one.write(spy(1.0))


@pytest.mark.parametrize("owned_until", ["", "soon", "nan", "-1", "1e999"])
async def test_an_ownership_that_cannot_be_read_is_none(client: Client, owned_until: str) -> None:
    one, two = MarketSnapshots(client, "ONE"), MarketSnapshots(client, "TWO")
    await one.write(spy(1.0))
    await client.hset(KEY, "owned_until", owned_until)
    assert await two.write(spy(2.0)) == {}


async def test_a_stranger_that_writes_by_hset_has_the_symbol_until_he_was_silent_for_a_minute(client: Client) -> None:
    ours = MarketSnapshots(client, "SIMULATE")
    await ours.write(spy(1.0, bid=0.9))
    await stranger(client, 450.0, 2.0, "volume", "7", "source", "myfeed")
    assert await ours.write(spy(1.1, 2.5)) == {"SPY": WriteRefusal("stranger", "myfeed")}
    fields = ("price", "timestamp", "volume", "source", "bid", "trades", "feed", "owner")
    assert await held(client, *fields) == ["450.0", "2.0", "7", "myfeed", None, None, None, None], "nothing of ours"
    assert ((await held(client, "rival"))[0] or "").endswith(f" {process_name()} SIMULATE")
    assert await ours.write(spy(1.2, 3.0)) == {"SPY": WriteRefusal("stranger", "myfeed")}

    async def left() -> int:
        return int((await held(client, "owned_until"))[0] or "0") - await milliseconds(client)

    assert MINUTE - 5000 < await left() <= MINUTE
    # He writes again: a minute from now. Not from then on, for what he wrote is what was seen.
    await client.hset(KEY, "owned_until", str(await milliseconds(client) + 1000))
    await ours.write(spy(1.2, 4.0))
    assert await left() <= 1000
    await stranger(client, 450.0, 3.0)
    await ours.write(spy(1.2, 5.0))
    assert MINUTE - 5000 < await left() <= MINUTE
    # The minute is over.
    await client.hset(KEY, "owned_until", str(await milliseconds(client) - 1))
    assert await ours.write(spy(1.3, 6.0)) == {}
    assert await held(client, "price", "source", "feed", "rival") == ["1.3", "simulate", "SIMULATE", None]


@pytest.mark.parametrize("field", STAMP_FIELDS)
@pytest.mark.parametrize("reported", [spy(1.0), [MarketSnapshot("SPY", 1.0, 1.0)]], ids=["all fields", "the price"])
async def test_a_stranger_that_writes_one_of_the_fields_of_which_numbers_are_made(
    client: Client, field: str, reported: list[MarketSnapshot]
) -> None:
    ours = MarketSnapshots(client, "SIMULATE")
    for timestamp in (1.0, 2.0):
        assert await ours.write([replace(reported[0], timestamp=timestamp)]) == {}
    await client.hset(KEY, field, "7")
    assert await ours.write([replace(reported[0], timestamp=3.0)]) == {"SPY": WriteRefusal("stranger", "unknown")}
    left = dict(zip(STAMP_FIELDS, await held(client, *STAMP_FIELDS), strict=True))
    assert left == {**dict.fromkeys(STAMP_FIELDS), field: "7"}, "what is ours is no stranger's"
    assert await held(client, "owner", "feed") == [None, None]
    assert await ours.write([replace(reported[0], timestamp=4.0)]) == {"SPY": WriteRefusal("stranger", "unknown")}
    assert (await brought(client, ["SPY"], {})).keys() == {"SPY"}, "it is his for a minute"
    await client.hset(KEY, "owned_until", "1")
    assert await ours.write([replace(reported[0], timestamp=5.0)]) == {}
    assert await ours.write([replace(reported[0], timestamp=6.0)]) == {}


async def test_a_stranger_that_was_there_first(client: Client) -> None:
    await stranger(client, 450.0, 2.0, "bid", "449.9")
    before = await client.hgetall(KEY)
    assert await MarketSnapshots(client, "SIMULATE").write(spy(1.0)) == {"SPY": WriteRefusal("stranger", "unknown")}
    after = await client.hgetall(KEY)
    assert before.items() <= after.items()
    assert await client.ttl(KEY) == -1, "a lifetime is the writer's"


async def test_one_feed_of_one_process_is_one_writer(client: Client) -> None:
    for number in range(3):
        assert await MarketSnapshots(client).write(spy(1.0 + number)) == {}
    assert await held(client, "feed") == [None]


async def test_what_does_not_move_is_written_when_it_changes_and_now_and_then(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(store, "monotonic", lambda: now)
    ours = MarketSnapshots(client, "ONE")
    await ours.write(spy(1.0, open=1.0, high=1.0))
    await client.hset(KEY, mapping={"source": "somebody", "bid": "7"})
    await ours.write(spy(1.0, 2.0, open=1.0, high=1.0))
    assert await held(client, "timestamp", "volume", "source") == ["2.0", "1000.0", "somebody"]
    now += store.WHOLE_SECONDS + 0.1
    await ours.write(spy(1.0, 3.0, open=1.0, high=1.0))
    assert await held(client, "timestamp", "source", "open") == ["3.0", "simulate", "1.0"]
    await ours.write(spy(1.1, 4.0, open=1.0, high=1.1, bid=1.0))
    assert await held(client, "price", "high", "bid") == ["1.1", "1.1", "1.0"]
    await ours.write(spy(1.2, 5.0, high=1.1))
    assert await held(client, "price", "high", "bid", "open") == ["1.2", "1.1", None, None]
    assert await held(client, "seen") == ["1.2 5.0 1000.0 10.0"]
    await ours.write([MarketSnapshot("SPY", 1.3, 6.0)])
    assert await held(client, "seen", "volume", "trades") == ["1.3 6.0  ", None, None]


async def test_a_hash_that_is_not_as_its_owner_left_it_is_written_whole(client: Client) -> None:
    ours, same = MarketSnapshots(client, "ONE"), MarketSnapshots(client, "ONE")
    await ours.write(spy(1.0, open=1.0))
    await client.delete(KEY)  # expired, evicted, or another server
    assert await ours.write(spy(1.1, 2.0, open=1.0)) == {}
    assert await held(client, "price", "source", "open", "feed") == ["1.1", "simulate", "1.0", "ONE"]
    assert await same.write(spy(1.2, 3.0, open=2.0)) == {}
    assert await ours.write(spy(1.3, 4.0, open=1.0)) == {}
    assert await held(client, "price", "open", "owner") == ["1.3", "1.0", process_name()]


async def test_of_several_snapshots_of_a_symbol_the_last_is_written(client: Client) -> None:
    ours = MarketSnapshots(client, "ONE")
    for first in (1.0, 3.0):
        assert await ours.write([*spy(first, first, high=first), *spy(first + 1, first + 1)]) == {}
        assert await held(client, "price", "timestamp", "high") == [str(first + 1), str(first + 1), None]


async def test_a_key_of_another_type_costs_its_own_symbol_only(client: Client) -> None:
    await client.set("market:snapshot:S0", "no hash")
    many = [MarketSnapshot(f"S{number}", 1.0, 1.0) for number in range(600)]
    snapshots = MarketSnapshots(client, "ONE")
    assert await snapshots.write(many) == {"S0": WriteRefusal("type", "market:snapshot:S0")}
    assert await MarketSnapshots(client).symbols() == sorted(each.symbol for each in many)
    assert await client.get("market:snapshot:S0") == b"no hash"
    await snapshots.release()


def events(records: Sequence[object]) -> list[tuple[str, object]]:
    found = [record for record in records if isinstance(record, LogEvent)]
    return [(event.name, event.fields.get("by")) for event in found]


def test_a_pair_of_writers_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    refusals = WriteRefusals(lambda: now)
    theirs, his, key = (
        WriteRefusal("owned", "ONE host:1"),
        WriteRefusal("stranger", "myfeed"),
        WriteRefusal("type", "market:x"),
    )
    refused = {f"S{number}": theirs for number in range(30)} | {"SPY": his, "QQQ": his, "BAD": key}

    def told(refused: dict[str, WriteRefusal], written: Sequence[str] = ()) -> list[tuple[str, object]]:
        caplog.clear()
        refusals.take(written, refused, 5.0)
        return sorted(events([record.msg for record in caplog.records]))

    caplog.set_level("INFO")
    assert told(refused) == [("two_writers", "myfeed"), ("wrong_type", "market:x")]
    now += 4.9
    assert told(refused) == [], "it may have been killed"
    now += 0.1
    assert told(refused) == [("two_writers", "ONE host:1")]
    now += 1000.0
    assert told(refused) == []
    assert [(pair["by"], pair["symbols"], pair["first"][:2]) for pair in refusals.report()] == [
        ("ONE host:1", 30, ["S0", "S1"]),
        ("myfeed", 2, ["QQQ", "SPY"]),
        ("market:x", 1, ["BAD"]),
    ]
    assert told({"SPY": his}, ["QQQ", "BAD", *(f"S{number}" for number in range(30))]) == [
        ("refusal_ended", ["ONE host:1"]),
        ("refusal_ended", ["market:x"]),
    ]
    now += 61.0  # SPY does not trade any more
    assert told({"QQQ": theirs}) == [("refusal_ended", ["myfeed"])]
    assert told({}, ["QQQ"]) == [], "it was never said"
    assert refusals.report() == []


def test_many_pairs_are_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    refusals, many = (
        WriteRefusals(),
        {f"S{number}": WriteRefusal("stranger", str(number)) for number in range(10_000)},
    )
    caplog.set_level("INFO")
    refusals.take((), many, 5.0)
    assert len(caplog.records) < 300
    assert len(refusals.report()) == 20
    caplog.clear()
    refusals.take(list(many), {}, 5.0)
    (record,) = caplog.records
    assert isinstance(record.msg, LogEvent)
    assert (record.msg.fields["pairs"], record.msg.fields["by"][:2]) == (10_000, ["0", "1"])


def test_a_child_process_is_another_writer() -> None:
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, process_name().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1000).decode() != process_name()


def brk(symbol: str, price: float = 1.0, timestamp: float = 1.0, **fields: Any) -> list[MarketSnapshot]:
    return [MarketSnapshot(symbol, price, timestamp, **fields)]


async def test_two_spellings_of_one_symbol_are_not_mixed_by_one_feed(client: Client) -> None:
    feed = MarketSnapshots(client, "ONE")
    both = {"BRK-B": WriteRefusal("native", "BRK-B beside BRK/B")}
    assert await feed.write([*brk("BRK/B", 1.0), *brk("BRK-B", 2.0)]) == both
    assert await feed.write(brk("BRK-B", 2.0, 2.0)) == both
    assert await feed.write(brk("BRK-B", 2.0, 2.0, native="brk-b")) == {
        "BRK-B": WriteRefusal("native", "brk-b beside BRK/B")
    }
    stored = await feed.get("BRK-B")
    assert stored is not None
    assert (stored.price, stored.native) == (1.0, "BRK/B")
    await feed.release()
    assert await feed.write(brk("BRK-B", 2.0, 3.0)) == {}
    assert await client.hget("market:snapshot:BRK-B", "native") is None, "nothing of the other spelling is left"


@pytest.mark.parametrize(("theirs", "ours"), [("BRK/B", "BRK-B"), ("BRK-B", "BRK/B"), ("brk/b", "BRK/B")])
async def test_two_spellings_of_one_symbol_are_not_mixed_by_two_feeds(client: Client, theirs: str, ours: str) -> None:
    one, two = MarketSnapshots(client, "ONE"), MarketSnapshots(client, "TWO")
    assert await one.write(brk(theirs)) == {}
    refusal = WriteRefusal("native", f"{ours} beside {theirs} of ONE {process_name()}")
    assert await two.write(brk(ours, 2.0, 2.0)) == {"BRK-B": refusal}
    assert await two.write(brk(theirs, 2.0, 2.0)) == {"BRK-B": WriteRefusal("owned", f"ONE {process_name()}")}
    assert two.refusals.report()[0]["first"] == ["BRK-B"]
