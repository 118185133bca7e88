"""What each user's own connections send, by MONITOR, and inside which scripts: it is held against what is declared.

Each has a door of its own to the server, by which its connections are known: MONITOR shows addresses, and no users.
"""

import asyncio
import contextlib
import fnmatch
import re
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cottage.redis.permission import Permissions
from cottage.urls import with_login
from tests.integration.guarded import FIXTURE, Guarded, password

SERVICES = ("market", "feynman", "physics", "bridge", "recorder")
CHANNELS = ("state_update", "trade_signals", "market:mark", "market:mark:taken")
Cell = tuple[str, str]
"""A command, and the pattern of a key, a channel, or nothing."""

IN_CLUSTERS = {("cluster|slots", ""), ("asking", "")}
"""What a client of a cluster sends: `test_redis_users.py::test_all_do_their_job_in_a_cluster`."""
_OF_FILLS = {(command, "market:fill:*") for command in ("rpush", "ltrim", "expire", "del")}
USED_ELSEWHERE: dict[str, set[Cell]] = {
    "market": {
        *_OF_FILLS,  # of a replay: test_a_feed_does_its_whole_job
        *{("publish", "market:mark"), ("subscribe", "market:mark:taken"), ("ping", "")},  # of one in lock-step
        *{("pttl", "market:feed:*"), ("type", "market:feed:*"), ("del", "market:feed:*")},  # another one has the ID
    },
    "feynman": {
        ("ping", ""),  # a channel that is silent
        ("wait", ""),  # Sentinel
        *{("script|load", ""), ("zrevrangebyscore", "physics:retired")},  # a cluster
        *{("publish", "market:mark:taken"), ("lrange", "market:fill:*")},  # a replay in lock-step
        *{
            ("pttl", "physics:writer:*"),
            ("del", "physics:writer:*"),
        },  # a dead one left its lease; a stop
        *{("exists", "market:snapshot:*"), ("exists", "physics:state:*")},  # symbols that are gone, or without room
        ("type", "market:feed:*"),  # one that has gone between two looks
    },
    "physics": {("hgetall", "market:snapshot:*"), ("ping", "")},  # asked by a client; a cluster
    "bridge": {
        # Feeds are read while a state is so old that it matters whether its feed is alive.
        *{(command, "market:feed:*") for command in ("strlen", "mget", "type", "pttl")},
        ("exists", "market:snapshot:*"),  # more symbols than there is room for
        ("ping", ""),  # a channel that is silent
    },
    "recorder": {
        *{("set", "market:warm:*"), ("expire", "market:warm:*")},  # there is a record to begin with
        ("type", "physics:state:*"),  # one that has gone between two looks
        ("ping", ""),  # a channel that is silent
    },
}
"""What is declared and not always used by this scenario, by user, and when it is."""


def is_used_elsewhere(user: str, command: str, what: str) -> bool:
    """Whether this is not always used by the scenario; a GET is what a cluster makes of an MGET."""
    return (command, what) in IN_CLUSTERS or command == "get" or (command, what) in USED_ELSEWHERE[user]


_LINE = re.compile(r"\+?[\d.]+ \[\d+ (\S+)\] (.*)")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"')
_PATTERNS = (
    *("physics:state:*", "physics:writer:*", "physics:retire", "physics:retired", "market:snapshot:*"),
    *("market:fill:*", "market:warm:*", "market:feed:*"),
)


class Overheard:
    """What MONITOR shows of a server, from when `listen` was called last."""

    def __init__(self, redis: Guarded) -> None:
        self._redis = redis
        self._lines: list[str] = []
        self.users: dict[str, str] = {}
        """Whose connection it is, by its address."""
        self.listen()

    def listen(self) -> None:
        sock = socket.create_connection(("127.0.0.1", self._redis.port), timeout=300)
        sock.sendall(f"AUTH {FIXTURE} {password(FIXTURE)}\r\nMONITOR\r\n".encode())
        threading.Thread(target=self._read, args=(sock,), daemon=True).start()

    def _read(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError), sock.makefile("r", errors="replace") as lines:
            self._lines += lines

    def used(self) -> dict[str, set[Cell]]:
        """What each user has sent, and what was done in its scripts."""
        found: dict[str, set[Cell]] = {}
        user: str | None = None
        for line in self._lines:
            if (match := _LINE.match(line)) is None:
                continue
            if match[1] != "lua":  # what follows it in a script is of the same user
                user = self.users.get(match[1])
            if user is not None:
                found.setdefault(user, set()).update(_cells(_WORD.findall(match[2])))
        return found


def _cells(words: list[str]) -> set[Cell]:
    name = words[0].lower()
    if name in ("script", "cluster"):
        return {(f"{name}|{words[1].lower()}", "")}
    if name in ("publish", "subscribe"):
        return {(name, channel) for channel in (words[1:2] if name == "publish" else words[1:])}
    given = words[3 : 3 + int(words[2])] if name in ("eval", "evalsha") else words[1:]
    on = {pattern for word in given for pattern in _PATTERNS if fnmatch.fnmatchcase(word, pattern)}
    return {(name, pattern) for pattern in on} if on and name != "scan" else {(name, "")}


def declared_cells(permissions: Permissions) -> set[Cell]:
    return {
        (command, what)
        for row in permissions
        for command in row.commands
        for what in ({*row.read, *row.write, *row.channels} or {""})
    }


def is_cell_declared(permissions: Permissions, cell: Cell) -> bool:
    return cell in declared_cells(permissions) or cell[0] in ("auth", "hello")


@asynccontextmanager
async def door(redis: Guarded, user: str, overheard: Overheard) -> AsyncIterator[str]:
    """The URL of a door to the server for this user's connections."""
    tasks: set[asyncio.Task[Any]] = set()

    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs, ours = await asyncio.open_connection("127.0.0.1", redis.port)
        except OSError:
            writer.transport.abort()
            return
        host, port = ours.get_extra_info("sockname")[:2]
        overheard.users[f"{host}:{port}"] = user
        both = [asyncio.create_task(_pass(reader, ours)), asyncio.create_task(_pass(theirs, writer))]
        tasks.update(both)
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, ours):
            each.transport.abort()

    server = await asyncio.start_server(passed, "127.0.0.1", 0)
    try:
        yield with_login(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", user, password(user))
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
