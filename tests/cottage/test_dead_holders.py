"""What dead holders left, on a real Redis; with leases and processes in test_lease.py."""

import subprocess
import sys
from collections.abc import Mapping

import orjson
import pytest

from cottage.dead_holders import DeadHolders, fields_of, other_value
from cottage.process_name import process_name
from cottage.redis import Client
from tests.support import ROOT, library_events

KEY = "somebody:lease"


def holder(fields: Mapping[str, object]) -> str | None:
    name = fields.get("holder")
    return name if isinstance(name, str) else None


def ended() -> str:
    """The name of a process that has ended."""
    says = "from cottage.process_name import process_name; print(process_name())"
    return subprocess.run([sys.executable, "-c", says], cwd=ROOT, capture_output=True, text=True, check=True).stdout[
        :-1
    ]


def value_of(name: object) -> bytes:
    return orjson.dumps({"holder": name, "lifetime_ms": 60_000})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"hello", "nobody holds anything by it"),
        (b"[]", "nobody holds anything by it"),
        (value_of(7), "nobody holds anything by it"),
        (value_of("host:1:x"), None),
        (value_of(""), None),
    ],
)
async def test_what_nobody_can_hold_anything_by_is_deleted(client: Client, value: bytes, reason: str | None) -> None:
    await client.set(KEY, value, px=50_000)
    holders = DeadHolders(client, holder)
    with library_events() as said:
        assert await holders.discard({KEY: value}, 0.0) == (reason is not None)
    assert [line["reason"] for line in said] == ([] if reason is None else [reason])
    assert await client.exists(KEY) == (reason is None)


async def test_what_a_process_held_that_has_ended_is_deleted_unless_it_is_another_s_by_now(client: Client) -> None:
    holders, dead, mine = DeadHolders(client, holder), value_of(ended()), value_of(process_name())
    await client.set(KEY, mine, px=50_000)
    assert await holders.discard({KEY: mine}, 0.0) == 0
    assert await holders.discard({KEY: dead}, 0.0) == 0, "another has it"
    assert await client.get(KEY) == mine
    await client.set(KEY, dead, px=50_000)
    assert await holders.discard({KEY: dead}, 0.0) == 1
    assert await holders.discard({KEY: dead}, 0.0) == 0
    assert await client.get(KEY) is None


async def test_what_redis_would_keep_longer_than_a_lifetime_is_deleted_after_one(client: Client) -> None:
    value = value_of("host:1:x")
    holders = DeadHolders(client, holder)
    await client.set(KEY, value, px=3_600_000)
    assert [await holders.discard({KEY: value}, at) for at in (0.0, 59.0)] == [0, 0]
    await client.pexpire(KEY, 60_000)
    assert await holders.discard({KEY: value}, 61.0) == 0, "its holder renewed it"
    await client.persist(KEY)
    assert [await holders.discard({KEY: value}, at) for at in (62.0, 121.0, 122.0)] == [0, 0, 1]


async def test_each_has_a_name_in_the_log(client: Client) -> None:
    holders = DeadHolders(client, holder)
    assert holders.name(value_of("host:1:x")) == "host:1:x"
    assert holders.name(value_of("")) == "a process without a name"
    assert holders.name(b"hello" * 100) == repr(b"hello" * 20)
    assert fields_of(b"hello") == {}


def test_what_the_script_answered() -> None:
    with library_events() as said:
        assert other_value(KEY, None) is None
        assert other_value(KEY, b"another") == b"another"
        assert said == []
        assert other_value(KEY, [b"hash"]) is None
    (line,) = said
    assert (line["key"], line["holder"], line["pttl_ms"]) == (KEY, "a hash", None)
