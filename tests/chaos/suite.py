"""The real processes around a real Redis, each behind a proxy of its own."""

import asyncio
import os
import random
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from cottage import keys
from cottage.errors import InvalidMessage, RedisError
from cottage.redis import Client, connect
from cottage.snapshot import MarketSnapshot
from cottage.state import PhysicsState
from cottage.store import MarketSnapshots
from deploy.redis_server import Server, free_port
from tests.bench.processes import resident_bytes
from tests.chaos.pace import Pace
from tests.chaos.proxy import Proxy, proxy
from tests.chaos.samples import Samples, sample_time
from tests.chaos.watch import Violations
from tests.clock_shim import ClockShim, why_not
from tests.support import OwnRedis, ServiceProcess, eventually, program

TOKEN_SETTINGS = ("AUTH_SECRET", "AUTH_SECRET_FILE", "AUTH_JWKS_FILE")
"""Of the environment, for those who ask clients for tokens: then --token-file is needed."""
LINK_SETTINGS = ("LINK_SECRET", "LINK_SECRET_FILE", "LINK_SECRET_BEFORE", "LINK_SECRET_BEFORE_FILE")
"""The same, for the bridge and who dials it."""
HANDED_ON = {
    "bridge": LINK_SETTINGS,
    "broadcaster": (*TOKEN_SETTINGS, *LINK_SETTINGS),
    "physics": TOKEN_SETTINGS,
    "recorder": LINK_SETTINGS,
}
"""To which services."""

if TYPE_CHECKING:
    from tests.chaos.onlooker import Onlooker

AOF = (
    *("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction"),
    *("--client-output-buffer-limit", "pubsub", "1mb", "512kb", "5", "--aof-use-rdb-preamble", "yes"),
    *("--repl-diskless-sync-delay", "0", "--enable-debug-command", "local"),
)
MOST_FOREIGN = 30
"""Symbols beside the market's that feynman takes in: see FEYNMAN_MAX_SYMBOLS."""
NOISE_SECONDS = 1.0
"""What a busy machine may add to any bound."""
RESTART_SECONDS = (0.1, 0.5)
"""What a supervisor takes to notice a death."""


class Member:
    """One process of the suite; it is started again by `start`."""

    def __init__(self, name: str, service: str, env: Mapping[str, str], command: list[str]) -> None:
        self.name = name
        self.service = service
        self.env = env
        self.command = command
        self._stack = AsyncExitStack()
        self.process: ServiceProcess | None = None
        self.suspended = False
        self.expected_to_die = False
        self.started_at = 0.0
        self.said: list[dict[str, Any]] = []
        """By earlier processes of this member."""
        self.complained: list[str] = []

    def last_said(self, events: Collection[str]) -> float:
        """When it said one of these last, by our monotonic clock; 0 where it did not."""
        if self.process is not None:
            for line, at in zip(reversed(self.process.logs), reversed(self.process.logged_at), strict=True):
                if line["event"] in events:
                    return at
        return 0.0

    def times_said(self, event: str) -> int:
        """How often this process has said that."""
        return 0 if self.process is None else sum(line["event"] == event for line in self.process.logs)

    def write_logs(self, folder: Path) -> None:
        """All that it said, one JSON object a line, and below what it wrote to stderr."""
        now = [] if self.process is None else self.process.logs
        complained = self.complained + ([] if self.process is None else self.process.errors)
        lines = [orjson.dumps(line).decode() for line in (*self.said, *now)]
        (folder / f"{self.name}.log").write_text("\n".join([*lines, *complained]) + "\n")

    async def start(self) -> None:
        if self.process is not None:
            self.said += self.process.logs
            self.complained += self.process.errors
        self.expected_to_die = True
        await self._stack.aclose()
        self._stack = AsyncExitStack()
        self.process = await self._stack.enter_async_context(program(self.command, self.env))
        self.expected_to_die = self.suspended = False
        self.started_at = time.monotonic()

    async def kill(self) -> None:
        """SIGKILL."""
        self.expected_to_die = True
        assert self.process is not None
        await self.process.kill()

    def suspend(self) -> None:
        assert self.process is not None
        self.suspended = True
        with suppress(ProcessLookupError):  # it died by itself: `look_after` says so
            self.process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.suspended = False
        with suppress(ProcessLookupError):
            self.process.signal(signal.SIGCONT)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None

    def resident(self) -> int | None:
        """Bytes."""
        if not self.alive or self.process is None:
            return None
        with suppress(OSError):
            return resident_bytes(self.process.pid)
        return None

    async def tasks(self) -> int | None:
        """Asyncio tasks that it has."""
        assert self.process is not None
        for line in (await self.process.get("/metrics")).text.splitlines():
            if line.startswith("cottage_event_loop_tasks "):
                return round(float(line.split()[1]))
        return None

    async def close(self) -> None:
        self.expected_to_die = True
        await self._stack.aclose()


class Suite:
    """Made by `suite`."""

    def __init__(
        self, server: Server, folder: Path, pace: Pace, violations: Violations, sabotage: str | None = None
    ) -> None:
        self._sabotage = sabotage
        self.pace = pace
        self.violations = violations
        self._server = server
        self._folder = folder
        self.samples = Samples()
        self.clocks: dict[str, ClockShim] = {}
        """The wall clock of each process, by its name, and of Redis's host (`redis`); empty where there is none."""
        self.stepped_at: list[float] = []
        """When Redis's clock was set."""
        self.redis: OwnRedis
        self.redis_arguments: tuple[str, ...] = AOF
        self.members: dict[str, Member] = {}
        self.proxies: dict[str, Proxy] = {}
        """To Redis, by the member that uses it; of a broadcaster to the bridge."""
        self.direct: Client
        """To Redis, past all that is broken, but for Redis itself."""
        self.urls: list[str] = []
        self.api_url = ""
        self.record = folder / "record"
        self.symbols: list[str] = []
        """Of the simulated market."""
        self.quiet: set[str] = set()
        """Symbols of the harness's own feed of which nothing is written now, but for a fault."""
        self.onlooker: Onlooker
        """A client in a process of its own; of the crowd."""

    @property
    def most_symbols(self) -> int:
        """That feynman takes in."""
        return len(self.symbols) + MOST_FOREIGN

    # Redis

    def attach(self, client: Client) -> None:
        """This is our way to Redis."""
        self.direct, self._snapshots = client, MarketSnapshots(client)

    @property
    def direct_url(self) -> str:
        return f"redis://127.0.0.1:{self.proxies['harness'].port}"

    async def start_redis(self, *arguments: str) -> None:
        await asyncio.to_thread(self.redis.start, *self.redis_arguments, *arguments)

    async def kill_redis(self) -> None:
        await asyncio.to_thread(self.redis.kill)

    def copy_of_redis(self) -> Path:
        """Its files as they are now."""
        copy = self._folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.redis.folder, copy)
        return copy

    def put_back(self, copy: Path) -> None:
        shutil.rmtree(self.redis.folder)
        shutil.copytree(copy, self.redis.folder)

    def another_redis(self, name: str) -> OwnRedis:
        """Not started yet."""
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        return OwnRedis(self._server, folder, self.clock("redis"))

    async def replace_redis(self, successor: OwnRedis) -> None:
        """Everybody is sent to another server from now on, as after a failover."""
        self.redis = successor
        for name, each in self.proxies.items():
            if not name.startswith("broadcaster"):
                each.target = successor.port
                each.cut()

    async def insist(self, *command: str | bytes | int) -> None:
        """Say it to Redis until it has heard: a cure."""

        async def heard() -> bool:
            try:
                await self.direct.execute_command(*command)
            except RedisError:
                return False
            return True

        await eventually(heard, 30)

    # the harness's own feed, and what comes of it

    async def write(self, symbol: str, price: float, ahead: float = 0.0) -> None:
        """A snapshot of a foreign symbol, from so many seconds ahead of Redis's clock."""
        now = round(await self.direct.now() + ahead, 3)
        self.samples.wrote(symbol, now, time.monotonic())
        await self._snapshots.write([MarketSnapshot(symbol, price, now, source="chaos")])

    async def shows(self, symbol: str, expected: Callable[[PhysicsState], bool], what: str) -> None:
        """Redis must hold such a state two ticks from now."""
        deadline = time.monotonic() + 2 * self.pace.tick + NOISE_SECONDS
        while time.monotonic() < deadline:
            with suppress(RedisError, InvalidMessage):
                if expected(PhysicsState.from_bytes(await self.direct.get(keys.physics_state(symbol)) or b"")):
                    return
            await asyncio.sleep(self.pace.tick / 4)
        self.violations.add("blocked", f"{what} are not taken")

    async def all_written(self, symbols: Collection[str], when: str) -> None:
        """The states of these symbols must be of new samples."""
        starved = []
        for symbol in symbols:
            payload, age = await self.direct.get(keys.physics_state(symbol)), None
            if payload is not None and (sampled := sample_time(orjson.loads(payload))) is not None:
                age = self.samples.age(symbol, sampled, time.monotonic())
            if age is None or age > 5 * self.pace.tick + NOISE_SECONDS / 4:
                starved.append(symbol)
        if starved:
            self.violations.add("starved", f"nothing new of {len(starved)} symbols, such as {starved[0]}, {when}")

    async def newest_tick(self) -> int:
        """The number of the writer's newest tick."""
        payloads = await self.direct.mget([keys.physics_state(symbol) for symbol in self.symbols])
        return max(int(orjson.loads(payload)["seq"]) for payload in payloads if payload is not None)

    # clocks

    def clock(self, name: str) -> dict[str, str]:
        """The environment of a process with a wall clock of that name."""
        if why_not() is not None:
            return {}
        if name not in self.clocks:
            self.clocks[name] = ClockShim(self._folder / "clocks")
        return self.clocks[name].environment()

    def step(self, names: Collection[str], seconds: float) -> None:
        """Set these clocks, all at once."""
        for name in names:
            self.clocks[name].step(seconds)
        if "redis" in names:
            self.samples.stepped()
            self.stepped_at.append(time.monotonic())

    # processes

    def command(self, module: str, *arguments: str) -> list[str]:
        """The command line of a process, out of which a promise may have been taken."""
        sabotaged = [] if self._sabotage is None else ["tests.chaos.sabotage", self._sabotage]
        return ["-m", *sabotaged, module, *arguments]

    @asynccontextmanager
    async def another_market(self, seed: int) -> AsyncIterator[None]:
        """A second market process with the same symbols, until the block ends."""
        first = self.members["market"]
        second = Member("market-2", "market", {**first.env, "MARKET_SEED": str(seed)}, first.command)
        await second.start()
        try:
            assert second.process is not None
            await second.process.logged("starting")
            yield
        finally:
            await second.close()

    def of(self, service: str) -> list[Member]:
        return [member for member in self.members.values() if member.service == service]

    async def restart(self, member: Member, rng: random.Random) -> None:
        await asyncio.sleep(rng.uniform(*RESTART_SECONDS) * min(1.0, 2 * self.pace.scale + 0.2))
        await member.start()

    def write_logs(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for member in self.members.values():
            member.write_logs(folder)

    async def look_after(self) -> None:
        """Until cancelled: a process that dies though nobody killed it is a violation, and started again."""
        while True:
            await asyncio.sleep(0.1)
            for member in list(self.members.values()):
                if member.alive or member.expected_to_die or member.process is None:
                    continue
                process = member.process
                await process.ended()
                said = [line for line in process.logs if line.get("level") in ("error", "critical")]
                loudly = "loudly" if said or process.errors else "without a word"
                last = said[-1:] or process.errors[-1:] or process.logs[-1:]
                self.violations.add("died", f"{member.name} {loudly}, status {process.returncode}: {last}")
                await member.start()


@asynccontextmanager
async def suite(
    server: Server,
    folder: Path,
    pace: Pace,
    violations: Violations,
    symbols: int,
    *,
    window: int = 100,
    sabotage: str | None = None,
) -> AsyncIterator[Suite]:
    """All of it, started and stopped at the end of the block. `sabotage`: which promise is taken out of it."""
    async with AsyncExitStack() as stack:
        made = Suite(server, folder, pace, violations, sabotage)
        made.redis = made.another_redis("redis")
        await made.start_redis()
        stack.callback(lambda: made.redis.kill())

        async def redis_proxy(name: str) -> str:
            made.proxies[name] = await stack.enter_async_context(proxy(made.redis.port))
            return f"redis://127.0.0.1:{made.proxies[name].port}"

        made.attach(connect(await redis_proxy("harness"), timeout=1.0))
        stack.push_async_callback(lambda: made.direct.aclose())
        made.symbols = [f"S{number:03}" for number in range(symbols)]
        names = ",".join(made.symbols)
        link, api = free_port(), free_port()
        bridge_url = f"ws://127.0.0.1:{link}/ws"
        made.api_url = f"http://127.0.0.1:{api}"
        feynman = {"FEYNMAN_WINDOW": str(window), "FEYNMAN_MAX_SYMBOLS": str(made.most_symbols)}
        plan: list[tuple[str, str, dict[str, str]]] = [
            ("market", "market", {"MARKET_SYMBOLS": names}),
            ("feynman-a", "feynman", feynman),
            ("feynman-b", "feynman", feynman),
            ("bridge", "bridge", {"BRIDGE_PORT": str(link)}),
            ("physics", "physics", {"PHYSICS_PORT": str(api)}),
            ("broadcaster-a", "broadcaster", {}),
            ("broadcaster-b", "broadcaster", {}),
            ("recorder", "recorder", {"RECORDER_DIR": str(made.record), "RECORDER_BRIDGE_URL": bridge_url}),
        ]
        for name, service, own in plan:
            env = {**pace.env(), f"{service.upper()}_OPS_PORT": "0", "LOG_FORMAT": "json", **own, **made.clock(name)}
            handed_on = HANDED_ON.get(service, ())
            env |= {variable: os.environ[variable] for variable in handed_on if variable in os.environ}
            if service == "broadcaster":
                made.proxies[name] = await stack.enter_async_context(proxy(link))
                port = free_port()
                env["BROADCASTER_BRIDGE_URL"] = f"ws://127.0.0.1:{made.proxies[name].port}/ws"
                env["BROADCASTER_PORT"] = str(port)
                env["BROADCASTER_MAX_CONNECTIONS_PER_ADDRESS"] = "0"
                made.urls.append(f"ws://127.0.0.1:{port}/ws")
            else:
                env["REDIS_URL"] = await redis_proxy(name)
            made.members[name] = Member(name, service, env, made.command(f"services.{service}.__main__"))
        for member in made.members.values():
            await member.start()
            stack.push_async_callback(member.close)
        looking = asyncio.create_task(made.look_after())
        try:
            yield made
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            for member in made.members.values():
                if member.suspended:
                    member.resume()


def may_mount() -> bool:
    """Whether a small file system of our own can be had, to be filled."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("mount") is not None
