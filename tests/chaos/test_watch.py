"""What a raw client takes for a violation: else the harness would prove nothing."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from cottage import protocol
from cottage.client.replica import ReplicaState
from cottage.freshness import Freshness, FreshnessStatement
from cottage.version import Version
from tests.chaos.pace import QUICK
from tests.chaos.watch import RawClient, Violations, sampled
from tests.common.fanout.wires import heartbeat, snapshot, update

Hears = Callable[..., list[str]]


@pytest.fixture
def client() -> RawClient:
    violations = Violations(lambda _kind, _what: None)
    return RawClient("test", ["ws://test"], violations, QUICK, asyncio.Event(), symbols=["A", "B"])


@pytest.fixture
def hears(client: RawClient) -> Hears:
    def told(*messages: bytes) -> list[str]:
        """The kinds of violations that it found in these."""
        client._violations.found.clear()
        for message in messages:
            client._heard_at = time.monotonic()
            client._take(message, orjson.loads(message), exact=True)
        return [kind for kind, _ in client._violations.found]

    return told


def test_what_is_right_is_no_violation(client: RawClient, hears: Hears) -> None:
    seqs = {"A": Version(1, 2)}
    assert hears(snapshot(update("A", 1, 1)), update("A", 1, 2), heartbeat(seqs=seqs)) == []
    assert client.versions() == seqs
    assert client.live("A")
    assert not client.live("B")


def test_a_version_that_is_not_newer(hears: Hears) -> None:
    hears(snapshot(update("A", 2, 1)))
    assert hears(update("A", 2, 1)) == ["went_back"]
    assert hears(update("A", 1, 9)) == ["went_back"]
    assert hears(snapshot(update("A", 1, 9))) == []  # which it holds now


def test_what_was_removed_may_come_back_in_any_version(hears: Hears) -> None:
    hears(snapshot(update("A", 2, 1)))
    assert hears(protocol.removed("A"), update("A", 1, 1)) == []


def test_a_symbol_that_nobody_asked_for(hears: Hears) -> None:
    assert hears(update("C", 1, 1)) == ["not_asked_for"]


def test_a_proof_of_something_else(hears: Hears) -> None:
    hears(snapshot(update("A", 1, 1)))
    assert hears(heartbeat(seqs={"A": Version(1, 2)})) == ["proof"]
    assert hears(heartbeat(seqs={})) == ["proof"]


def test_the_servers_word_on_freshness_counts(client: RawClient, hears: Hears) -> None:
    hears(snapshot(update("A", 1, 1), update("B", 1, 1)), heartbeat())
    assert client.live("A")
    hears(protocol.freshness(FreshnessStatement(Freshness("stale", "feed_down", 5.0), ("A",))))
    assert [client.live("A"), client.live("B")] == [False, True]
    hears(protocol.freshness(FreshnessStatement(Freshness("stale", "redis_down", 4.0))))
    assert not client.live("B")


def test_a_state_that_was_issued_again_after_a_step_is_of_the_same_sample() -> None:
    """By its time it would be another, as young as a sample is that really has that name later."""
    state = ReplicaState("A", {}, Version(2, 1), time=1_000_001.0)
    assert sampled(state) == 1_000_001.0
    assert sampled(replace(state, feed_time=1_000_000.0)) == 1_000_000.0
