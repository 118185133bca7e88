import random

import pytest

from cottage.backoff import LASTING_SECONDS, REFUSED_SECONDS, Backoff
from cottage.errors import RedisRefused


class Ceiling(random.Random):
    """Draws the longest wait there is."""

    def uniform(self, a: float, b: float) -> float:
        assert a == 0
        return b


def test_the_ceiling_doubles_up_to_the_longest() -> None:
    backoff = Backoff(0.05, 1.0, Ceiling())
    assert [backoff.next() for _ in range(7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_a_success_starts_it_anew() -> None:
    backoff = Backoff(0.05, 1.0, Ceiling())
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.next() == 0.05


def test_only_what_lasted_starts_it_anew() -> None:
    backoff = Backoff(0.05, 1.0, Ceiling())
    assert [backoff.after(0.0) for _ in range(4)] == [0.05, 0.1, 0.2, 0.4]
    assert backoff.after(LASTING_SECONDS - 0.1) == 0.8
    assert backoff.after(LASTING_SECONDS) == 0.05
    assert backoff.after(0.0, RedisRefused("no")) == REFUSED_SECONDS


@pytest.mark.parametrize("seed", range(20))
def test_waits_are_spread_and_never_over_a_second(seed: int) -> None:
    backoff = Backoff(jitter=random.Random(seed))
    waits = [backoff.next() for _ in range(200)]
    assert min(waits) >= 0
    assert max(waits) <= 1.0
    late = waits[10:]
    assert min(late) < 0.1  # full jitter: a crowd comes back spread over the whole second
    assert max(late) > 0.9


def test_two_that_lost_the_same_server_do_not_return_as_one() -> None:
    one, other = Backoff(), Backoff()
    assert [one.next() for _ in range(5)] != [other.next() for _ in range(5)]
