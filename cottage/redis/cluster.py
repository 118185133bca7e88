"""A client of a Redis Cluster with the face of any other: each command goes to the node that has its key.

Below it are ordinary clients, one a node. Who serves what is asked at the beginning, and anew when a node says that a
key has moved or does not answer. Commands of one call that go to several nodes go to them at the same time.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import redis.asyncio

from cottage.errors import RedisError, RedisUnavailable
from cottage.redis.client import Client, Script
from cottage.redis.slots import (
    Address,
    Command,
    SlotCommands,
    SlotMap,
    by_node,
    joined,
    name_of,
    scan_next,
    scan_place,
    settle,
    split,
    units,
)

MOST_REDIRECTIONS = 5

Make = Callable[[Address], Client]


class ClusterClient(Client):
    """Made by `connect`. `make` gives the client of a node."""

    spread = True

    def __init__(self, seeds: Sequence[Address], make: Make) -> None:
        # Its own pool is never used: it is what a client must have.
        super().__init__(connection_pool=redis.asyncio.ConnectionPool())
        self._seeds = list(seeds)
        self._make = make
        self._nodes: dict[Address, Client] = {}
        self._routes: SlotMap | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """As a single server's; SCAN's cursors are of all masters."""
        if name_of(args) == "SCAN":
            return await self._scan(*args, **options)
        (reply,) = await self.bulk([args])
        return self._as_usual(args, reply, options)

    async def bulk(
        self, commands: Iterable[Command], *, transaction: bool = False, raise_on_error: bool = True
    ) -> list[Any]:
        """As Client.bulk; a transaction is one for each key slot. What is answered in another order than it was
        sent, since it went to several nodes, comes back in that order all the same."""
        parts, sizes = split(commands)
        whole = units(parts, transaction=transaction)
        left = whole
        for _attempt in range(MOST_REDIRECTIONS):
            left = await self._send(left)
            if not left:
                break
        else:
            raise RedisUnavailable("the cluster keeps sending commands from one node to the next")
        replies: list[Any] = [None] * len(parts)
        for unit in whole:
            for place, reply in zip(unit.places, unit.replies, strict=True):
                replies[place] = reply
        replies = joined(replies, sizes)
        if raise_on_error:
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        return replies

    async def load_script(self, script: str) -> str:
        """Have it on every master; by which name it can be called."""
        routes = await self._known()
        shas = [await self._node(address).load_script(script) for address in routes.masters]
        return shas[0]

    async def listening_pool(self) -> Any:
        """Of any node that answers: what is published on one reaches all."""
        routes = await self._known()
        addresses = random.sample(routes.masters, len(routes.masters))
        for address in addresses:
            node = self._node(address)
            try:
                await node.ping()
            except RedisError:
                continue
            return node.connection_pool
        self._routes = None
        raise RedisUnavailable("no node of the cluster answers")

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> "ClusterPipeline":  # type: ignore[override]
        return ClusterPipeline(self)

    def register_script(self, script: Any) -> Script:  # type: ignore[override]  # as in Client
        return Script(self, script)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        nodes, self._nodes = self._nodes, {}
        await asyncio.gather(*(node.aclose() for node in nodes.values()))
        await super().aclose(close_connection_pool)

    async def _send(self, left: Sequence[SlotCommands]) -> list[SlotCommands]:
        """One round; the units that must be sent elsewhere. Raises what keeps a node from answering."""
        routes = await self._known()
        sent = [self._send_to(address, of_node) for address, of_node in by_node(left, routes).items()]
        answers = await asyncio.gather(*sent, return_exceptions=True)
        again: list[SlotCommands] = []
        for answer in answers:
            if isinstance(answer, RedisUnavailable):
                self._routes = None  # its replica may take over
            if isinstance(answer, BaseException):
                raise answer
            again += answer
        return again

    async def _send_to(self, address: Address, of_node: Sequence[SlotCommands]) -> list[SlotCommands]:
        commands = [command for unit in of_node for command in unit.flat()]
        again, moved = settle(of_node, await self._node(address).bulk(commands, raise_on_error=False))
        if moved:
            self._routes = None
        return again

    async def _scan(self, _name: Any, cursor: Any, *rest: Any, **options: Any) -> Any:
        routes = await self._known()
        address, theirs = scan_place(int(cursor), routes.masters)
        theirs, keys = await self._node(address).execute_command("SCAN", theirs, *rest, **options)
        return scan_next(int(cursor), theirs, routes.masters), keys

    async def _known(self) -> SlotMap:
        """Who serves what, asked for where that is not known."""
        if self._routes is not None:
            return self._routes
        errors: list[RedisError] = []
        for address in dict.fromkeys([*self._nodes, *self._seeds]):
            try:
                (reply,) = await self._node(address).bulk([("CLUSTER", "SLOTS")])
            except RedisError as error:
                errors.append(error)
                continue
            self._routes = SlotMap(reply, address)
            return self._routes
        raise errors[0]

    def _node(self, address: Address) -> Client:
        if address not in self._nodes:
            self._nodes[address] = self._make(address)
        return self._nodes[address]

    def _as_usual(self, args: Command, reply: Any, options: dict[str, Any]) -> Any:
        """What the library makes of such a reply."""
        callbacks = cast("dict[str, Callable[..., Any]]", self.response_callbacks)
        callback = callbacks.get(name_of(args))
        return reply if callback is None else callback(reply, **options)


class ClusterPipeline:
    """Commands that are sent together, without a transaction."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client
        self._commands: list[Command] = []

    def execute_command(self, *args: Any) -> None:
        self._commands.append(args)

    async def execute(self) -> list[Any]:
        """Their replies, as the library makes them."""
        commands, self._commands = self._commands, []
        if any(name_of(command) == "SCAN" for command in commands):
            return [await self._client.execute_command(*command) for command in commands]
        replies = await self._client.bulk(commands)
        return [self._client._as_usual(*each, {}) for each in zip(commands, replies, strict=True)]
