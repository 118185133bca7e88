"""What it costs to send every update to every client: `make bench-fanout`.

A Redis of its own, the bridge and the server under test, as they run anywhere; the load client (load.c) publishes,
reads on every connection and checks each update. The server has a core to itself; load client, Redis and bridge share
the other. CPU is the server's, the kernel's work for its sockets included. In the same run stand
`websockets.broadcast()`, the usual way (plain.py), and the least that can be done in C (floor.c).
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvloop

from deploy.redis_server import REDIS_CONF, find_server, free_port, start
from tests.bench.fanout import compression, tools
from tests.bench.fanout.tokens import Tokens, ways
from tests.bench.fanout.tools import Load, Server
from tests.bench.processes import cpu_seconds, resident_bytes
from tests.bench.telling import progress, say
from tests.certificates import Authority

UNLIMITED: dict[str, Any] = {"max_connections_per_address": 0, "max_handshakes_per_second": 0, "max_connections": 0}
WINDOWS = (10, 100)
"""Updates that are under way at a time while the servers are saturated."""
ATTEMPTS = 5
"""How often a measurement is begun again because the bridge looked at Redis in it."""


class Bench:
    def __init__(self, given: argparse.Namespace, programs: Path, redis_url: str, bridge: Server) -> None:
        self._given = given
        self._seconds: float = given.seconds
        self._programs = programs
        self._redis_url = redis_url
        self._token_file: str | None = given.token_file
        self._redis_port = int(redis_url.rpartition(":")[2])
        self.bridge = bridge
        self._bridge_port = bridge.port
        self._server_core, self._others = cores()

    # Servers and clients

    def ours(self, **settings: Any) -> AbstractAsyncContextManager[Server]:
        return tools.broadcaster(self._bridge_port, self._server_core, **{**UNLIMITED, **settings})

    def plain(self) -> AbstractAsyncContextManager[Server]:
        return tools.plain(self._bridge_port, self._server_core)

    def floor(self) -> AbstractAsyncContextManager[Server]:
        return tools.floor(self._programs, self._bridge_port, self._server_core)

    @asynccontextmanager
    async def clients(self, server: Server, number: int, **options: object) -> AsyncIterator[Load]:
        progress(f"{server.name}: {number:,} clients")
        if self._token_file is not None:
            options.setdefault("token_file", self._token_file)
        seed = options.pop("seed", "seed")
        load = tools.load(self._programs, server.port, self._redis_port, number, self._others, **options)
        async with load as clients:
            await clients.ask(str(seed))
            yield clients
        progress("")

    async def measured(self, server: Server, clients: Load, command: str) -> tuple[dict[str, Any], float]:
        """The load client's report, and the server's CPU-µs a delivery. Exits where anything was lost or twice."""
        for _ in range(ATTEMPTS):
            if (taken := await self.once(server, clients, command)) is not None:
                return taken
        sys.exit(f"{server.name}, {command}: the bridge looked at Redis each time")

    async def once(self, server: Server, clients: Load, command: str) -> tuple[dict[str, Any], float] | None:
        """The same, of one attempt: None where the bridge's look at Redis was ahead of the channel. What it overtook
        is no loss, and the rate is not the server's."""
        progress(f"{server.name}: {command}")
        healed, before = await tools.healed(self.bridge), cpu_seconds(server.pid)
        report = await clients.ask(command)
        used = cpu_seconds(server.pid) - before
        overtaken = (await tools.healed(self.bridge) - healed) * report["open"]
        if report["repeats"] or not report["holding"] or report["gaps"] > overtaken:
            sys.exit(f"{server.name}, {command}: not every update arrived once and in order: {report}")
        return None if report["gaps"] else (report, used * 1e6 / max(1, report["delivered"]))

    # What is measured

    async def saturated(self) -> None:
        """As fast as the clients take it."""
        say("Saturated: every client gets every update, at most so many under way at a time")
        say(f"{'':24}{'clients':>8}{'under way':>11}{'deliveries/s':>14}{'CPU µs each':>13}{'broadcast()':>13}")
        for number in self._given.clients:
            for window in WINDOWS:
                reference = 0.0
                for serve in (self.plain, self.ours, self.floor):
                    async with serve() as server, self.clients(server, number) as clients:
                        report, cost = await self.measured(server, clients, f"closed {window} {self._seconds}")
                    rate = report["delivered"] / report["seconds"]
                    reference = reference or rate
                    line = f"{server.name:24}{number:8,}{window:11}{rate:14,.0f}{cost:13.2f}"
                    say(f"{line}{rate / reference:12.1f}×")
        say()

    async def low(self) -> None:
        """Ten updates a second to a thousand clients, one at a time: nothing can be joined."""
        say("Low load: 10,000 deliveries a second, 1,000 clients, one update at a time")
        say(f"{'':24}{'CPU µs each':>13}{'floor':>9}{'p50 ms':>9}{'p99 ms':>9}  (median of 3)")
        costs: dict[str, list[tuple[float, float, float]]] = {}
        for _ in range(3):
            for serve in (self.floor, self.ours, self.plain):
                async with serve() as server, self.clients(server, 1000) as clients:
                    report, cost = await self.measured(server, clients, f"rate 10 {self._seconds} 1")
                costs.setdefault(server.name, []).append((cost, report["p50_ms"], report["p99_ms"]))
        reference = 0.0
        for name, results in costs.items():
            cost, p50, p99 = (statistics.median(values) for values in zip(*results, strict=True))
            reference = reference or cost
            say(f"{name:24}{cost:13.1f}{cost / reference:8.2f}×{p50:9.1f}{p99:9.1f}")
        say()

    async def idle(self) -> None:
        """Many connections that hardly get anything."""
        number = self._given.idle
        say(f"Idle: {number:,} connections that are told of one symbol a second")
        async with self.ours() as server:
            empty = resident_bytes(server.pid)
            began = time.monotonic()
            async with self.clients(server, number, few=1) as clients:
                connected = time.monotonic() - began
                report, _ = await self.measured(server, clients, f"rate 1 {self._seconds} 1")
                each = (resident_bytes(server.pid) - empty) / number / 1024
                say(f"connected in {connected:.1f} s; {each:.1f} KiB a connection; p99 {report['p99_ms']:.0f} ms")
                for turn in range(3):
                    progress(f"all are lost and come back, {turn + 1} of 3")
                    await clients.ask("lose")
                    answer = await clients.ask("connect")
                    whole = await clients.ask("wait 30")
                    if answer["ready"] != number or not whole["holding"]:
                        sys.exit(f"not all came back: {answer} {whole}")
                    say(f"all lost and back: {answer['seconds']:.1f} s, none refused, each holds the newest")
                each = (resident_bytes(server.pid) - empty) / number / 1024
                say(f"after that {each:.1f} KiB a connection")
        say()

    async def stalled(self) -> None:
        """Some clients stop reading: what do the others notice?"""
        minutes = self._given.minutes
        say("Stalled: 1,000 clients of 100 symbols, each renewed once a second; 50 of them stop reading")
        command = f"rate 100 {self._seconds} 5"
        options = {"symbols": 100}
        without: list[float] = []
        with_them: list[float] = []
        async with self.ours(slow_seconds=3600) as server:
            async with self.clients(server, 950, **options) as clients:
                for _ in range(5):
                    report, _ = await self.measured(server, clients, command)
                    without.append(report["p99_ms"])
            async with self.clients(server, 1000, **options) as clients:
                await clients.ask("stall 50")
                await self.measured(server, clients, "rate 2000 5 50")  # until nothing more fits into their buffers
                for _ in range(5):
                    report, _ = await self.measured(server, clients, command)
                    with_them.append(report["p99_ms"])
                say(
                    f"p99 of the others: {statistics.median(with_them):.1f} ms; {statistics.median(without):.1f} ms ",
                    "",
                )
                say("where the 50 are not there (medians of 5)")
                sizes = [resident_bytes(server.pid)]
                for minute in range(minutes):
                    progress(f"memory, minute {minute + 1} of {minutes}")
                    await clients.ask("rate 100 60 5")
                    sizes.append(resident_bytes(server.pid))
                growth = (sizes[-1] - sizes[0]) / 2**20 / max(1, minutes)
                say(f"memory grows by {growth:.2f} MiB a minute over {minutes} minutes")
                await clients.ask("resume")
                answer = await clients.ask("wait 10")
                if not answer["holding"]:
                    sys.exit("the clients that stopped do not get the newest")
                took = answer["seconds"] * 1000
                say(f"when they read on, each holds the newest of every symbol after {took:.0f} ms")
        say()

    @asynccontextmanager
    async def chain(self, way: Tokens, number: int, **options: object) -> AsyncIterator["Chain"]:
        """A Redis, a bridge, a server and clients that have their tokens, beside all others."""
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            running = stack.enter_context(start(find_server(), folder / "redis", free_port(), config=REDIS_CONF))
            tools.pin(running.pid, self._others)
            bridge = await stack.enter_async_context(tools.bridge(running.url, self._others))
            bench = Bench(self._given, self._programs, running.url, bridge)
            server = await stack.enter_async_context(bench.ours(shared=way.settings))
            server = replace(server, name=way.name)
            options = {**way.options(folder, number), **options}
            yield Chain(bench, server, await stack.enter_async_context(bench.clients(server, number, **options)))

    async def tokens(self) -> None:
        """Clients with tokens beside clients that are asked for none, in turn."""
        number, rounds, command = self._given.clients[0], self._given.rounds, f"closed 100 {self._seconds / 5}"
        all_ways = ways(number)
        say(f"Tokens: {number:,} clients of 500 symbols, saturated, at most 100 updates under way; the same is")
        say(f"delivered to all; each way in turn, {rounds} times (medians; ratios are to the same turn's first)")
        say(f"{'':24}{'CPU µs each':>13}{'deliveries/s':>14}{'MiB':>7}{'beside off':>12}{'half of them':>17}")
        costs: dict[str, list[float]] = {way.name: [] for way in all_ways}
        rates: dict[str, list[float]] = {way.name: [] for way in all_ways}
        async with AsyncExitStack() as stack:
            chains = [await stack.enter_async_context(self.chain(way, number, symbols=500)) for way in all_ways]
            for turn in range(rounds):
                for chain in chains if turn % 2 else chains[::-1]:
                    report, cost = await chain.measured(command)
                    costs[chain.server.name].append(cost)
                    rates[chain.server.name].append(report["delivered"] / report["seconds"])
            sizes = [resident_bytes(chain.server.pid) / 2**20 for chain in chains]
        for (name, values), size in zip(costs.items(), sizes, strict=True):
            ratios = [cost / off for cost, off in zip(values, costs[all_ways[0].name], strict=True)]
            low, _, high = statistics.quantiles(ratios)
            line = f"{name:24}{statistics.median(values):13.3f}{statistics.median(rates[name]):14,.0f}{size:7.0f}"
            say(f"{line}{statistics.median(ratios):11.3f}×{low:9.3f} to {high:.3f}×")
        say()
        await self._burst()

    async def _burst(self) -> None:
        """Symbols that nobody has seen, and the same ones once more."""
        number, symbols, turns = min(200, self._given.clients[0]), self._given.new, 3
        say(f"{symbols:,} new symbols in one write to {number:,} clients, and the same again (medians of {turns})")
        say(f"{'':24}{'new: CPU ms':>13}{'last after':>12}{'again: CPU ms':>15}{'MiB more':>10}{'beside off':>12}")
        told: dict[str, list[tuple[float, float, float, float]]] = {}
        for _ in range(turns):
            for way in ways(number):
                figures = await self._burst_of(way, number, symbols)
                told.setdefault(way.name, []).append(figures)
        reference = 0.0
        for name, results in told.items():
            new, last, again, grown = (statistics.median(values) for values in zip(*results, strict=True))
            reference = reference or new
            say(f"{name:24}{new:13,.0f}{last:9,.0f} ms{again:15,.0f}{grown:10,.0f}{new / reference:11.2f}×")
        say()

    async def _burst_of(self, way: Tokens, number: int, symbols: int) -> tuple[float, float, float, float]:
        """CPU ms for new symbols, ms until the last client has them, CPU ms for the same again, MiB that it took."""
        for _ in range(ATTEMPTS):
            async with self.chain(way, number, symbols=symbols, seed="seed 1") as chain:
                empty = resident_bytes(chain.server.pid)
                taken = await chain.bench.once(chain.server, chain.clients, "tick")
                if taken is None:  # once more they would not be new
                    continue
                report, cost = taken
                new = cost * report["delivered"] / 1e3
                grown = (resident_bytes(chain.server.pid) - empty) / 2**20
                once_more, cost = await chain.measured("tick")
                return new, report["seconds"] * 1e3, cost * once_more["delivered"] / 1e3, grown
        sys.exit("the bridge looked at Redis in every burst")

    @asynccontextmanager
    async def entrance(self, over_tls: bool, **settings: Any) -> AsyncIterator[Server]:
        """Ours, plain or over TLS, behind a relay in both cases."""
        with tempfile.TemporaryDirectory() as folder:
            authority = Authority(Path(folder))
            pair = authority.issue().settings() if over_tls else {}
            async with (
                self.ours(**pair, **settings) as server,
                tools.relayed(server, authority.path if over_tls else None, self._others) as relayed,
            ):
                yield relayed

    async def tls(self) -> None:
        """What TLS costs the broadcaster, beside none."""
        await self._tls_cpu()
        await self._tls_memory()
        await self._tls_slow()
        say()

    async def _tls_cpu(self) -> None:
        say("TLS: the broadcaster's CPU µs a delivery; its clients are behind a relay in both cases (medians of 3)")
        say(f"{'':44}{'plain':>9}{'over TLS':>11}{'':>9}")
        loads = ((500, f"rate 10 {self._seconds} 1"), (200, f"rate 100 {self._seconds} 10"))
        for number, command in loads:
            costs: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(3):
                for over_tls, values in costs.items():
                    async with self.entrance(over_tls) as server, self.clients(server, number) as clients:
                        _, cost = await self.measured(server, clients, command)
                    values.append(cost)
            plain, tls = (statistics.median(values) for values in costs.values())
            once, rate = command.split()[-1], int(command.split()[1]) * number
            say(
                f"{number} clients, {rate:,} a second, {once} at once{'':7}{plain:9.1f}{tls:11.1f}{tls / plain:8.2f}×"
            )
            spread = (f"{min(values):.1f} to {max(values):.1f}" for values in costs.values())
            say(f"{'':12}they were {', '.join(spread)}")

    async def _tls_memory(self) -> None:
        number = min(self._given.idle, 2_000)
        for over_tls in (False, True):
            async with self.entrance(over_tls) as server:
                empty = resident_bytes(server.pid)
                used = cpu_seconds(server.pid)
                async with self.clients(server, number, few=1) as clients:
                    used = cpu_seconds(server.pid) - used
                    await self.measured(server, clients, f"rate 1 {self._seconds} 1")
                    each = (resident_bytes(server.pid) - empty) / number / 1024
            say(f"{server.name}: {number:,} idle connections take {each:.1f} KiB each, ", "")
            say(f"and {used * 1e3 / number:.2f} ms of CPU to let in")

    async def _tls_slow(self) -> None:
        """Clients that read nothing, until the server holds for them what it ever holds."""
        for over_tls in (False, True):
            async with (
                self.entrance(over_tls, slow_seconds=3600) as server,
                self.clients(server, 60, symbols=100) as clients,
            ):
                await self.measured(server, clients, "rate 100 2 5")
                await clients.ask("stall 50")
                before = resident_bytes(server.pid)
                sizes = []
                for _ in range(4):
                    await clients.ask(f"rate 2000 {self._seconds / 2} 50")
                    sizes.append((resident_bytes(server.pid) - before) / 50 / 1024)
                await clients.ask("resume")
                answer = await clients.ask("wait 30")
                if not answer["holding"]:
                    sys.exit("the clients that stopped do not get the newest")
            grown = ", ".join(f"{each:.0f}" for each in sizes)
            say(f"{server.name}: a client that reads nothing takes {grown} KiB more, ", "")
            say(f"every {self._seconds / 2:g} s")

    async def few(self) -> None:
        """Clients of a few symbols each: does the cost follow what is delivered?"""
        say("Few: 2,000 clients of 5 random symbols each, 5,000 updates a second of more and more symbols")
        say(f"{'symbols':>8}{'deliveries/s':>14}{'CPU % of a core':>17}{'CPU µs each':>13}{'p99 ms':>9}")
        for symbols in (500, 2_000, 10_000):
            async with (
                self.ours() as server,
                self.clients(server, 2000, symbols=symbols, few=5) as clients,
            ):
                before = cpu_seconds(server.pid)
                report, cost = await self.measured(server, clients, f"rate 5000 {self._seconds} 50")
                share = (cpu_seconds(server.pid) - before) / report["seconds"] * 100
                rate = report["delivered"] / report["seconds"]
                say(f"{symbols:8,}{rate:14,.0f}{share:17.1f}{cost:13.1f}{report['p99_ms']:9.1f}")
        say()

    async def tick(self) -> None:
        """All symbols at once, as Feynman publishes them."""
        say("A tick of 500 symbols to 1,000 clients, published in one write: from publish to the last client")
        for serve in (self.ours, self.floor, self.plain):
            async with serve() as server, self.clients(server, 1000, symbols=500) as clients:
                costs = []
                for _ in range(7):
                    report, cost = await self.measured(server, clients, "tick")
                    costs.append((report["seconds"] * 1000, report["p50_ms"], cost))
                last, half, cost = (statistics.median(values) for values in zip(*costs, strict=True))
                say(f"{server.name:24}{last:8.0f} ms, half of all after {half:.0f} ms; CPU {cost:.2f} µs a delivery")
        say()

    async def batches(self) -> None:
        """Updates one by one, and gathered for a quarter of a second."""
        compression.compare()
        say("Batches: 1,000 clients of 500 symbols, each renewed once a second over the second; no compression")
        say(f"{'':12}{'CPU % of a core':>17}{'frames/s':>12}{'p50 ms':>9}{'p99 ms':>9}")
        for name, options in (("one by one", {}), ("batch=250", {"query": "batch=250"})):
            async with self.ours() as server, self.clients(server, 1000, symbols=500, **options) as clients:
                before = cpu_seconds(server.pid)
                report, _ = await self.measured(server, clients, f"rate 500 {self._seconds} 5")
                share = (cpu_seconds(server.pid) - before) / report["seconds"] * 100
                frames = report["frames"] / report["seconds"]
                say(f"{name:12}{share:17.1f}{frames:12,.0f}{report['p50_ms']:9.1f}{report['p99_ms']:9.1f}")
        say()

    async def link(self) -> None:
        """From Redis to the broadcaster, and nobody behind it."""
        say("The way to the broadcaster: 10,000 updates a second, so many in one write; CPU % of a core")
        bursts = (1, 10, 100)
        say(f"{'':38}{''.join(f'{burst:>8}' for burst in bursts)}")
        async with (
            self.ours() as server,
            tools.listener(self._redis_url, "redis-py", self._server_core) as plain,
            tools.listener(self._redis_url, "ours", self._server_core) as ours,
            self.clients(server, 1, symbols=10_000, few=1) as clients,
        ):
            processes = {
                "redis-py's pubsub.listen(), no work": plain,
                "our subscription, no work": ours,
                "bridge": self.bridge,
                "broadcaster": server,
            }
            shares: dict[str, list[float]] = {name: [] for name in processes}
            for burst in bursts:
                before = {name: cpu_seconds(each.pid) for name, each in processes.items()}
                report, _ = await self.measured(server, clients, f"rate 10000 {self._seconds} {burst}")
                for name, each in processes.items():
                    used = cpu_seconds(each.pid) - before[name]
                    shares[name].append(used / report["seconds"] * 100)
        for name, values in shares.items():
            say(f"{name:38}{''.join(f'{value:8.1f}' for value in values)}")
        say()

    async def shared(self) -> None:
        """Two broadcasters on one port."""
        say("Two broadcasters on one port, a core each (which the load client, Redis and the bridge need as well)")
        single = 0.0
        for number in (1, 2):
            async with AsyncExitStack() as stack:
                port = free_port()
                servers = [
                    await stack.enter_async_context(
                        tools.broadcaster(self._bridge_port, [core], port, share_port=True, **UNLIMITED)
                    )
                    for core in (*self._server_core, *self._others)[:number]
                ]
                load = tools.load(self._programs, port, self._redis_port, 1000, (*self._server_core, *self._others))
                clients = await stack.enter_async_context(load)
                await clients.ask("seed")
                before = [cpu_seconds(server.pid) for server in servers]
                report, _ = await self.measured(servers[0], clients, f"closed 100 {self._seconds}")
                used = [cpu_seconds(server.pid) - was for server, was in zip(servers, before, strict=True)]
                rate = report["delivered"] / report["seconds"]
                single = single or rate
                shares = " and ".join(f"{each / report['seconds']:.0%}" for each in used)
                say(f"{number}: {rate:12,.0f} deliveries/s{rate / single:7.2f}×   CPU {shares}")
        say()


@dataclass(frozen=True, slots=True)
class Chain:
    """A bench of its own with one server and its clients."""

    bench: Bench
    server: Server
    clients: Load

    async def measured(self, command: str) -> tuple[dict[str, Any], float]:
        return await self.bench.measured(self.server, self.clients, command)


def cores() -> tuple[Sequence[int], Sequence[int]]:
    """One for the server, the others for all else."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[:1], allowed[1:]) if len(allowed) > 1 else (allowed, allowed)


PARTS = ("saturated", "low", "tick", "few", "batches", "link", "idle", "shared", "tokens", "stalled", "tls")


async def run(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        programs = tools.build(Path(folder))
        server = find_server()
        say(f"{server.kind} {server.version}; {os.cpu_count()} cores; {given.seconds:g} s a measurement\n")
        for part in given.only:  # each begins with nothing: what one has published would be in another's SNAPSHOTs
            with start(server, Path(folder) / part, free_port(), config=REDIS_CONF) as running:
                tools.pin(running.pid, cores()[1])
                async with tools.bridge(running.url, cores()[1]) as bridge:
                    measure: Callable[[], Awaitable[None]] = getattr(
                        Bench(given, programs, running.url, bridge), part
                    )
                    await measure()


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-fanout", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--clients", type=int, nargs="+", default=[1000, 5000], help="of the saturated runs")
    parser.add_argument("--idle", type=int, default=10_000, help="connections of the idle run")
    parser.add_argument("--minutes", type=int, default=5, help="of stalled clients, watching the memory")
    parser.add_argument("--rounds", type=int, default=40, help="of clients with and without tokens, in turn")
    parser.add_argument("--new", type=int, default=10_000, help="symbols of the burst to clients with tokens")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts of it")
    parser.add_argument("--token-file", metavar="FILE", help="tokens, one a line, which the clients show in turn")
    given = parser.parse_args()
    if sys.platform != "linux":
        sys.exit("bench-fanout reads CPU time from /proc and pins processes to cores: it needs Linux")
    uvloop.run(run(given))


if __name__ == "__main__":
    main()
