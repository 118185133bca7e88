"""What a reader without an event loop asks of a cluster: commands in a pipeline, each sent to the node of its key."""

from collections.abc import Callable, Sequence
from typing import Any

from cottage.errors import RedisError, RedisUnavailable
from cottage.redis.client import BlockingClient, blocking_bulk
from cottage.redis.cluster import MOST_REDIRECTIONS
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


class BlockingClusterClient:
    """Made by `connect_asking`. Threads may share it."""

    def __init__(self, seeds: Sequence[Address], make: Callable[[Address], BlockingClient]) -> None:
        self._seeds = list(seeds)
        self._make = make
        self._nodes: dict[Address, BlockingClient] = {}
        self._routes: SlotMap | None = None

    def pipeline(self, transaction: bool = False) -> "BlockingClusterPipeline":
        assert not transaction, "a cluster has none over several keys"
        return BlockingClusterPipeline(self)

    def close(self) -> None:
        for node in self._nodes.values():
            node.close()

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Their replies as the server gives them. Raises RedisError."""
        parts, sizes = split(commands)
        whole = units(parts, transaction=False)
        left = whole
        for _attempt in range(MOST_REDIRECTIONS):
            if not left:
                break
            again: list[SlotCommands] = []
            for address, of_node in by_node(left, self._known()).items():
                commands_of_node = [command for unit in of_node for command in unit.flat()]
                try:
                    elsewhere, moved = settle(of_node, blocking_bulk(self._node(address), commands_of_node))
                except RedisUnavailable:
                    self._routes = None
                    raise
                if moved:
                    self._routes = None
                again += elsewhere
            left = again
        else:
            raise RedisUnavailable("the cluster keeps sending commands from one node to the next")
        replies = joined([unit.replies[0] for unit in whole], sizes)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def scan(self, cursor: int, *rest: Any) -> list[Any]:
        """SCAN, whose cursors are of all masters."""
        routes = self._known()
        address, theirs = scan_place(cursor, routes.masters)
        theirs, keys = self._node(address).execute_command("SCAN", theirs, *rest)
        return [scan_next(cursor, theirs, routes.masters), keys]

    def usual(self, command: Command, reply: Any) -> Any:
        """What the library makes of such a reply."""
        callbacks: Any = self._node(self._known().masters[0]).response_callbacks
        callback = callbacks.get(name_of(command))
        return reply if callback is None else callback(reply)

    def _known(self) -> SlotMap:
        if self._routes is not None:
            return self._routes
        errors: list[RedisError] = []
        for address in dict.fromkeys([*self._nodes, *self._seeds]):
            try:
                (reply,) = blocking_bulk(self._node(address), [("CLUSTER", "SLOTS")])
            except RedisError as error:
                errors.append(error)
                continue
            self._routes = SlotMap(reply, address)
            return self._routes
        raise errors[0]

    def _node(self, address: Address) -> BlockingClient:
        if address not in self._nodes:
            self._nodes[address] = self._make(address)
        return self._nodes[address]


class BlockingClusterPipeline:
    """As a single server's, without a transaction."""

    def __init__(self, client: BlockingClusterClient) -> None:
        self._client = client
        self._commands: list[Command] = []

    def execute_command(self, *args: Any) -> None:
        self._commands.append(args)

    def execute(self) -> list[Any]:
        """Their replies, as the library makes them."""
        commands, self._commands = self._commands, []
        if any(name_of(command) == "SCAN" for command in commands):
            return [self._client.scan(int(command[1]), *command[2:]) for command in commands]
        replies = self._client.ask(commands)
        return [self._client.usual(*each) for each in zip(commands, replies, strict=True)]
