"""Decides to which node of a cluster a command goes, and joins the replies of several nodes. Pure.

The slot of its first key decides. Commands without a key go to the node of slot 0, so that all processes ask the same
node for the time; an MGET becomes one GET per key; SCAN walks through all masters, one after the other. The router
uses these functions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.crc import key_slot

from cottage.errors import RedisError, RedisUnavailable

Command = tuple[str | bytes | int | float, ...]
Address = tuple[str, int]

KEYLESS = frozenset({"TIME", "PUBLISH", "PING", "INFO", "SCRIPT", "CONFIG", "CLIENT", "CLUSTER", "DBSIZE", "WAIT"})
SCRIPTS = frozenset({"EVAL", "EVALSHA"})
MOST_MASTERS = 1024


class Redirected(RedisError):
    """The error reply of a node that does not serve the key (MOVED or ASK), with the address of the one that does.
    `ask`: for this time only, while the slot is being moved there."""

    def __init__(self, address: Address, *, ask: bool) -> None:
        super().__init__("this is a node of a cluster: REDIS_URL must begin with redis+cluster://")
        self.address = address
        self.ask = ask


def raise_first(replies: list[Any], commands: Sequence[Command] = ()) -> list[Any]:
    """Return the replies unchanged, or raise the first error among them; its `command` is the one of `commands`."""
    for reply in replies:
        if isinstance(reply, Exception):
            if commands:
                setattr(reply, "command", commands[replies.index(reply)])  # noqa: B010  # an attribute of ours
            raise reply
    return replies


def name_of(command: Command) -> str:
    name = command[0]
    return (name.decode() if isinstance(name, bytes) else str(name)).upper()


def slot_of(command: Command) -> int:
    """The slot of the command's first key; 0 if it has no key."""
    name = name_of(command)
    if name in KEYLESS:
        return 0
    words = command[3 : 3 + int(command[2])] if name in SCRIPTS else command[1:]
    key = words[0] if words else None
    return 0 if key is None else int(key_slot(key if isinstance(key, bytes) else str(key).encode()))


class SlotMap:
    """Which master serves which slot, according to CLUSTER SLOTS. The router keeps one."""

    def __init__(self, reply: Sequence[Sequence[Any]], asked: Address) -> None:
        """`asked`: the node that gave the reply. A master without a host in the reply is that node."""
        self._ranges: list[tuple[int, int, Address]] = []
        for first, last, master, *_replicas in reply:
            host = master[0].decode() if isinstance(master[0], bytes) else master[0]
            self._ranges.append((int(first), int(last), (host or asked[0], int(master[1]))))

    @property
    def masters(self) -> list[Address]:
        return sorted({address for _, _, address in self._ranges})

    def of(self, slot: int) -> Address:
        """The master that serves `slot`. Raises RedisUnavailable if there is none."""
        for first, last, address in self._ranges:
            if first <= slot <= last:
                return address
        raise RedisUnavailable(f"no node of the cluster serves slot {slot}")


@dataclass(slots=True)
class SlotCommands:
    """A unit that goes to one node: a single command, or those commands of a transaction that belong to one slot."""

    commands: list[Command]
    places: list[int]
    """The index of each command among all that the caller gave."""
    slot: int
    transaction: bool = False
    asked: Address | None = None
    """The node to which an ASK redirected the unit, for the next attempt only."""
    replies: list[Any] = field(default_factory=list)
    """The replies to the commands, once they have arrived."""

    def flat(self) -> list[Command]:
        """The commands as they are sent, with ASKING, MULTI and EXEC where needed."""
        commands = [("MULTI",), *self.commands, ("EXEC",)] if self.transaction else self.commands
        return [("ASKING",), *commands] if self.asked else list(commands)

    def take(self, replies: list[Any]) -> Redirected | None:
        """Take the replies to `flat`. Returns the redirection if the unit must be sent to another node, else None."""
        if self.asked:
            replies = replies[1:]
        for reply in replies:
            if isinstance(reply, Redirected):
                return reply
        if self.transaction:
            done = replies[-1]
            self.replies = done if isinstance(done, list) else [done] * len(self.commands)
        else:
            self.replies = replies
        return None


def units(commands: Sequence[Command], *, transaction: bool) -> list[SlotCommands]:
    """One unit for each command; for a transaction one for each slot, since Redis allows no other."""
    if not transaction:
        return [SlotCommands([command], [place], slot_of(command)) for place, command in enumerate(commands)]
    by_slot: dict[int, SlotCommands] = {}
    for place, command in enumerate(commands):
        slot = slot_of(command)
        unit = by_slot.setdefault(slot, SlotCommands([], [], slot, transaction=True))
        unit.commands.append(command)
        unit.places.append(place)
    return list(by_slot.values())


def by_node(left: Iterable[SlotCommands], routes: SlotMap) -> dict[Address, list[SlotCommands]]:
    """The units for each node. Raises RedisUnavailable if no node serves a slot."""
    found: dict[Address, list[SlotCommands]] = {}
    for unit in left:
        found.setdefault(unit.asked or routes.of(unit.slot), []).append(unit)
    return found


def settle(sent: Sequence[SlotCommands], replies: Sequence[Any]) -> tuple[list[SlotCommands], bool]:
    """Divide the replies of one node among the units sent to it. Returns the units that must be sent to another node,
    and whether a slot has moved for good."""
    again: list[SlotCommands] = []
    moved, start = False, 0
    for unit in sent:
        end = start + len(unit.flat())
        elsewhere = unit.take(list(replies[start:end]))
        start, unit.asked = end, None
        if elsewhere is not None:
            again.append(unit)
            unit.asked = elsewhere.address if elsewhere.ask else None
            moved = moved or not elsewhere.ask
    return again, moved


def split(commands: Iterable[Command]) -> tuple[list[Command], list[int | None]]:
    """The commands with each MGET replaced by GETs; and for each given command the number of its GETs, or None if it
    was kept."""
    parts: list[Command] = []
    sizes: list[int | None] = []
    for command in commands:
        if name_of(command) == "MGET":
            parts += [("GET", key) for key in command[1:]]
            sizes.append(len(command) - 1)
        else:
            parts.append(command)
            sizes.append(None)
    return parts, sizes


def joined(replies: Sequence[Any], sizes: Iterable[int | None]) -> list[Any]:
    """The replies to the given commands: the reverse of `split`."""
    left = iter(replies)
    whole: list[Any] = []
    for size in sizes:
        if size is None:
            whole.append(next(left))
            continue
        values = [next(left) for _ in range(size)]
        errors = [value for value in values if isinstance(value, RedisError)]
        # For MGET a key of another type has no value; any other error fails the whole command.
        fault = next((error for error in errors if not str(error).startswith("WRONGTYPE")), None)
        whole.append(fault or [None if isinstance(value, RedisError) else value for value in values])
    return whole


def scan_place(cursor: int, masters: Sequence[Address]) -> tuple[Address, int]:
    """The master that a cursor over all masters points to, and the cursor on that master."""
    return masters[min(cursor % MOST_MASTERS, len(masters) - 1)], cursor // MOST_MASTERS


def scan_next(cursor: int, theirs: int, masters: Sequence[Address]) -> int:
    """The cursor over all masters after a master answered with `theirs`; 0 when all have been walked through."""
    index = cursor % MOST_MASTERS
    if theirs:
        return theirs * MOST_MASTERS + index
    return 0 if index + 1 >= len(masters) else index + 1
