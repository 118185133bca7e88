"""What is sent is what hiredis makes of each command, whatever the commands have in common."""

import hiredis
import pytest

from cottage.redis.fast_path import _packed
from cottage.redis.slots import Command


@pytest.mark.parametrize(
    "commands",
    [
        [("HMGET", "a", "price", "Ä"), ("HMGET", "b" * 30, "price", "Ä")],
        [("HMGET", b"\xff\r\n", "price", "")] * 3,
        [("HMGET", "a", "price"), ("HMGET", "a", "price", "volume")],
        [("HMGET", "a", "price"), ("HGET", "b", "price")],
        [("EXPIRE", "a", 1), ("EXPIRE", "a", 1.0), ("EXPIRE", "a", "1")],
        [("SET", "a", "1"), ("SET", "a", b"1"), ("SET", "a", "2")],
        [("MULTI",), ("GET", "a"), ("EXEC",)],
        [("PING",)],
    ],
)
def test_what_commands_have_in_common_changes_no_byte(commands: list[Command]) -> None:
    assert _packed(commands) == b"".join(hiredis.pack_command(command) for command in commands)  # type: ignore[arg-type]
