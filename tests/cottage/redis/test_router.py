"""What a client of a cluster asks which node, without one."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from cottage.errors import RedisError, RedisUnavailable
from cottage.redis.router import Rounds, Router
from cottage.redis.slots import Address, Command, Redirected

ONE, TWO, SEED = ("one", 1), ("two", 2), ("seed", 3)
SLOTS = [[0, 8191, [b"one", 1]], [8192, 16383, [b"two", 2]]]
AT_ONE, AT_TWO = "b", "a"
"""A key of each."""

T = TypeVar("T")
Node = Callable[[Address, Command], Any]


def drive(rounds: Rounds[T], node: Node) -> tuple[T, list[tuple[Address, Command]]]:
    """The result where `node` answers each command, or raises for the whole of a node; and what was asked of whom."""
    asked: list[tuple[Address, Command]] = []
    try:
        commands = next(rounds)
        while True:
            answers: dict[Address, Any] = {}
            for address, each in commands.items():
                asked += [(address, command) for command in each]
                try:
                    answers[address] = [node(address, command) for command in each]
                except RedisUnavailable as error:
                    answers[address] = error
            commands = rounds.send(answers)
    except StopIteration as done:
        return done.value, asked


def healthy(address: Address, command: Command) -> Any:
    return SLOTS if command[0] == "CLUSTER" else f"{address[0]} {command[-1]!s}"


def test_each_command_goes_to_its_node_and_replies_come_in_order() -> None:
    router = Router([SEED])
    commands: list[Command] = [("GET", AT_TWO), ("GET", AT_ONE), ("MGET", AT_ONE, AT_TWO)]
    replies, asked = drive(router.replies(commands), healthy)
    assert replies == ["two a", "one b", ["one b", "two a"]]
    assert asked[0] == (SEED, ("CLUSTER", "SLOTS"))
    replies, asked = drive(router.replies([("GET", AT_ONE)]), healthy)
    assert asked == [(ONE, ("GET", AT_ONE))]  # who serves what is known now


def test_a_slot_that_moved_is_asked_for_anew_and_one_that_is_moving_is_not() -> None:
    told: list[int] = []

    def moves(address: Address, command: Command) -> Any:
        if command[0] == "CLUSTER":
            told.append(1)
            return SLOTS if len(told) == 1 else [[0, 16383, [b"two", 2]]]
        return Redirected(TWO, ask=False) if address == ONE else healthy(address, command)

    replies, asked = drive(Router([SEED]).replies([("GET", AT_ONE)]), moves)
    assert replies == ["two b"]
    assert len(told) == 2

    def moving(address: Address, command: Command) -> Any:
        if address == ONE and command[0] == "GET":
            return Redirected(TWO, ask=True)
        return healthy(address, command)

    replies, asked = drive(Router([SEED]).replies([("GET", AT_ONE)]), moving)
    assert replies == ["two b"]
    assert asked[1:] == [(ONE, ("GET", AT_ONE)), (TWO, ("ASKING",)), (TWO, ("GET", AT_ONE))]


def test_who_is_sent_around_for_ever_is_told_so() -> None:
    def never(address: Address, command: Command) -> Any:
        return SLOTS if command[0] == "CLUSTER" else Redirected(TWO if address == ONE else ONE, ask=True)

    with pytest.raises(RedisUnavailable, match="from one node to the next"):
        drive(Router([SEED]).replies([("GET", AT_ONE)]), never)


def test_a_node_that_does_not_answer_has_the_others_asked_who_serves_what() -> None:
    router = Router([SEED])
    drive(router.routes(), healthy)

    def one_is_gone(address: Address, command: Command) -> Any:
        if address == ONE:
            raise RedisUnavailable("gone")
        return [[0, 16383, [b"two", 2]]] if command[0] == "CLUSTER" else healthy(address, command)

    with pytest.raises(RedisUnavailable, match="gone"):
        drive(router.replies([("GET", AT_ONE)]), one_is_gone)
    replies, asked = drive(router.replies([("GET", AT_ONE)]), one_is_gone)
    assert replies == ["two b"]
    assert [address for address, command in asked if command[0] == "CLUSTER"] == [ONE, TWO]


def test_a_cluster_that_is_gone_is_unavailable() -> None:
    def gone(_address: Address, _command: Command) -> Any:
        raise RedisUnavailable("gone")

    with pytest.raises(RedisUnavailable, match="gone"):
        drive(Router([SEED]).pipeline([("GET", AT_ONE)]), gone)


def test_the_first_error_of_a_pipeline_is_raised_and_stays_in_its_place_in_bulk() -> None:
    def wrong(address: Address, command: Command) -> Any:
        return RedisError("WRONGTYPE") if command[0] == "HGET" else healthy(address, command)

    commands: list[Command] = [("GET", AT_ONE), ("HGET", AT_TWO, "x")]
    replies, _ = drive(Router([SEED]).replies(commands), wrong)
    assert replies[0] == "one b"
    assert isinstance(replies[1], RedisError)
    with pytest.raises(RedisError, match="WRONGTYPE"):
        drive(Router([SEED]).pipeline(commands), wrong)


def test_a_scan_walks_through_all_masters() -> None:
    def scanned(address: Address, command: Command) -> Any:
        return SLOTS if command[0] == "CLUSTER" else [b"0", [address[0].encode()]]

    router, cursor, found = Router([SEED]), 0, []
    while True:
        [(cursor, names)], _ = drive(router.pipeline([("SCAN", cursor, "COUNT", 10)]), scanned)
        found += names
        if cursor == 0:
            break
    assert found == [b"one", b"two"]


def test_a_script_is_loaded_on_every_master() -> None:
    def load(_address: Address, command: Command) -> Any:
        return SLOTS if command[0] == "CLUSTER" else b"abc"

    name, asked = drive(Router([SEED]).load_script("return 1"), load)
    assert name == "abc"
    assert [address for address, command in asked if command[0] == "SCRIPT"] == [ONE, TWO]
