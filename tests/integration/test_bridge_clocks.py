"""The bridge on a Redis whose clock is set, and with feeds that are late: no sample is shown younger than it is."""

from typing import Any

import pytest

from cottage.clock import from_iso, iso_millis, monotonic
from cottage.redis import connect
from deploy.redis_server import free_port
from tests.clock_shim import ClockShim
from tests.integration.fanout import NEVER, beat, bridging, broadcasting, state, viewing, write, write_all
from tests.one_kind import on_one_kind
from tests.support import OwnRedis, eventually, library_events

pytestmark = pytest.mark.usefixtures("impatient_bridge")
pytest_generate_tests = on_one_kind


def ages(viewer: Any, symbol: str) -> list[tuple[str, Any]]:
    """What was said of a symbol by its name: status and age."""
    return [(each["status"], each["age_ms"]) for each in viewer.statements if symbol in each["symbols"]]


@pytest.mark.parametrize("step", [-86_400.0, -3600.0, -50.0, -5.0, 5.0, 50.0, 3600.0])
async def test_a_step_of_redis_s_clock(stepped_redis: OwnRedis, clock_shim: ClockShim, step: float) -> None:
    url, port = stepped_redis.url, free_port()
    thresholds: dict[str, Any] = {"STALE_SECONDS": 2.0, "EXPIRED_SECONDS": 30.0, "silence_seconds": 6.0}
    async with (
        connect(url) as client,
        bridging(url, port, reread_seconds=NEVER, **thresholds) as bridge,
        viewing(port) as viewer,
    ):
        began, epoch = monotonic(), round(await client.now() * 1000)
        feed_time = iso_millis(await client.now())
        await beat(client, epoch)
        for symbol in ("QUIET", "BUSY"):
            await write(client, symbol, state(epoch, 1, timestamp=feed_time, source="myfeed"))
        await eventually(lambda: len(viewer.held) == 2)
        heard = monotonic()
        await eventually(lambda: bridge._monitor._redis_clock.confirmed_at > heard)

        with library_events() as said:
            clock_shim.step(step)
            line = await eventually(lambda: next((each for each in said if each["event"] == "clock_stepped"), None))
        assert line is not None
        assert line["seconds"] == pytest.approx(step, abs=0.5)
        assert line["reason"].startswith(f"the clock went {'back' if step < 0 else 'forward'} by ")

        # feynman issues all again under a new epoch; BUSY gets a new sample
        now = await client.now()
        reissued = iso_millis(now - (monotonic() - began))
        epoch += 1
        quiet = await write(
            client, "QUIET", state(epoch, 1, timestamp=reissued, feed_time=feed_time, source="myfeed")
        )
        busy = await write(client, "BUSY", state(epoch, 2, timestamp=iso_millis(now), source="myfeed"))
        await viewer.holds({"QUIET": quiet, "BUSY": busy})
        await beat(client, epoch)
        await viewer.stands("QUIET", "stale", "market_quiet")
        seconds = monotonic() - began
        [*_, (_, age_ms)] = ages(viewer, "QUIET")
        assert 1900 <= age_ms <= (seconds + 1.0 + max(0.0, step)) * 1000
        shown = from_iso(viewer.heartbeat["timestamp"])
        assert abs(shown - await client.now()) < 2, "the times of messages follow Redis's clock"


async def test_a_sample_from_ahead_is_expired_until_a_newer_one_comes(redis_url: str, client: Any) -> None:
    port = free_port()
    async with bridging(redis_url, port, reread_seconds=NEVER, silence_seconds=6.0), viewing(port) as viewer:
        now = await client.now()
        epoch = round(now * 1000)
        await beat(client, epoch)
        await write(client, "SPY", state(epoch, 1, timestamp=iso_millis(now + 58), source="myfeed"))
        await viewer.stands("SPY", "expired", "market_quiet")
        assert ages(viewer, "SPY") == [("expired", None)]
        await write(client, "SPY", state(epoch, 2, timestamp=iso_millis(await client.now()), source="myfeed"))
        await viewer.stands("SPY", "live", None)


async def test_a_feed_that_is_late_by_nature_is_named(redis_url: str, client: Any) -> None:
    port = free_port()
    async with bridging(redis_url, port, reread_seconds=NEVER, silence_seconds=6.0), viewing(port) as viewer:
        now = await client.now()
        epoch = round(now * 1000)
        await beat(client, epoch)
        late = {"timestamp": iso_millis(now - 902), "source": "myfeed"}
        await write(client, "LATE", state(epoch, 1, lag_ms=900_000, **late))
        await write(client, "DEAD", state(epoch, 1, **late))
        await viewer.stands("LATE", "stale", "feed_late")
        await viewer.stands("DEAD", "expired", "market_quiet")
        assert ages(viewer, "LATE")[-1][1] >= 902_000, "its age is the whole one"


async def test_behind_the_broadcaster_too_each_client_is_told_the_age_of_its_symbol(
    redis_url: str, client: Any
) -> None:
    bridge_port, port = free_port(), free_port()
    async with bridging(redis_url, bridge_port, silence_seconds=6.0), broadcasting(bridge_port, port):
        now = await client.now()
        epoch = round(now * 1000)
        async with viewing(port) as everything, viewing(port, "?symbols=YOUNG") as one:
            await beat(client, epoch)
            ages_of = {"OLD": 1805.0, "YOUNG": 305.0}
            await write_all(
                client,
                {
                    symbol: state(epoch, 1, timestamp=iso_millis(now - age), source="myfeed")
                    for symbol, age in ages_of.items()
                },
            )
            await eventually(lambda: any({"OLD", "YOUNG"} <= set(each["symbols"]) for each in everything.statements))
            await one.stands("YOUNG", "expired", "market_quiet")
            [(_, age_ms)] = ages(one, "YOUNG")
            assert 305_000 <= age_ms < 330_000
            [told] = [each for each in everything.statements if "OLD" in each["symbols"]]
            assert told["age_ms"] == max(told["ages_ms"]) >= 1_805_000
