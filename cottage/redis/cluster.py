"""Clients of a Redis Cluster, with the same methods as all others: each command goes to the node that has its key.

They have an ordinary client for each node. The router decides which commands each node is sent.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeVar, cast

import redis.asyncio

from cottage.errors import RedisError, RedisUnavailable
from cottage.redis.client import BlockingClient, Client, blocking_bulk
from cottage.redis.router import Answers, Rounds, Router
from cottage.redis.slots import Address, Command, name_of, raise_first

T = TypeVar("T")


class _NoPool(redis.asyncio.ConnectionPool):
    """The pool that the base class needs. What some of its methods would do over it, such as `pubsub` and `monitor`,
    would reach no node of the cluster, but whatever listens on the port of the library's default."""

    async def get_connection(self, *_arguments: Any, **_options: Any) -> NoReturn:
        raise RedisError(
            "the client of a cluster has no connection of its own, so no pubsub() and no monitor(): "
            "subscribe to channels with cottage.redis.subscribe(url, ...), and watch a node by redis://host:port"
        )


class ClusterClient(Client):
    """The asyncio client of a cluster, made by `connect`. `make` makes the client of one node from its host and port.
    All nodes are asked at the same time."""

    spread = True

    def __init__(self, seeds: Sequence[Address], make: Callable[[str, int], Client]) -> None:
        super().__init__(connection_pool=_NoPool())
        self._make = make
        self._nodes: dict[Address, Client] = {}
        self._router = Router(seeds)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Like that of Client; the cursors of SCAN are over all masters."""
        (reply,) = await self._run(self._router.pipeline([args]))
        return _usual(self, args, reply, **options)

    async def bulk(
        self, commands: Iterable[Command], *, transaction: bool = False, raise_on_error: bool = True
    ) -> list[Any]:
        """Like Client.bulk; a transaction becomes one for each slot. Replies are in the order of the commands,
        although several nodes answer."""
        replies = await self._run(self._router.replies(commands, transaction=transaction))
        return raise_first(replies) if raise_on_error else replies

    async def load_script(self, script: str) -> str:
        """Load a script on every master, and return its SHA for EVALSHA."""
        return await self._run(self._router.load_script(script))

    async def listening_pool(self) -> Any:
        """The pool of a node that answers; any will do, since a message published on one node reaches all."""
        masters = (await self._run(self._router.routes())).masters
        for address in random.sample(masters, len(masters)):
            node = self._node(address)
            try:
                await node.ping()
            except RedisError:
                continue
            return node.connection_pool
        self._router.forget()
        raise RedisUnavailable("no node of the cluster answers")

    async def masters(self) -> list[Client]:
        """A client of each master, as the slot map has them. Raises RedisError if no node tells."""
        return [self._node(address) for address in (await self._run(self._router.routes())).masters]

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> "ClusterPipeline":  # type: ignore[override]
        async def execute(commands: list[Command]) -> list[Any]:
            replies = await self._run(self._router.pipeline(commands))
            return [_usual(self, *each) for each in zip(commands, replies, strict=True)]

        return ClusterPipeline(execute)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        nodes, self._nodes = self._nodes, {}
        await asyncio.gather(*(node.aclose() for node in nodes.values()))
        await super().aclose(close_connection_pool)

    async def _run(self, rounds: Rounds[T]) -> T:
        try:
            commands = next(rounds)
            while True:
                commands = rounds.send(await self._answers(commands))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # a StopIteration's value has no type

    async def _answers(self, commands: dict[Address, list[Command]]) -> Answers:
        asked = [self._node(address).bulk(each, raise_on_error=False) for address, each in commands.items()]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, RedisError):
                raise answer
        return dict(zip(commands, cast("list[list[Any] | RedisError]", answers), strict=True))

    def _node(self, address: Address) -> Client:
        if address not in self._nodes:
            self._nodes[address] = self._make(*address)
        return self._nodes[address]


class BlockingClusterClient:
    """The client of a cluster without an event loop, for pipelines only: BlockingPhysicsReader and `cottage state`
    use it. Made by `connect_asking`. Threads may share it."""

    spread = True

    def __init__(self, seeds: Sequence[Address], make: Callable[[str, int], BlockingClient]) -> None:
        self._make = make
        self._nodes: dict[Address, BlockingClient] = {}
        self._router = Router(seeds)

    def pipeline(self, transaction: bool = False) -> "ClusterPipeline":
        assert not transaction, "a cluster has none over several keys"
        return ClusterPipeline(self._execute)

    def close(self) -> None:
        for node in self._nodes.values():
            node.close()

    def _execute(self, commands: list[Command]) -> list[Any]:
        rounds = self._router.pipeline(commands)
        try:
            asked = next(rounds)
            while True:
                asked = rounds.send({address: self._answer(address, each) for address, each in asked.items()})
        except StopIteration as done:
            client = next(iter(self._nodes.values()))
            return [_usual(client, *each) for each in zip(commands, done.value, strict=True)]

    def _answer(self, address: Address, commands: list[Command]) -> list[Any] | RedisError:
        if address not in self._nodes:
            self._nodes[address] = self._make(*address)
        try:
            return blocking_bulk(self._nodes[address], commands)
        except RedisError as error:
            return error


class ClusterPipeline:
    """Commands that are sent together, without a transaction. For a ClusterClient, `execute` must be awaited."""

    def __init__(self, execute: Callable[[list[Command]], Any]) -> None:
        self._execute = execute
        self._commands: list[Command] = []

    def execute_command(self, *args: Any) -> None:
        self._commands.append(args)

    def execute(self) -> Any:
        """Send the commands. The replies are converted as redis-py's clients do."""
        commands, self._commands = self._commands, []
        return self._execute(commands)


def _usual(client: Client | BlockingClient, command: Command, reply: Any, **options: Any) -> Any:
    """Convert a reply as redis-py's clients do. That of SCAN is already converted."""
    name = name_of(command)
    callback = cast("dict[str, Callable[..., Any]]", client.response_callbacks).get(name)
    return reply if callback is None or name == "SCAN" else callback(reply, **options)
