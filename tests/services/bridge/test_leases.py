"""Which updates are believed as they come, by the leases and the states that Redis has shown."""

import orjson
import pytest

from cottage import keys
from cottage.version import FARTHEST_AHEAD_SECONDS, Version
from services.bridge.leases import AHEAD_TICKS, LivingLeases
from tests.integration.fanout import lease

NOW = 1_766_318_400.0
EPOCH = round(NOW * 1000)


def reading(leases: LivingLeases, *values: bytes | None, at: float = 0.0, pttl: int = 1000) -> LivingLeases:
    """They have been read; all with this PTTL."""
    leases.take(values, [pttl] * len(values), NOW, at)
    return leases


def test_what_redis_has_shown_is_believed_and_a_few_ticks_more() -> None:
    leases = reading(LivingLeases(), lease(EPOCH))
    assert not leases.believes("SPY", Version(EPOCH, 0)), "no state has been shown yet"
    leases.shown("SPY", Version(EPOCH, 100))
    leases.shown("QQQ", Version(EPOCH, 7))  # a quiet one
    leases.shown("QQQ", Version(EPOCH + 1, 10**6))  # not of its lease
    for symbol in ("SPY", "QQQ", "NEW"):
        assert leases.believes(symbol, Version(EPOCH, 1))
        assert leases.believes(symbol, Version(EPOCH, 100 + AHEAD_TICKS))
        assert not leases.believes(symbol, Version(EPOCH, 100 + AHEAD_TICKS + 1))
        assert not leases.believes(symbol, Version(EPOCH + 55_000, 1))
        assert not leases.believes(symbol, Version(EPOCH - 1, 1))


def test_a_tick_that_redis_no_longer_bears_out_is_forgotten() -> None:
    leases = reading(LivingLeases(), lease(EPOCH))
    leases.shown("SPY", Version(EPOCH, 2**53 - 1))  # somebody SET it
    leases.mistaken("SPY", Version(EPOCH, 100))
    assert not leases.believes("SPY", Version(EPOCH, 100 + AHEAD_TICKS + 1))
    assert leases.believes("SPY", Version(EPOCH, 101))


def test_a_new_writer_has_to_show_its_tick_and_one_that_goes_on_does_not() -> None:
    leases = reading(LivingLeases(), lease(EPOCH))
    leases.shown("SPY", Version(EPOCH, 100))
    assert reading(leases, lease(EPOCH)).believes("SPY", Version(EPOCH, 101))
    assert not reading(leases, lease(EPOCH + 1)).believes("SPY", Version(EPOCH + 1, 1))
    assert not leases.believes("SPY", Version(EPOCH, 101))


def test_each_shard_has_its_own_epoch_and_tick() -> None:
    leases = reading(LivingLeases(), lease(EPOCH, 3))
    assert leases.names() == [keys.physics_writer(index) for index in range(3)], "the first lease tells how many"
    reading(leases, lease(EPOCH, 3), None, lease(EPOCH + 2, 3))
    assert leases.epochs == {(0, 3): EPOCH, (2, 3): EPOCH + 2}
    of = {keys.shard_index(name, 3): name for name in ("SPY", "QQQ", "IWM", "DIA", "TLT", "GLD")}
    leases.shown(of[0], Version(EPOCH, 100))
    assert leases.believes(of[0], Version(EPOCH, 101))
    assert not leases.believes(of[2], Version(EPOCH, 101))
    assert not leases.believes(of[2], Version(EPOCH + 2, 101))
    assert not leases.lives(of[1], EPOCH)
    assert leases.lives(of[2], EPOCH + 2)


def test_more_leases_are_read_once_somebody_claims_to_be_of_more_shards() -> None:
    leases = LivingLeases()
    leases.expect((2, 5))
    leases.expect((0, 1))
    assert len(leases.names()) == 5


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[]",
        b'{"epoch":1}',
        b'{"epoch":"1","shards":1}',
        b'{"epoch":1,"shards":0}',
        b'{"epoch":1,"shards":1000}',
        b'{"epoch":-1,"shards":1}',
        lease(EPOCH + round(FARTHEST_AHEAD_SECONDS * 1000) + 1),
    ],
)
def test_what_is_no_lease_counts_for_nobody(value: bytes | None) -> None:
    assert reading(LivingLeases(), value).epochs == {}


def test_an_epoch_may_be_ahead_where_the_clock_was_set_back() -> None:
    ahead = EPOCH + 86_400_000
    assert reading(LivingLeases(), lease(ahead)).epochs == {(0, 1): ahead}


@pytest.mark.parametrize("pttl", [-1, 3_597_992])
def test_a_lease_that_outlives_its_lifetime_is_dead(pttl: int) -> None:
    short = orjson.dumps({**orjson.loads(lease(EPOCH)), "lifetime_ms": 5000})
    leases = reading(LivingLeases(), short, at=0.0, pttl=pttl)
    assert leases.epochs == {(0, 1): EPOCH}
    assert reading(leases, short, at=4.9, pttl=pttl).epochs == {(0, 1): EPOCH}
    assert reading(leases, short, at=5.0, pttl=pttl).epochs == {}
    assert reading(leases, short, at=6.0, pttl=4000).epochs == {(0, 1): EPOCH}, "renewed"
