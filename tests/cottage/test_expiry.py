"""A lease or a feed that nobody renews is found dead whatever Redis's clock does; one that is renewed never is."""

import random

import pytest

from cottage.expiry import LONGEST_MS, ExpiryLook, OutlivingKeys, lifetime_ms

LEASE = "physics:writer:0"
HOUR_MS = 3_600_000


def dead_after(keys: OutlivingKeys, looks: list[tuple[float, int]], lifetime: int = 5000) -> list[float]:
    """The times of the looks (monotonic seconds, PTTL) that found the lease dead."""
    return [now for now, pttl in looks if LEASE in keys.dead({LEASE: ExpiryLook(lifetime, pttl)}, now)]


def test_a_key_that_redis_keeps_for_an_hour_is_dead_after_its_own_lifetime() -> None:
    looks = [(float(second), HOUR_MS + 5000 - 1000 * second) for second in range(8)]
    assert dead_after(OutlivingKeys(), looks) == [5.0, 6.0, 7.0]


def test_a_key_without_a_lifetime_is_dead_after_the_one_that_its_value_says() -> None:
    assert dead_after(OutlivingKeys(), [(0.0, -1), (0.4, -1), (0.5, -1)], lifetime=500) == [0.5]


def test_one_look_at_a_key_as_its_holder_renews_it_begins_anew() -> None:
    looks = [(0.0, HOUR_MS), (3.0, HOUR_MS), (4.0, 4900), (5.0, HOUR_MS), (9.9, HOUR_MS), (10.0, HOUR_MS)]
    assert dead_after(OutlivingKeys(), looks) == [10.0]


@pytest.mark.parametrize("pttl", [0, 1, 4999, 5000, -2])
def test_what_redis_keeps_for_its_lifetime_at_most_never_is(pttl: int) -> None:
    assert dead_after(OutlivingKeys(), [(float(second), pttl) for second in range(100)]) == []


@pytest.mark.parametrize("seed", range(20))
def test_a_living_holder_is_never_dead_whenever_the_clock_goes_back(seed: int) -> None:
    """Renewed each second, looked at twice a second; Redis's clock goes back once in a while."""
    random_ = random.Random(seed)
    keys, wall, expires = OutlivingKeys(), 1e6, 0.0
    for half in range(400):
        if random_.random() < 0.1:
            wall -= random_.choice([1, 50, 3600, 86400])
        if half % 2 == 0:
            expires = wall + 5
        looked = ExpiryLook(5000, round((expires - wall) * 1000))
        assert keys.dead({LEASE: looked}, half / 2) == frozenset()
        wall += 0.5


def test_keys_are_judged_each_by_its_own_looks_and_forgotten_when_they_are_gone() -> None:
    keys = OutlivingKeys()
    bad, good = ExpiryLook(1000, -1), ExpiryLook(1000, 900)
    assert not keys.in_doubt
    assert keys.dead({"one": bad, "two": good}, 0.0) == frozenset()
    assert keys.in_doubt
    assert keys.dead({"one": bad, "two": bad}, 1.0) == {"one"}
    assert keys.in_doubt
    assert keys.dead({"two": bad}, 2.0) == {"two"}
    assert not keys.in_doubt
    assert keys.dead({"one": bad}, 3.0) == frozenset()  # it was gone meanwhile


@pytest.mark.parametrize("stated", [None, "5000", 5000.0, True, 0, -1, []])
def test_a_value_that_says_no_lifetime_has_the_callers(stated: object) -> None:
    assert lifetime_ms({"lifetime_ms": stated}, 700) == 700
    assert lifetime_ms({}) == LONGEST_MS


def test_no_value_keeps_its_key_alive_by_what_it_says() -> None:
    assert lifetime_ms({"lifetime_ms": 5000}) == 5000
    assert lifetime_ms({"lifetime_ms": 10**15}) == LONGEST_MS
    assert lifetime_ms({"lifetime_ms": 10**15}, otherwise=300_000) == 300_000


def test_a_caller_with_a_longer_lifetime_believes_that_others_have_it_too() -> None:
    assert lifetime_ms({"lifetime_ms": 200_000}, otherwise=300_000) == 200_000
