"""A consumer that heals, on a real Redis that dies, hangs and comes back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cottage import consumer
from cottage.clock import SystemClock
from cottage.consumer import ChannelConsumer, ChannelHandler
from cottage.errors import RedisError, RedisFull, RedisUnavailable
from cottage.redis import Client, connect
from tests.support import OwnRedis, eventually, library_events

NEVER = 3600.0
"""As `reconcile_seconds`: what is read again then is read for another reason."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "PING_SECONDS", 0.3)
    monkeypatch.setattr(consumer, "RECONCILE_PAUSE_SECONDS", 0.2)


class Log(ChannelHandler):
    """A handler that keeps what it was told, in order, and reads one key."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.payloads: list[bytes] = []
        self.error: RedisError | None = None
        """Of the last `lost`."""
        self.beside = 0
        """Running `while_connected`s."""

    async def reconcile(self, client: Client) -> None:
        self.told.append(("read", await client.get("total")))

    async def received(self, payloads: Sequence[bytes]) -> None:
        self.told.append("received")
        self.payloads += payloads

    def connected(self) -> None:
        self.told.append("connected")

    def lost(self, error: RedisError) -> None:
        assert isinstance(error, RedisUnavailable)
        self.error = error
        self.told.append("lost")

    async def while_connected(self, client: Client) -> None:
        self.beside += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.beside -= 1

    @property
    def links(self) -> list[str]:
        return [each for each in self.told if each in ("connected", "lost")]

    @property
    def reads(self) -> list[bytes | None]:
        return [each[1] for each in self.told if each[0] == "read"]


@asynccontextmanager
async def consuming(
    url: str, handler: ChannelHandler, *channels: str, ready: bool = True, **options: Any
) -> AsyncIterator[ChannelConsumer]:
    """It runs until the block ends; `ready`: once it is connected."""
    chosen: dict[str, Any] = {"silence_seconds": 0.3, "reconcile_seconds": NEVER, "timeout": 1.0, **options}
    made = ChannelConsumer(url, channels or ["news"], handler, **chosen)
    running = asyncio.create_task(made.run())
    try:
        if ready:
            await eventually(lambda: made.problem is None)
        yield made
    finally:
        running.cancel()
        _done, late = await asyncio.wait((running,), timeout=5)
        assert not late
        assert running.cancelled()


async def test_everything_is_read_before_the_first_message_and_nothing_falls_between(
    redis_url: str, client: Client
) -> None:
    class Reading(Log):
        async def reconcile(self, client: Client) -> None:
            await super().reconcile(client)
            assert await client.publish("news", b"told while it is read") == 1, "it is subscribed by now"

    await client.set("total", b"7")
    handler = Reading()
    async with consuming(redis_url, handler):
        await eventually(lambda: handler.payloads)
        assert handler.told == [("read", b"7"), "connected", "received"]
        assert handler.payloads == [b"told while it is read"]
        await eventually(lambda: handler.beside == 1)
    assert handler.beside == 0
    assert handler.links == ["connected"], "who ends it himself has lost nothing"


async def test_messages_of_all_its_channels_come_in_order_and_in_batches(redis_url: str, client: Client) -> None:
    handler = Log()
    async with consuming(redis_url, handler, "news", "sport"):
        sent = [f"{i}".encode() for i in range(2000)]
        await client.bulk(("PUBLISH", ("news", "sport")[int(each) % 2], each) for each in sent)
        await eventually(lambda: len(handler.payloads) >= len(sent))
    assert handler.payloads == sent
    assert handler.told.count("received") < len(sent)


async def test_it_reads_again_every_so_often(redis_url: str, client: Client) -> None:
    handler = Log()
    async with consuming(redis_url, handler, reconcile_seconds=0.1):
        await client.set("total", b"8")
        await eventually(lambda: handler.reads.count(b"8") >= 3)
        assert handler.links == ["connected"]


async def test_it_reads_again_on_demand_but_not_as_often_as_it_is_asked(redis_url: str, client: Client) -> None:
    handler = Log()
    loop = asyncio.get_running_loop()
    async with consuming(redis_url, handler) as running:
        began = loop.time()
        await client.set("total", b"9")
        for _ in range(200):
            running.reconcile_soon()
            await asyncio.sleep(0.001)
        await eventually(lambda: b"9" in handler.reads)
        assert len(handler.reads) <= 2 + (loop.time() - began) / consumer.RECONCILE_PAUSE_SECONDS


async def test_a_connection_that_was_cut_is_a_gap_and_the_gap_is_read(redis_url: str, client: Client) -> None:
    handler = Log()
    async with consuming(redis_url, handler):
        for count, number in enumerate((b"1", b"2", b"3")):
            await client.set("total", number)
            await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await eventually(lambda count=count: len(handler.links) == 3 + 2 * count)  # type: ignore[misc]  # a default
            await client.publish("news", number)
            await eventually(lambda: handler.told[-1] == "received")
        assert handler.links == ["connected", *["lost", "connected"] * 3]
        assert handler.payloads == [b"1", b"2", b"3"]
        assert handler.reads == [None, b"1", b"2", b"3"]


async def test_an_outage_is_told_once_however_often_it_is_tried(own_redis: OwnRedis) -> None:
    handler = Log()
    with library_events() as said:
        async with consuming(own_redis.url, handler) as running:
            own_redis.kill()
            await eventually(lambda: handler.links == ["connected", "lost"])
            await eventually(lambda: running.problem != f"Redis: {handler.error}")  # by a later try
            assert handler.beside == 0
            own_redis.start()
            await eventually(lambda: running.problem is None)
            assert handler.links == ["connected", "lost", "connected"]
    events = [line["event"] for line in said]
    assert events.count("subscribed") == 2
    assert 1 <= events.count("redis_lost") <= 2, "one line each kind of error"


class MovedClock(SystemClock):
    """The system's clock, so many seconds later."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


async def test_an_outage_lasts_from_its_loss_on_however_long_the_connection_had_lived(own_redis: OwnRedis) -> None:
    clock = MovedClock()
    with library_events() as lines:
        async with consuming(own_redis.url, Log(), clock=clock) as consuming_it:
            clock.ahead = 1000.0
            own_redis.kill()
            await eventually(lambda: consuming_it.problem)
            own_redis.restart()
            await eventually(lambda: consuming_it.problem is None)
    (back,) = [line for line in lines if line["event"] == "redis_back"]
    assert back["seconds"] < 1000.0


class Refused(Log):
    """Its own work is refused on each connection."""

    async def while_connected(self, client: Client) -> None:
        raise RedisFull("OOM")

    def lost(self, error: RedisError) -> None:
        self.told.append("lost")


async def test_work_that_is_refused_on_each_connection_is_one_outage(redis_url: str) -> None:
    handler = Refused()
    with library_events() as lines:
        async with consuming(redis_url, handler, ready=False):
            await eventually(lambda: handler.links.count("lost") >= 5)
    events = [line["event"] for line in lines]
    assert events.count("subscribed") >= 5
    assert (events.count("redis_lost"), events.count("redis_back")) == (1, 0)


async def test_it_may_start_before_redis(own_redis: OwnRedis) -> None:
    own_redis.kill()
    handler = Log()
    async with consuming(own_redis.url, handler, ready=False) as running:
        assert running.problem == "not subscribed yet"
        await eventually(lambda: running.problem != "not subscribed yet")
        assert running.problem is not None
        own_redis.start()
        await eventually(lambda: running.problem is None)
        assert handler.links == ["connected"], "what never was cannot be lost"


async def test_a_server_that_hangs_is_found_by_a_ping(own_redis: OwnRedis) -> None:
    handler = Log()
    async with consuming(own_redis.url, handler) as running, connect(own_redis.url) as client:
        own_redis.suspend()
        await eventually(lambda: handler.links == ["connected", "lost"])
        own_redis.resume()
        await eventually(lambda: running.problem is None)
        await client.publish("news", b"a")
        await eventually(lambda: handler.payloads == [b"a"])


@pytest.mark.parametrize(
    ("method", "links"),
    [
        ("reconcile", ["connected", "lost", "connected"]),  # the second error comes before it is connected again
        ("while_connected", ["connected", "lost", "connected", "lost", "connected"]),
    ],
)
async def test_an_error_of_redis_beside_the_channel_is_a_lost_connection(
    redis_url: str, client: Client, method: str, links: list[str]
) -> None:
    """The channel itself is well, and never silent."""
    handler, failures = Log(), 2

    async def failing(_client: Client) -> None:
        nonlocal failures
        if failures and (method == "while_connected" or handler.reads):
            failures -= 1
            raise RedisUnavailable("a command failed")
        await original(_client)

    original = getattr(handler, method)
    setattr(handler, method, failing)
    async with consuming(redis_url, handler, silence_seconds=60.0, reconcile_seconds=0.1, ready=False):
        await eventually(lambda: handler.links == links)
        assert not failures
        await client.publish("news", b"a")
        await eventually(lambda: handler.payloads)


@pytest.mark.parametrize("method", ["reconcile", "received"])
async def test_an_error_of_the_handler_itself_ends_it(redis_url: str, client: Client, method: str) -> None:
    handler = Log()

    async def wrong(_argument: Any) -> None:
        raise ValueError("a fault of the handler")

    setattr(handler, method, wrong)
    running = asyncio.create_task(ChannelConsumer(redis_url, ["news"], handler).run())
    if method == "received":
        await eventually(lambda: handler.links)
        await client.publish("news", b"a")
    _done, late = await asyncio.wait((running,), timeout=5)
    assert not late
    error = running.exception()
    assert isinstance(error, ValueError) or (isinstance(error, ExceptionGroup) and error.subgroup(ValueError))


@pytest.mark.parametrize("when", ["connecting", "hanging", "waiting"])
async def test_it_ends_when_it_is_cancelled_whatever_it_waits_for(own_redis: OwnRedis, when: str) -> None:
    handler = Log()
    if when == "connecting":
        own_redis.suspend()
    async with consuming(own_redis.url, handler, ready=when != "connecting", timeout=30.0) as running:
        if when == "hanging":
            own_redis.suspend()
        elif when == "waiting":
            own_redis.kill()
            await eventually(lambda: running.problem is not None)
    # `consuming` has seen to it that it ended, within less than its timeout.
    if when != "waiting":
        own_redis.resume()
