"""Several Redis servers of one test's own: a master with its replica and three sentinels, or a cluster of six."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from cottage.redis import Client, connect
from cottage.urls import with_login
from deploy.redis_server import RunningServer, Server, free_port, start
from tests.support import IN_MEMORY, eventually

NODES = 6
SLOTS = 16384
TIMEOUT_MS = 1000
"""After which a node, or a master, counts as down."""


class Sentinels:
    """Made by `sentinels`."""

    def __init__(self, servers: list[RunningServer], watchers: list[RunningServer], name: str) -> None:
        self.servers = servers
        self._watchers = watchers
        self._name = name

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{each.port}' for each in self._watchers)}/{self._name}"

    async def master(self) -> RunningServer:
        """As most sentinels say."""
        for watcher in self._watchers:
            async with connect(watcher.url) as client:
                address = await client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)
                return next(server for server in self.servers if server.port == int(address[1]))
        raise AssertionError("no sentinel answers")

    async def fails_over(self, before: RunningServer) -> RunningServer:
        """Wait for another master than this one."""

        async def another() -> RunningServer | None:
            now = await self.master()
            return None if now is before else now

        found = await eventually(another, 30)
        assert found is not None
        return found


@asynccontextmanager
async def sentinels(
    server: Server, folder: Path, more: Sequence[str] = (), login: tuple[str, str] | None = None
) -> AsyncIterator[Sentinels]:
    """A master, its replica, and three sentinels that know both. `more`: options of the servers; `login`: user and
    password of the sentinels there."""
    async with AsyncExitStack() as stack:
        options = (*more, *IN_MEMORY, "--repl-diskless-sync-delay", "0", "--min-replicas-max-lag", "2")
        servers = [start(server, folder / "master", free_port(), config=None, arguments=options)]
        stack.callback(servers[0].kill)
        following = ("--replicaof", f"127.0.0.1 {servers[0].port}")
        servers.append(start(server, folder / "replica", free_port(), config=None, arguments=(*options, *following)))
        stack.callback(servers[1].kill)
        watchers = []
        auth = (
            "" if login is None else f"sentinel auth-user prices {login[0]}\nsentinel auth-pass prices {login[1]}\n"
        )
        for number in range(3):
            place = folder / f"sentinel-{number}"
            place.mkdir()
            conf = place / "sentinel.conf"
            conf.write_text(
                f"sentinel monitor prices 127.0.0.1 {servers[0].port} 2\n"
                f"sentinel down-after-milliseconds prices {TIMEOUT_MS}\n"
                "sentinel failover-timeout prices 3000\n"
                f"{auth}"
            )
            watchers.append(start(server, place, free_port(), config=conf, arguments=("--sentinel",)))
            stack.callback(watchers[-1].kill)
        made = Sentinels(servers, watchers, "prices")

        async def know() -> bool:
            for watcher in watchers:
                async with connect(watcher.url) as client:
                    (pairs,) = await client.bulk([("SENTINEL", "MASTER", "prices")])
                    if pairs[b"num-other-sentinels"] != b"2" or pairs[b"num-slaves"] != b"1":
                        return False
            return True

        await eventually(know, 30)
        yield made


class Cluster:
    """Made by `cluster`. The first three are masters, each followed by the one three places on."""

    def __init__(self, nodes: list[RunningServer], login: tuple[str, str] | None = None) -> None:
        self.nodes = nodes
        self._login = login

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes[:3])}"

    async def on_each(self, *command: str | int) -> list[Any]:
        """The answer of every node that runs."""
        return [await self.on(node, *command) for node in self.nodes if node.running]

    async def on(self, node: RunningServer, *command: str | int) -> Any:
        async with connect(node.url if self._login is None else with_login(node.url, *self._login)) as client:
            (reply,) = await client.bulk([command])
            return reply


@asynccontextmanager
async def cluster(
    server: Server, folder: Path, more: Sequence[str] = (), login: tuple[str, str] | None = None
) -> AsyncIterator[Cluster]:
    """Six nodes that serve all slots. `more`: options of theirs; `login`: user and password of the fixtures."""
    async with AsyncExitStack() as stack:
        options = (
            *more,
            *(*IN_MEMORY, "--cluster-enabled", "yes", "--cluster-node-timeout", str(TIMEOUT_MS)),
            *("--repl-diskless-sync-delay", "0"),
        )
        nodes, buses = [], []
        for number in range(NODES):
            buses.append(free_port())  # its usual one, 10,000 above the node's, is anybody's
            chosen = (*options, "--cluster-port", str(buses[-1]))
            nodes.append(start(server, folder / f"node-{number}", free_port(), config=None, arguments=chosen))
            stack.callback(nodes[-1].kill)
        made = Cluster(nodes, login)
        for node, bus in zip(nodes[1:], buses[1:], strict=True):
            await made.on(nodes[0], "CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        share = SLOTS // 3
        for index, node in enumerate(nodes[:3]):
            last = SLOTS - 1 if index == 2 else (index + 1) * share - 1
            await made.on(node, "CLUSTER", "ADDSLOTSRANGE", index * share, last)
        ids = [str(name, "ascii") for name in await made.on_each("CLUSTER", "MYID")]

        async def met() -> bool:
            known = [str(answer, "ascii") for answer in await made.on_each("CLUSTER", "NODES")]
            return all(name in each for name in ids for each in known)

        await eventually(met, 30)
        for index, node in enumerate(nodes[3:]):
            await made.on(node, "CLUSTER", "REPLICATE", ids[index])

        async def serves() -> bool:
            infos = [str(answer, "ascii") for answer in await made.on_each("CLUSTER", "INFO")]
            slots = await made.on_each("CLUSTER", "SLOTS")
            followed = all(len(line) > 3 for each in slots for line in each)
            return followed and all("cluster_state:ok" in info for info in infos)

        await eventually(serves, 30)
        yield made


async def written(client: Client, number: int) -> dict[str, bytes]:
    """Some keys, spread over all slots."""
    values = {f"physics:state:S{index}": str(index).encode() for index in range(number)}
    await client.bulk([("SET", key, value) for key, value in values.items()])
    return values
