"""What stops, is cut off or loses its data: processes, the network, Redis, and the channel."""

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import orjson

from cottage import keys
from cottage.backoff import REFUSED_SECONDS
from cottage.clock import iso_millis
from cottage.errors import RedisError
from cottage.redis import connect, subscribe
from cottage.state import PhysicsState
from cottage.version import Version
from tests.chaos.faults.registry import fault
from tests.chaos.suite import Member, Suite, may_mount
from tests.support import eventually

# Processes


def _of_processes(service: str) -> None:
    async def killed(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
        member = rng.choice(suite.of(service))
        await member.kill()
        yield
        await suite.restart(member, rng)

    async def hung(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
        member = rng.choice(suite.of(service))
        member.suspend()
        try:
            yield
        finally:
            member.resume()

    for function in (killed, hung):
        function.__name__ = f"{service}_{function.__name__}"
        fault(ends_processes=function is killed)(function)


for _service in ("market", "feynman", "physics", "bridge", "broadcaster", "recorder"):
    _of_processes(_service)


@fault()
async def writer_hung_and_replaced(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """The writer sleeps longer than its lease: the standby writes, and the one that wakes must not."""
    writer = await _writer(suite)
    writer.suspend()
    try:
        await asyncio.sleep(1.6 * suite.pace.lease)
        yield
    finally:
        writer.resume()
        await asyncio.sleep(2 * suite.pace.tick)


async def _writer(suite: Suite) -> Member:
    """The feynman that holds the lease; any where nobody does."""
    feynmans = suite.of("feynman")
    with suppress(RedisError):
        lease = await suite.direct.get(keys.physics_writer(0))
        if lease:
            pid = orjson.loads(lease)["holder"].split(":")[1]
            for member in feynmans:
                if member.process is not None and str(member.process.pid) == pid:
                    return member
    return feynmans[0]


# The network


def _hops(suite: Suite) -> list[str]:
    return [name for name in suite.proxies if name != "harness"]


@fault()
async def connections_cut(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    suite.proxies[rng.choice(_hops(suite))].cut()
    yield


@fault()
async def bridge_cut_off(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """Only the bridge: what is published meanwhile is gone for it."""
    suite.proxies["bridge"].cut(refuse=True)
    try:
        await asyncio.sleep(rng.uniform(2, 10) * suite.pace.tick)
        yield
    finally:
        suite.proxies["bridge"].heal()


@fault()
async def network_down(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    name = rng.choice(_hops(suite))
    suite.proxies[name].cut(refuse=True)
    try:
        yield
    finally:
        suite.proxies[name].heal()


@fault()
async def network_stalled(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    name = rng.choice(_hops(suite))
    suite.proxies[name].stall()
    try:
        yield
    finally:
        suite.proxies[name].heal()


@fault(patience=2.0)
async def half_open(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    suite.proxies[rng.choice(_hops(suite))].forget()
    yield


@fault()
async def network_slow(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    name = rng.choice(_hops(suite))
    suite.proxies[name].delay = rng.uniform(0.1, 1.5) * suite.pace.tick
    try:
        yield
    finally:
        suite.proxies[name].heal()


# Redis


@fault(lossy=True, alone=True)
async def redis_killed(suite: Suite, _rng: random.Random) -> AsyncIterator[None]:
    await suite.kill_redis()
    yield
    await suite.start_redis()


@fault(lossy=True, alone=True, patience=1.0)
async def redis_loading(suite: Suite, _rng: random.Random) -> AsyncIterator[None]:
    """It is back, and answers LOADING for a while; to TIME too it answers, which is no reason to call it back."""
    backs = {member.name: member.times_said("redis_back") for member in suite.members.values()}
    await suite.kill_redis()
    slow = ("--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024")
    starting = asyncio.create_task(suite.start_redis(*(slow if suite.redis.kind == "redis" else ())))
    yield

    async def loaded() -> bool:
        await _say(suite, "CONFIG", "SET", "key-load-delay", 0)
        return starting.done()

    await eventually(loaded, 30)
    await starting
    for member in suite.members.values():
        said = member.times_said("redis_back") - backs[member.name]
        if said > 1:  # once it may be: before the loading began to answer
            suite.violations.add("flapping", f"{member.name} said {said} times that a Redis that loads was back")


@fault(alone=True)
async def redis_hung(suite: Suite, _rng: random.Random) -> AsyncIterator[None]:
    suite.redis.suspend()
    try:
        yield
    finally:
        suite.redis.resume()


async def _say(suite: Suite, *command: str | bytes | int) -> None:
    """To Redis, as far as it hears."""
    with suppress(RedisError):
        await suite.direct.execute_command(*command)


@fault()
async def clients_killed(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    await _say(suite, "CLIENT", "KILL", "TYPE", rng.choice(["normal", "pubsub"]), "SKIPME", "yes")
    yield


@fault()
async def redis_paused(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    milliseconds = round(rng.uniform(1, 20) * suite.pace.tick * 1000)
    await _say(suite, "CLIENT", "PAUSE", milliseconds, rng.choice(["ALL", "WRITE"]))
    yield
    await asyncio.sleep(milliseconds / 1000)


@asynccontextmanager
async def _closed_to_all(suite: Suite, setting: str, value: str | int, usual: str | int) -> AsyncIterator[None]:
    """Redis lets nobody in any more; through a connection of our own, which it had before."""
    async with connect(suite.direct_url, timeout=2.0) as admin:

        async def say(*command: str | int) -> None:
            with suppress(RedisError):
                await admin.execute_command(*command)

        await say("CONFIG", "SET", setting, value)
        await say("CLIENT", "KILL", "TYPE", "pubsub")
        await say("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        try:
            yield
        finally:
            await say("CONFIG", "SET", setting, usual)


@fault(alone=True)
async def no_more_connections(suite: Suite, _rng: random.Random) -> AsyncIterator[None]:
    async with _closed_to_all(suite, "maxclients", 1, 10_000):
        yield


@fault(patience=REFUSED_SECONDS + 1, alone=True)
async def wrong_password(suite: Suite, _rng: random.Random) -> AsyncIterator[None]:
    async with _closed_to_all(suite, "requirepass", "chaos", ""):
        yield


@fault(lossy=True)
async def flushed(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    await _say(suite, "FLUSHALL")
    if rng.random() < 0.5:
        await _say(suite, "SCRIPT", "FLUSH")
    yield


@fault(lossy=True)
async def keys_deleted(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """Of all kinds: states, snapshots, the lease, the feed."""
    with suppress(RedisError):
        names = sorted([key async for key in suite.direct.scan_iter(count=1000)])
        if names:
            await suite.direct.delete(*rng.sample(names, rng.randint(1, len(names))))
    yield


@fault(lossy=True, alone=True, patience=1.0)
async def older_data_restored(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    copy = await asyncio.to_thread(suite.copy_of_redis)
    await asyncio.sleep(rng.uniform(5, 20) * suite.pace.tick)
    await suite.kill_redis()
    await asyncio.to_thread(suite.put_back, copy)
    await suite.start_redis("--aof-load-truncated", "yes")
    yield


@fault(lossy=True, alone=True, patience=1.0)
async def failover_to_a_lagging_replica(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    replica = suite.another_redis(f"replica-{rng.randrange(10**9)}")
    await asyncio.to_thread(replica.start, *suite.redis_arguments, "--replicaof", f"127.0.0.1 {suite.redis.port}")
    async with connect(replica.url) as client:

        async def synced() -> bool:
            status: str = (await client.info("replication"))["master_link_status"]
            return status == "up"

        await eventually(synced, 20)
        await client.execute_command("REPLICAOF", "NO", "ONE")  # what is written from now on never reaches it
        await asyncio.sleep(rng.uniform(5, 20) * suite.pace.tick)
        await suite.kill_redis()
        yield
        await suite.replace_redis(replica)


@fault(lossy=True)
async def out_of_memory(suite: Suite, _rng: random.Random) -> AsyncIterator[None]:
    await _say(suite, "CONFIG", "SET", "maxmemory", "1mb")
    try:
        yield
    finally:
        await suite.insist("CONFIG", "SET", "maxmemory", 0)


@fault(lossy=True)
async def evicting(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """Down to next to nothing: lease, states and snapshots go."""
    await _say(suite, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    await _say(suite, "CONFIG", "SET", "maxmemory", rng.choice(["1mb", "1200kb", "1500kb"]))
    try:
        yield
    finally:
        await suite.insist("CONFIG", "SET", "maxmemory", 0)
        await suite.insist("CONFIG", "SET", "maxmemory-policy", "noeviction")


@fault()
async def subscriber_cut_for_slowness(suite: Suite, _rng: random.Random) -> AsyncIterator[None]:
    """The bridge does not read, until Redis's buffer for it is full."""
    bridge = suite.of("bridge")[0]
    bridge.suspend()
    try:
        message = orjson.dumps(
            {"event": "AGENT_UPDATE", "agent_id": "chaos", "timestamp": iso_millis(0), "data": {"x": "y" * 50_000}}
        )
        for _ in range(100):
            await _say(suite, "PUBLISH", keys.STATE_UPDATE, message)
        yield
    finally:
        bridge.resume()


@fault(lossy=True, alone=True, patience=1.0)
async def disk_full(suite: Suite, _rng: random.Random) -> AsyncIterator[None]:
    """A small file system under the append-only file, filled to the last byte."""
    folder = suite.redis.folder / "appendonlydir"
    await suite.kill_redis()
    if not may_mount():
        await suite.start_redis()
        yield
        return
    content = {path.name: path.read_bytes() for path in folder.iterdir()}
    await asyncio.to_thread(_mount, folder, 64 + sum(map(len, content.values())) // 2**20)
    try:
        for name, data in content.items():
            (folder / name).write_bytes(data)
        await suite.start_redis()
        await asyncio.to_thread(_fill, folder / "filler")
        yield
        (folder / "filler").unlink()
        await asyncio.sleep(5 * suite.pace.tick)
        await suite.kill_redis()
        content = {path.name: path.read_bytes() for path in folder.iterdir()}
    finally:
        await suite.kill_redis()
        await asyncio.to_thread(subprocess.run, ["umount", str(folder)], check=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    await suite.start_redis("--aof-load-truncated", "yes")


def _mount(folder: Path, megabytes: int) -> None:
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "chaos", str(folder)]
    subprocess.run(["mount", *options], check=True)


def _fill(filler: Path) -> None:
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


# The channel


@fault(alone=True)
async def messages_repeated(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """What was published comes again, late and in another order: a writer that hung, a network that repeats."""
    with suppress(RedisError):
        async with subscribe(suite.direct_url, keys.STATE_UPDATE) as subscription:
            payloads: list[bytes] = []
            async with asyncio.timeout(5):
                while len(payloads) < 100:
                    payloads += await subscription.messages(1.0)
        for payload in rng.choices(payloads, k=200):
            await _say(suite, "PUBLISH", keys.STATE_UPDATE, payload)
    yield


@fault()
async def hostile_messages(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    future = {"epoch": 2**53 - 1, "seq": 1}
    update = {"event": "PHYSICS_UPDATE", "symbol": "S000", "data": {"alpha": 2.8, "regime": "Gaussian"}}
    hostile = [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"event":"PHYSICS_UPDATE"}', b'{"event":"NONE"}']
    hostile += [orjson.dumps({**update, **future}), orjson.dumps({**update, "symbol": "no symbol"})]
    hostile += [b'{"event":"PHYSICS_UPDATE","symbol":"S000","data":{"alpha":NaN}}', b"[" * 5000]
    for payload in rng.choices(hostile, k=50):
        await _say(suite, "PUBLISH", keys.STATE_UPDATE, payload)
    yield


@fault(lossy=True, deletes=True)
async def symbol_deleted_for_good(suite: Suite, rng: random.Random) -> AsyncIterator[None]:
    """A state that nobody writes any more comes, is deleted, and must be gone everywhere."""
    name = f"GONE{rng.randrange(10**6)}"
    with suppress(RedisError):
        now = await suite.direct.now()
        state = PhysicsState(
            *(0.1, 0.2, 0.3, 0.4, 0.5, "Gaussian", 2.8),
            timestamp=iso_millis(now),
            source="chaos",
            version=Version(round(now * 1000), 1),
        )
        await suite.direct.set(keys.physics_state(name), state.to_bytes())
        await suite.direct.publish(keys.STATE_UPDATE, state.update(name))
    yield
    await suite.insist("DEL", keys.physics_state(name))
