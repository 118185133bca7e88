"""The router of a cluster client decides which commands each node is sent. It does no input or output.

Each method is a generator: it yields the commands for each node, is sent what each node answered, and returns its
result. ClusterClient and BlockingClusterClient run the same generators. The slot map is read from a node at the
beginning, and again after a node says that a slot has moved, or does not answer.
"""

from collections.abc import Generator, Iterable, Sequence
from typing import Any, TypeVar

from cottage.errors import RedisError, RedisUnavailable
from cottage.redis.slots import (
    Address,
    Command,
    SlotMap,
    by_node,
    joined,
    name_of,
    raise_first,
    scan_next,
    scan_place,
    settle,
    split,
    units,
)

MOST_REDIRECTIONS = 5

T = TypeVar("T")
Answers = dict[Address, "list[Any] | RedisError"]
"""The answer of each node: its replies, errors included, or the error that kept it from answering."""
Rounds = Generator[dict[Address, list[Command]], Answers, T]
"""A generator of the router. Each round is one round trip to all nodes that are asked."""


class Router:
    """Routes the commands of one cluster client. `seeds`: some nodes of the cluster."""

    def __init__(self, seeds: Sequence[Address]) -> None:
        self._seeds = list(seeds)
        self._masters: list[Address] = []
        """The masters as they were last known."""
        self._routes: SlotMap | None = None

    def forget(self) -> None:
        """Drop the slot map, so that it is read again before the next commands."""
        self._routes = None

    def routes(self) -> Rounds[SlotMap]:
        """The slot map, read from a node if it is not known. Raises RedisError if no node answers."""
        errors: list[RedisError] = []
        for address in dict.fromkeys([*self._masters, *self._seeds]):
            if self._routes is not None:
                break
            try:
                (reply,) = yield from self._ask(address, ("CLUSTER", "SLOTS"))
            except RedisError as error:
                errors.append(error)
                continue
            self._routes = SlotMap(reply, address)
            self._masters = self._routes.masters
        if self._routes is None:
            raise errors[0]
        return self._routes

    def replies(self, commands: Iterable[Command], *, transaction: bool = False) -> Rounds[list[Any]]:
        """The replies in the order of the commands, errors included. Raises RedisError if a node does not answer."""
        parts, sizes = split(commands)
        whole = left = units(parts, transaction=transaction)
        for _attempt in range(MOST_REDIRECTIONS):
            if not left:
                break
            sent = by_node(left, (yield from self.routes()))
            answers = yield {
                address: [command for unit in of_node for command in unit.flat()] for address, of_node in sent.items()
            }
            left = []
            for address, of_node in sent.items():
                elsewhere, moved = settle(of_node, self._answer(answers[address]))
                if moved:
                    self.forget()
                left += elsewhere
        if left:
            raise RedisUnavailable("the cluster keeps sending commands from one node to the next")
        replies: list[Any] = [None] * len(parts)
        for unit in whole:
            for place, reply in zip(unit.places, unit.replies, strict=True):
                replies[place] = reply
        return joined(replies, sizes)

    def pipeline(self, commands: Sequence[Command]) -> Rounds[list[Any]]:
        """Like `replies`, but also for SCAN, which walks through all masters. Raises the first error."""
        if not any(name_of(command) == "SCAN" for command in commands):
            return raise_first((yield from self.replies(commands)))
        replies: list[Any] = []
        for command in commands:
            replies += [(yield from self.scan(int(command[1]), *command[2:]))]
        return replies

    def scan(self, cursor: int, *rest: Any) -> Rounds[list[Any]]:
        """One SCAN with a cursor over all masters: the next such cursor, and keys."""
        routes = yield from self.routes()
        address, theirs = scan_place(cursor, routes.masters)
        [[theirs, keys]] = yield from self._ask(address, ("SCAN", theirs, *rest))
        return [scan_next(cursor, int(theirs), routes.masters), keys]

    def load_script(self, script: str) -> Rounds[str]:
        """Load a script on every master, and return its SHA for EVALSHA."""
        routes = yield from self.routes()
        answers = yield {address: [("SCRIPT", "LOAD", script)] for address in routes.masters}
        shas = [raise_first(self._answer(answer))[0] for answer in answers.values()]
        return str(shas[0], "ascii")

    def _ask(self, address: Address, command: Command) -> Rounds[list[Any]]:
        answers = yield {address: [command]}
        return raise_first(self._answer(answers[address]))

    def _answer(self, answer: list[Any] | RedisError) -> list[Any]:
        if isinstance(answer, RedisUnavailable):
            self.forget()  # its replica may take over
        if isinstance(answer, RedisError):
            raise answer
        return answer
