"""Each user of the ACL files is refused all that is not declared: every command and subcommand of the server is sent
for real, with as many words as it wants, and again inside EVAL; and its own commands on what is not its own."""

import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import hiredis
import pytest

from cottage import keys
from cottage.redis.permission import Permissions
from deploy.redis_server import Server
from deploy.redis_users import USERS
from tests.conftest import KINDS
from tests.integration.guarded import FIXTURE, Guarded, guarded, password

NEVER_REFUSED = {"auth", "hello", "reset", "quit"}
"""No server refuses these to anybody: they are of the connection."""
NO_PERMISSION = ("NOPERM", "ACL failure in script", "The user executing the script can't")
NOT_IN_SCRIPTS = "is not allowed from script"
KEYS = {
    "physics:state:*": "physics:state:AAA",
    "physics:writer:*": "physics:writer:0",
    "physics:retire": "physics:retire",
    "physics:retired": "physics:retired",
    "market:snapshot:*": "market:snapshot:AAA",
    "market:fill:*": "market:fill:AAA",
    "market:warm:*": "market:warm:AAA",
    "market:feed:*": "market:feed:AAA",
    "agent:state:*": "agent:state:a",
    "queue:tasks": "queue:tasks",
    "leaderboard:strategies": "leaderboard:strategies",
    "nobody's": "physics:stat",
}
"""A key of each pattern."""
CHANNELS = ("state_update", "trade_signals", "market:mark", "market:mark:taken", "__sentinel__:hello", "state_updat")
OF_CHANNELS = {"publish", "spublish", "subscribe", "ssubscribe"}

pytestmark = pytest.mark.usefixtures("no_debug")


@pytest.fixture(scope="module", params=KINDS)
def redis(
    request: pytest.FixtureRequest, server_binaries: dict[str, Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    if request.param not in server_binaries:
        pytest.skip(f"no {request.param}-server on this machine")
    # These two are refused to all by default, which would hide that the users may not send them.
    options = ("--enable-debug-command", "yes", "--enable-module-command", "yes")
    with guarded(server_binaries[request.param], tmp_path_factory.mktemp("users"), options) as made:
        yield made


class Wire:
    """A connection of a user, on which commands are sent as they are."""

    def __init__(self, redis: Guarded, user: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", redis.port), timeout=30)
        self._reader = hiredis.Reader()
        assert self.ask([("AUTH", user, password(user))]) == [b"OK"]

    def ask(self, commands: Iterable[Sequence[str]]) -> list[Any]:
        sent = [hiredis.pack_command(tuple(command)) for command in commands]  # type: ignore[arg-type]
        replies: list[Any] = []
        for start in range(0, len(sent), 100):
            part = sent[start : start + 100]
            self._socket.sendall(b"".join(part))
            for _command in part:
                while (reply := self._reader.gets()) is False:
                    data = self._socket.recv(2**16)
                    assert data, "the server closed the connection"
                    self._reader.feed(data)
                replies.append(reply)
        return replies

    def close(self) -> None:
        self._socket.close()


def all_commands(redis: Guarded) -> dict[str, tuple[list[str], int]]:
    """Each command and subcommand that the server has: the shortest call of it, and the place of its first key."""
    wire = Wire(redis, FIXTURE)
    (listed,) = wire.ask([("COMMAND",)])
    wire.close()
    found: dict[str, tuple[list[str], int]] = {}

    def add(entry: Any) -> None:
        name, arity, first, subcommands = entry[0].decode(), entry[1], entry[3], entry[9]
        for subcommand in subcommands:
            add(subcommand)
        words = name.split("|")
        if not subcommands:
            found[name] = (words + ["1"] * (abs(arity) - len(words)), first)

    for entry in listed:
        add(entry)
    return found


def declared(permissions: Permissions) -> set[str]:
    return {name for row in permissions for name in row.commands}


def is_declared(permissions: Permissions, command: str, what: str) -> bool:
    """Whether a row has this command on this pattern of keys, or on this channel."""
    return any(
        command in row.commands and {what, "*"} & {*row.read, *row.write, *row.channels} for row in permissions
    )


def call(words: Sequence[str], first: int, key: str) -> list[str]:
    """The call on this key; EVAL and EVALSHA say how many keys there are."""
    if first == 0:
        return [words[0], "return 1", "1", key]
    return [*words[:first], key, *words[first + 1 :]]


def is_refused(reply: object) -> bool:
    return isinstance(reply, hiredis.ReplyError) and any(text in str(reply) for text in NO_PERMISSION)


def in_script(command: Sequence[str]) -> list[str]:
    return ["EVAL", "return redis.pcall(unpack(ARGV))", "0", *command]


@pytest.mark.parametrize("user", USERS)
def test_every_other_command_is_refused(redis: Guarded, user: str) -> None:
    commands = all_commands(redis)
    assert len(commands) > 300
    others = {name: words for name, (words, _first) in commands.items() if name not in declared(USERS[user])}
    sent = {name: words for name, words in others.items() if name not in NEVER_REFUSED}
    assert len(sent) > 250
    wire = Wire(redis, user)
    replies = dict(zip(sent, wire.ask(sent.values()), strict=True))
    assert {name: reply for name, reply in replies.items() if not is_refused(reply)} == {}
    if "eval" in declared(USERS[user]):
        inside = dict(zip(sent, wire.ask(in_script(words) for words in sent.values()), strict=True))
        done = {
            name: reply
            for name, reply in inside.items()
            if not (is_refused(reply) or NOT_IN_SCRIPTS in str(reply)) or not isinstance(reply, hiredis.ReplyError)
        }
        assert done == {}
    wire.close()


@pytest.mark.parametrize("name", sorted(NEVER_REFUSED))
def test_what_no_server_refuses(redis: Guarded, name: str) -> None:
    """And why that harms nobody: such a connection may then do nothing."""
    wire = Wire(redis, "health")
    words = {"auth": ("AUTH", "health", "wrong"), "hello": ("HELLO", "2")}.get(name, (name,))
    (reply,) = wire.ask([words])
    assert not is_refused(reply)
    if name == "reset":
        assert str(wire.ask([("PING",)])[0]).startswith("NOAUTH")
    wire.close()


@pytest.mark.parametrize("user", USERS)
def test_its_own_commands_are_refused_on_what_is_not_its_own(redis: Guarded, user: str) -> None:
    permissions, commands = USERS[user], all_commands(redis)
    calls: dict[tuple[str, str], list[str]] = {}
    for name in declared(permissions) & commands.keys():
        words, first = commands[name]
        if name in OF_CHANNELS:
            calls |= {(name, what): [name, what, "x"][: len(words)] for what in CHANNELS}
        elif first or name in ("eval", "evalsha"):
            calls |= {(name, pattern): call(words, first, key) for pattern, key in KEYS.items()}
    refused = {cell: words for cell, words in calls.items() if not is_declared(permissions, *cell)}
    wire = Wire(redis, user)
    replies = dict(zip(refused, wire.ask(refused.values()), strict=True))
    assert {cell: reply for cell, reply in replies.items() if not is_refused(reply)} == {}
    if "eval" in declared(permissions):
        assert len(refused) > 50
        inside = {cell: words for cell, words in refused.items() if cell[0] not in ("eval", "evalsha")}
        replies = dict(zip(inside, wire.ask(in_script(words) for words in inside.values()), strict=True))
        done = {
            cell: reply
            for cell, reply in replies.items()
            if not is_refused(reply) and NOT_IN_SCRIPTS not in str(reply)
        }
        assert done == {}
    wire.close()


def test_all_keys_and_channels_are_tried() -> None:
    patterns = {each for rows in USERS.values() for row in rows for each in (*row.read, *row.write)}
    assert patterns - {"*"} == KEYS.keys() - {"nobody's"}
    channels = {each for rows in USERS.values() for row in rows for each in row.channels}
    assert channels == set(CHANNELS) - {"state_updat"}
    ours = {value for name, value in vars(keys).items() if name.isupper() and isinstance(value, str) and ":" in value}
    assert {each for each in ours if not any(key.startswith(each) for key in (*KEYS.values(), *CHANNELS))} == set()


def test_a_right_to_write_is_none_to_read(redis: Guarded) -> None:
    wire = Wire(redis, "recorder")
    taken, told = wire.ask([("SET", "market:warm:AAA", "x", "EX", "9"), ("SET", "market:warm:AAA", "x", "GET")])
    assert taken == b"OK"
    assert is_refused(told), "its old value"
    wire.close()
