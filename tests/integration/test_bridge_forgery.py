"""Nobody forges a state: the bridge believes Redis, not a message. With a real Redis, and anybody's PUBLISH."""

import asyncio
import signal
import time
from typing import Any

import orjson
import pytest

from cottage import keys
from cottage.cancellation import background
from cottage.clock import iso_millis
from cottage.redis import Client, connect
from cottage.state import PhysicsState
from cottage.store import publish_agent_update
from deploy.redis_server import free_port
from services.bridge import freshness_monitor, metrics, reconciler
from tests.integration.fanout import NEVER, beat, bridging, hold, lease, put, state, viewing, write
from tests.one_kind import on_one_kind
from tests.support import eventually, service

pytestmark = pytest.mark.usefixtures("impatient_bridge")
pytest_generate_tests = on_one_kind
EPOCH = 1_700_000_000_000


def value(metric: Any) -> float:
    return float(metric._value.get())


async def forge(client: Client, symbol: str, forged: PhysicsState) -> bytes:
    """PUBLISH without SET: what anybody may do."""
    update = forged.update(symbol, client.database)
    await client.publish(keys.STATE_UPDATE, update)
    return update


async def now_ms(client: Client) -> int:
    return round(await client.now() * 1000)


@pytest.mark.parametrize(
    ("ahead_ms", "seq"),
    [
        pytest.param(55_000, 1, id="an epoch 55 s ahead"),
        pytest.param(86_400_000, 1, id="an epoch a day ahead"),
        pytest.param(0, 2**53 - 1, id="the true epoch, the last tick of all"),
        pytest.param(0, 5, id="the true epoch, four ticks ahead"),
    ],
)
async def test_a_forged_message_poisons_nothing(
    redis_url: str, client: Client, port: int, ahead_ms: int, seq: int
) -> None:
    epoch = await now_ms(client)
    true = await write(client, "SPY", state(epoch, 1))
    async with bridging(redis_url, port, reread_seconds=NEVER), viewing(port) as viewer:
        doubted, reads = value(metrics.DOUBTED), value(metrics.FULL_READS)
        await forge(client, "SPY", state(epoch + ahead_ms, seq))
        await forge(client, "NEVER", state(epoch + ahead_ms, seq))
        await eventually(lambda: value(metrics.DOUBTED) == doubted + 2)
        assert viewer.held == {"SPY": true}
        for tick in range(2, 5):
            true = await write(client, "SPY", state(epoch, tick))
            await viewer.holds({"SPY": true})
        assert viewer.removed == []
        assert len(viewer.updates) == 3, "what was forged has reached nobody"
        assert value(metrics.FULL_READS) == reads, "nor made it read everything"


async def test_a_forged_symbol_is_shown_to_nobody(redis_url: str, client: Client, port: int) -> None:
    """Whatever epoch and tick the forger knows: Redis has no state of it. A true one is read at once."""
    true = await write(client, "SPY", state(EPOCH, 5))
    async with bridging(redis_url, port, reread_seconds=NEVER), viewing(port) as viewer:
        for seq in (1, 5, 6, 8):
            await forge(client, "FORGED", state(EPOCH, seq))
        new = await write(client, "NEW", state(EPOCH, 6))
        await viewer.holds({"SPY": true, "NEW": new})
        assert viewer.updates == [new]


async def test_a_bridge_that_was_suspended_takes_no_heartbeat_for_newer_than_it_is(
    redis_url: str, client: Client
) -> None:
    """Feynman beats for a while and dies, while the bridge is stopped: what waited makes nobody alive."""
    env = {"REDIS_URL": redis_url, "BRIDGE_PORT": "0", "BRIDGE_SILENCE_SECONDS": "2"}
    async with service("bridge", env) as bridge:
        await bridge.ready()
        port = (await bridge.logged("listening"))["port"]
        async with viewing(port) as viewer:
            await beat(client, EPOCH)
            await viewer.hears_of(None)
            bridge.signal(signal.SIGSTOP)
            for _ in range(10):
                await asyncio.sleep(0.1)
                await beat(client, EPOCH)
            await asyncio.sleep(2.2)  # the silence after which a writer is down
            said = len(viewer.statements)
            bridge.signal(signal.SIGCONT)
            await viewer.hears_of("writer_down")
            await asyncio.sleep(1.0)
            assert {each["status"] for each in viewer.statements[said:]} == {"stale"}
            await beat(client, EPOCH)
            await viewer.hears_of(None)


async def test_what_redis_has_is_taken_instead(redis_url: str, client: Client, port: int) -> None:
    """As after a lost tick: an update that is far ahead, and true."""
    await write(client, "SPY", state(EPOCH, 1))
    async with bridging(redis_url, port, reread_seconds=NEVER), viewing(port) as viewer:
        await viewer.holds({"SPY": await write(client, "SPY", state(EPOCH, 4711))})
        await viewer.holds({"SPY": await write(client, "SPY", state(EPOCH, 4712))})


async def test_a_publisher_that_stores_later_is_asked_again(
    redis_url: str, client: Client, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(client, "SPY", state(EPOCH, 1))
    async with bridging(redis_url, port, reread_seconds=NEVER) as bridge, viewing(port) as viewer:
        monkeypatch.setattr(reconciler, "SHARES", 10**6)  # no comparison in turn comes upon it
        monkeypatch.setattr(reconciler, "AGAIN_SECONDS", 1.0)
        update = await forge(client, "NEW", state(EPOCH, 77))
        await eventually(lambda: "NEW" in bridge._reconciler._later)
        assert await put(client, "NEW", state(EPOCH, 77)) == update
        await eventually(lambda: viewer.held.get("NEW") == update)


async def test_a_quiet_symbol_is_taken_back_from_a_forger(redis_url: str, client: Client, port: int) -> None:
    """The next ticks are believed; so the last true state of a symbol that has none is shown again."""
    quiet, busy = await write(client, "QUIET", state(EPOCH, 1)), await write(client, "BUSY", state(EPOCH, 50))
    async with bridging(redis_url, port, reread_seconds=NEVER), viewing(port) as viewer:
        taken_back = value(metrics.TAKEN_BACK)
        forged = await forge(client, "QUIET", state(EPOCH, 53))
        await eventually(lambda: viewer.held["QUIET"] == forged)
        await viewer.holds({"QUIET": quiet, "BUSY": busy})
        assert viewer.removed == ["QUIET"], "clients come down from a higher version by REMOVED"
        assert value(metrics.TAKEN_BACK) == taken_back + 1
        quiet = await write(client, "QUIET", state(EPOCH, 51))
        await viewer.holds({"QUIET": quiet, "BUSY": busy})


@pytest.mark.parametrize("query", ["", "?batch=250"])
async def test_how_old_it_is_is_said_with_what_is_shown_anew(
    redis_url: str, client: Client, port: int, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    """A client forgets with a state what was said of it: of the next one nothing is said yet."""
    monkeypatch.setattr(freshness_monitor, "SYMBOL_CHECKS", 10**9)  # not at the next look at all symbols
    old: dict[str, Any] = {"source": "replay", "timestamp": iso_millis(await client.now() - 3600)}
    await write(client, "QUIET", state(EPOCH, 1, **old))

    async def live() -> None:
        while True:
            await beat(client, EPOCH)
            await asyncio.sleep(0.1)

    async with bridging(redis_url, port, reread_seconds=NEVER), viewing(port, query) as viewer, background(live()):
        await viewer.hears_of(None)
        await viewer.stands("QUIET", "expired", "market_quiet")
        await forge(client, "QUIET", state(EPOCH, 2, **old))
        await eventually(lambda: viewer.removed == ["QUIET"])
        await put(client, "NEW", state(EPOCH, 1, **old))
        await forge(client, "NEW", state(EPOCH, 1, **old))
        for symbol in ("QUIET", "NEW"):
            await viewer.hears_last_of(symbol, ["PHYSICS_UPDATE", "FRESHNESS"])


async def test_other_bytes_of_the_same_version_are_taken_back(redis_url: str, client: Client, port: int) -> None:
    await write(client, "SPY", state(EPOCH, 1))
    async with bridging(redis_url, port, reread_seconds=NEVER), viewing(port) as viewer:
        forged = await forge(client, "SPY", state(EPOCH, 2, source="forger"))
        await eventually(lambda: viewer.held["SPY"] == forged)
        await viewer.holds({"SPY": await write(client, "SPY", state(EPOCH, 2))})
        assert viewer.removed == ["SPY"]


async def test_who_forges_a_symbol_again_and_again_is_believed_once(
    redis_url: str, client: Client, port: int
) -> None:
    """What was taken back once is only read, so that neither a quiet symbol nor a busy one is the forger's."""
    quiet, busy = await write(client, "QUIET", state(EPOCH, 1)), await write(client, "BUSY", state(EPOCH, 50))
    async with bridging(redis_url, port, reread_seconds=NEVER), viewing(port) as viewer:
        forged = await forge(client, "QUIET", state(EPOCH, 52))
        await eventually(lambda: viewer.held["QUIET"] == forged)
        await viewer.holds({"QUIET": quiet, "BUSY": busy})
        seen = len(viewer.updates)
        for tick in range(51, 54):
            for symbol in ("QUIET", "BUSY"):
                await forge(client, "QUIET", state(EPOCH, tick + 2, source="forger"))
                true = await write(client, symbol, state(EPOCH, tick))
                await viewer.holds({**viewer.held, symbol: true})
        assert not [each for each in viewer.updates[seen:] if b"forger" in each]
        assert viewer.removed == ["QUIET"]


async def test_a_symbol_of_which_two_updates_contradict_one_another_is_read(
    redis_url: str, client: Client, port: int
) -> None:
    """One of a version's two is forged, though the next tick makes good for it before it is taken back."""
    await write(client, "SPY", state(EPOCH, 1))
    async with bridging(redis_url, port, reread_seconds=NEVER), viewing(port) as viewer:
        forged = await forge(client, "SPY", state(EPOCH, 2, source="forger"))
        await eventually(lambda: viewer.held["SPY"] == forged)
        await write(client, "SPY", state(EPOCH, 2))
        await viewer.holds({"SPY": await write(client, "SPY", state(EPOCH, 3))})
        doubted = value(metrics.DOUBTED)
        await forge(client, "SPY", state(EPOCH, 4, source="forger"))
        await eventually(lambda: value(metrics.DOUBTED) > doubted)
        await viewer.holds({"SPY": await write(client, "SPY", state(EPOCH, 4))})
        assert [each for each in viewer.updates if b"forger" in each] == [forged]


async def test_nothing_is_taken_back_while_no_lease_lives(redis_url: str, client: Client, port: int) -> None:
    """Redis may have lost what is held, and nobody writes yet: the newest that is known is the best that there is."""
    held = await write(client, "SPY", state(EPOCH, 9))
    async with bridging(redis_url, port, reread_seconds=NEVER) as bridge, viewing(port) as viewer:
        await client.delete(keys.physics_writer(0))
        await eventually(lambda: bridge.status()["epoch"] == 0)
        await put(client, "SPY", state(EPOCH, 7))
        await asyncio.sleep(1.0)
        assert (viewer.held, viewer.removed) == ({"SPY": held}, [])
        await hold(client, EPOCH)
        await viewer.holds({"SPY": state(EPOCH, 7).update("SPY")})
        assert viewer.removed == ["SPY"]


@pytest.mark.parametrize("shards", [1, 3])
async def test_a_new_writer_is_believed_from_its_first_message_on(
    redis_url: str, client: Client, port: int, shards: int
) -> None:
    """Of a greater epoch, as always, or of a smaller one, where Redis lost its data while its clock went back."""
    symbols = [f"S{number}" for number in range(100)]
    async with bridging(redis_url, port, reread_seconds=NEVER), viewing(port) as viewer:

        async def tick(epoch: int, seq: int) -> None:
            written = {}
            pipeline = client.pipeline(transaction=True)
            for name in symbols:
                new = state(epoch + keys.shard_index(name, shards), seq)
                written[name] = new.update(name)
                pipeline.set(keys.physics_state(name), new.to_bytes())
                pipeline.publish(keys.STATE_UPDATE, written[name])
            await pipeline.execute()
            await viewer.holds(written)

        for epoch in (EPOCH, EPOCH + 1, EPOCH - 5_000):
            for index in range(shards):
                await hold(client, epoch + index, index, shards)
            await tick(epoch, 800)
        assert sorted(viewer.removed) == sorted(symbols)
        doubted = value(metrics.DOUBTED)
        await tick(epoch, 801)
        assert value(metrics.DOUBTED) == doubted, "what Redis lost with its epoch was no forgery"


async def test_a_flood_of_forged_updates_costs_redis_little(redis_url: str, client: Client, port: int) -> None:
    true = await write(client, "SPY", state(EPOCH, 1))
    async with bridging(redis_url, port, reread_seconds=NEVER) as bridge, viewing(port) as viewer:

        async def asked() -> int:
            return int((await client.info("commandstats"))["cmdstat_mget"]["calls"])

        before, began, doubted = await asked(), time.monotonic(), value(metrics.DOUBTED)
        for start in range(0, 20_000, 1000):
            pipeline = client.pipeline(transaction=False)
            for number in range(start, start + 1000):
                pipeline.publish(keys.STATE_UPDATE, state(EPOCH, 1000 + number).update(f"S{number % 50}"))
            await pipeline.execute()
        await eventually(lambda: value(metrics.DOUBTED) == doubted + 20_000)
        turns = 2 + (time.monotonic() - began) / reconciler.TURN_SECONDS
        assert await asked() - before <= 2 * turns, "two MGET a turn: the leases, and the symbols in doubt"
        assert viewer.held == {"SPY": true}
        await eventually(lambda: not bridge._reconciler._later)


async def test_doubts_are_bounded(redis_url: str, client: Client, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    await write(client, "SPY", state(EPOCH, 1))
    async with bridging(redis_url, port, reread_seconds=NEVER, max_symbols=20) as bridge, viewing(port) as viewer:
        monkeypatch.setattr(reconciler, "AGAIN_SECONDS", 60.0)
        rooms = metrics.DROPPED.labels("room")
        counted = value(rooms)
        for number in range(100):
            await forge(client, f"S{number}", state(EPOCH, 1000))
        await eventually(lambda: value(rooms) >= counted + 60)
        assert len(bridge._reconciler._later) <= 40, "those that were being read, and as many in doubt"
        await viewer.holds({"SPY": await write(client, "SPY", state(EPOCH, 2))})


async def test_a_flood_of_states_takes_no_place_from_what_a_feed_brings(
    redis_url: str, client: Client, port: int
) -> None:
    """Nor from what is held already, though its market is closed; a bridge that begins cannot know that."""
    pipeline = client.pipeline(transaction=False)
    for number in range(1500):
        pipeline.set(keys.physics_state(f"A{number:04}"), state(EPOCH, 1).to_bytes())
    closed = await write(client, "CLOSED", state(EPOCH - 1, 1))

    async def brought(symbol: str, seq: int) -> bytes:
        await client.hset(keys.market_snapshot(symbol), mapping={"price": "450", "timestamp": "1"})
        return await write(client, symbol, state(EPOCH, seq))

    spy = await brought("SPY", 2)
    async with bridging(redis_url, port, reread_seconds=0.2, max_symbols=20) as bridge, viewing(port) as viewer:
        await viewer.holds({"CLOSED": closed, "SPY": spy})
        await pipeline.execute()
        await eventually(lambda: len(viewer.held) == 20)
        new = await brought("ZZZ", 3)
        await eventually(lambda: viewer.held.get("ZZZ") == new)
        assert (len(viewer.held), viewer.held["CLOSED"], viewer.held["SPY"]) == (20, closed, spy)
        assert bridge.status()["symbols"] == 20
    async with bridging(redis_url, port, reread_seconds=NEVER, max_symbols=20), viewing(port) as viewer:
        await eventually(lambda: viewer.held.get("SPY") == spy)
        assert (len(viewer.held), viewer.held["ZZZ"]) == (20, new)


async def test_a_flood_of_updates_without_a_version_takes_no_place_from_states(
    redis_url: str, client: Client, port: int
) -> None:
    async with bridging(redis_url, port, reread_seconds=NEVER, max_symbols=20), viewing(port) as viewer:
        spy = await write(client, "SPY", state(EPOCH, 1))
        await eventually(lambda: viewer.held.keys() == {"SPY"})
        for number in range(50):
            await forge(client, f"A{number:02}", state(None))
        await eventually(lambda: len(viewer.held) == 20)
        new = {name: await write(client, name, state(EPOCH, 2)) for name in ("QQQ", "ZZZ")}
        await eventually(lambda: new.items() <= viewer.held.items())
        assert (len(viewer.held), viewer.held["SPY"], len(viewer.removed)) == (20, spy, 2)


async def test_what_is_only_published_stays_as_long_as_its_publisher_goes_on(
    redis_url: str, client: Client, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "LOOKS_APART_SECONDS", 0.5)

    async def publish() -> None:
        while True:
            await forge(client, "LIVES", state(None))
            await asyncio.sleep(0.02)

    async with bridging(redis_url, port, reread_seconds=0.2), viewing(port) as viewer, background(publish()):
        await forge(client, "ENDS", state(None))
        await eventually(lambda: viewer.held.keys() == {"LIVES", "ENDS"})
        await eventually(lambda: viewer.removed == ["ENDS"])
        await asyncio.sleep(1.5)
        assert viewer.removed == ["ENDS"]


async def test_a_forged_heartbeat_makes_nobody_alive(redis_url: str, client: Client, port: int) -> None:
    async with bridging(redis_url, port, reread_seconds=NEVER) as bridge, viewing(port) as viewer:
        await hold(client, EPOCH)
        heartbeats = value(metrics.HEARTBEATS)
        message = {"event": "HEARTBEAT", "source": "feynman", "timestamp": "2025-12-21T12:00:00.000Z", "seq": 1}
        for epoch, shard in ((EPOCH + 1, "0/1"), (EPOCH, "0/2"), (EPOCH, "1/2")):
            data = {"shard": shard, "symbols": 1, "written": 1, "tick": 2**53 - 1}
            await client.publish(keys.STATE_UPDATE, orjson.dumps({**message, "epoch": epoch, "data": data}))
        await eventually(lambda: value(metrics.HEARTBEATS) == heartbeats + 3)
        await eventually(lambda: bridge.status()["epoch"] == EPOCH)
        assert bridge.status()["writers"] == []
        await viewer.hears_of("writer_down")
        await beat(client, EPOCH)
        await viewer.hears_of(None)
        assert bridge.status()["writers"] == ["0/1"]


async def test_a_lease_that_outlives_its_holder_counts_for_nobody(redis_url: str, client: Client, port: int) -> None:
    """It has no lifetime in Redis: its holder died, or somebody else made it."""
    short = orjson.dumps({**orjson.loads(lease(EPOCH)), "lifetime_ms": 500})
    await client.set(keys.physics_writer(0), short)
    await put(client, "SPY", state(EPOCH, 1))
    async with bridging(redis_url, port, reread_seconds=NEVER) as bridge, viewing(port) as viewer:
        await eventually(lambda: bridge.status()["epoch"] == 0)
        doubted = value(metrics.DOUBTED)
        update = await put(client, "SPY", state(EPOCH, 2))
        await client.publish(keys.STATE_UPDATE, update)
        await viewer.holds({"SPY": update})
        assert value(metrics.DOUBTED) == doubted + 1, "it is read, and not believed"
        await client.set(keys.physics_writer(0), short, px=400)
        await eventually(lambda: bridge.status()["epoch"] == EPOCH)


async def test_suites_on_two_databases_do_not_hear_one_another(redis_url: str, client: Client, port: int) -> None:
    other_url, other_port = f"{redis_url}/9", free_port()
    async with (
        connect(other_url) as other,
        bridging(redis_url, port, reread_seconds=NEVER),
        bridging(other_url, other_port, reread_seconds=NEVER),
        viewing(port) as viewer,
        viewing(other_port) as other_viewer,
    ):
        assert (client.database, other.database) == (0, 9)
        foreign = value(metrics.DROPPED.labels("db"))
        here, there = await write(client, "HERE", state(EPOCH, 1)), await write(other, "THERE", state(EPOCH, 1))
        assert b'"db":9' in there
        await publish_agent_update(client, "here", "2025-12-21T12:00:00.000Z", {})
        await publish_agent_update(other, "there", "2025-12-21T12:00:00.000Z", {})
        await client.publish(keys.STATE_UPDATE, b'{"event":"PHYSICS_UPDATE","symbol":"PLAIN","data":'
                             b'{"alpha":2.8,"regime":"Gaussian"}}')  # fmt: skip
        await eventually(lambda: (len(viewer.others), len(other_viewer.others)) == (1, 1))
        assert [orjson.loads(each.others[0])["agent_id"] for each in (viewer, other_viewer)] == ["here", "there"]
        await eventually(lambda: viewer.held.keys() == {"HERE", "PLAIN"})
        assert viewer.held["HERE"] == here
        await other_viewer.holds({"THERE": there})
        await eventually(lambda: value(metrics.DROPPED.labels("db")) == foreign + 5)
        healed = await put(other, "THERE", state(EPOCH, 2))
        assert healed == state(EPOCH, 2).update("THERE", 9)
        await other_viewer.holds({"THERE": state(EPOCH, 2).update("THERE", 9)})


async def test_a_state_that_was_deleted_is_removed_promptly(redis_url: str, client: Client, port: int) -> None:
    await write(client, "GONE", state(EPOCH, 1))
    stays = await write(client, "STAYS", state(EPOCH, 1))
    async with bridging(redis_url, port, reread_seconds=NEVER), viewing(port) as viewer:
        await client.delete(keys.physics_state("GONE"))
        await viewer.holds({"STAYS": stays})
        assert viewer.removed == ["GONE"]
