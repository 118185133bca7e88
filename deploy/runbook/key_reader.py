"""Reads every key of a server as the commands that create it again, for the export."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from cottage.redis import BlockingClient
from cottage.store import SCAN_COUNT, batches
from deploy.runbook.dump import Argument, encode

KEYS_AT_ONCE = 200  # read in one transaction
ELEMENTS_AT_ONCE = 500  # written by one command

Rebuild = Callable[[bytes, Any], Iterable[bytes]]


def all_keys(client: BlockingClient, pattern: str = "*") -> list[bytes]:
    """The keys that match, sorted and without duplicates. It uses SCAN, since KEYS would block the server."""
    return sorted(set(client.scan_iter(match=pattern, count=SCAN_COUNT)))


class KeyReader:
    """Reads all keys of the client's database.

    A key is read completely and together with its lifetime in one transaction, so each key is consistent in itself.
    Keys are read one after another while other clients write, so they are not all of the same moment.
    """

    def __init__(self, client: BlockingClient, on_progress: Callable[[int, int], None] = lambda _done, _all: None):
        self._client = client
        self._on_progress = on_progress
        # In Redis 7.4 and Valkey 9 single fields of a hash can have a lifetime.
        self._fields_expire = client.execute_command("COMMAND INFO", "HPEXPIRETIME") != [None]
        self.failed: list[str] = []
        """One line for each key that could not be read."""

    def commands(self) -> Iterator[tuple[int, bytes]]:
        """Encoded commands, each with the number of keys that it completes (0 or 1)."""
        keys = all_keys(self._client)
        done = 0
        for part in batches(keys, KEYS_AT_ONCE):
            for key, kind, lifetime, content in self._read(part):
                commands = [*_REBUILD[kind](key, content)]
                if kind == b"hash" and self._fields_expire:
                    commands += self._field_lifetimes(key, list(content))
                if lifetime >= 0:
                    commands.append(encode("PEXPIREAT", key, lifetime))
                yield from ((0, command) for command in commands[:-1])
                yield 1, commands[-1]
            done += len(part)
            self._on_progress(done, len(keys))

    def _read(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes, int, Any]]:
        """(key, type, time of expiry in ms since 1970 or -1, content) of the keys that still exist."""
        with self._client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.type(key)
            kinds = dict(zip(keys, pipeline.execute(), strict=True))
        readable = [key for key in keys if kinds[key] in _REBUILD]
        self.failed += [
            f"{_shown(key)}: its type {_shown(kind)} cannot be exported"
            for key, kind in kinds.items()
            if kind != b"none" and kind not in _REBUILD
        ]
        with self._client.pipeline(transaction=True) as pipeline:
            for key in readable:
                pipeline.execute_command("PEXPIRETIME", key)  # type: ignore[no-untyped-call]
                pipeline.execute_command(*_READ[kinds[key]](key))  # type: ignore[no-untyped-call]
            answers = pipeline.execute(raise_on_error=False)
        for key, lifetime, content in zip(readable, answers[::2], answers[1::2], strict=True):
            if isinstance(content, Exception) or isinstance(lifetime, Exception):
                self.failed.append(f"{_shown(key)}: {content}")  # for instance because its type has changed
            elif lifetime == -2:
                continue  # deleted since it was found
            elif kinds[key] == b"stream":
                yield key, b"stream", lifetime, self._stream(key, content)
            else:
                yield key, kinds[key], lifetime, content

    def _stream(self, key: bytes, entries: Any) -> Any:
        info = self._client.execute_command("XINFO", "STREAM", key)
        groups = self._client.execute_command("XINFO", "GROUPS", key)
        return entries, _named(info), [_named(group) for group in groups]

    def _field_lifetimes(self, key: bytes, fields: list[bytes]) -> Iterator[bytes]:
        for part in batches(fields, ELEMENTS_AT_ONCE):
            ends = self._client.execute_command("HPEXPIRETIME", key, "FIELDS", len(part), *part)
            for field, end in zip(part, ends or (), strict=False):
                if end >= 0:
                    yield encode("HPEXPIREAT", key, end, "FIELDS", 1, field)


def _collection(command: str, key: bytes, elements: Iterable[Argument], at_once: int) -> Iterator[bytes]:
    # Deleted first: importing twice must not double a list.
    yield encode("DEL", key)
    for part in batches(list(elements), at_once):
        yield encode(command, key, *part)


def _pairs(command: str, key: bytes, pairs: Iterable[tuple[Argument, Argument]]) -> Iterator[bytes]:
    return _collection(command, key, chain.from_iterable(pairs), 2 * ELEMENTS_AT_ONCE)


def _stream(key: bytes, content: Any) -> Iterator[bytes]:
    entries, info, groups = content
    yield encode("DEL", key)
    for name, fields in entries:
        yield encode("XADD", key, name, *fields)
    if not entries:  # an empty stream exists as well
        yield encode("XADD", key, "MAXLEN", 0, "0-1", "x", "x")
    added = ("ENTRIESADDED", info["entries-added"], "MAXDELETEDID", info["max-deleted-entry-id"])
    yield encode("XSETID", key, info["last-generated-id"], *added)
    for group in groups:
        yield encode("XGROUP", "CREATE", key, group["name"], group["last-delivered-id"])


_READ: dict[bytes, Callable[[bytes], Sequence[Argument]]] = {
    b"string": lambda key: ("GET", key),
    b"hash": lambda key: ("HGETALL", key),
    b"list": lambda key: ("LRANGE", key, 0, -1),
    b"set": lambda key: ("SMEMBERS", key),
    b"zset": lambda key: ("ZRANGE", key, 0, -1, "WITHSCORES"),
    # The name as bytes keeps redis-py from parsing the reply into dicts, since a field may occur twice.
    b"stream": lambda key: (b"XRANGE", key, "-", "+"),
}
_REBUILD: dict[bytes, Rebuild] = {
    b"string": lambda key, content: [encode("SET", key, content)],
    b"hash": lambda key, content: _pairs("HSET", key, sorted(content.items())),
    b"list": lambda key, content: _collection("RPUSH", key, content, ELEMENTS_AT_ONCE),
    b"set": lambda key, content: _collection("SADD", key, sorted(content), ELEMENTS_AT_ONCE),
    # Redis answers member and score, ZADD takes score and member. Python writes a float so that it reads the same.
    b"zset": lambda key, content: _pairs("ZADD", key, ((score, member) for member, score in content)),
    b"stream": _stream,
}


def _named(reply: Any) -> dict[str, Any]:
    """A reply of names and values as a dict, whether it came as a list or as a map."""
    if not isinstance(reply, dict):
        reply = dict(zip(reply[::2], reply[1::2], strict=True))
    return {name.decode() if isinstance(name, bytes) else name: value for name, value in reply.items()}


def _shown(name: bytes) -> str:
    return name.decode(errors="backslashreplace")[:120]
