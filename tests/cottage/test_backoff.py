import random

import pytest

from cottage.backoff import CLIENT_SECONDS, LASTING_SECONDS, LONG_OUTAGE_SECONDS, REFUSED_SECONDS, Backoff
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


def test_a_client_waits_longer_once_an_outage_is_a_long_one_and_a_link_does_not() -> None:
    client, link = Backoff(jitter=Ceiling(), patient=CLIENT_SECONDS), Backoff(jitter=Ceiling())
    waited = 0.0
    while waited < LONG_OUTAGE_SECONDS:
        wait = client.next()
        assert wait <= 1.0
        waited += wait
    assert [client.next() for _ in range(6)] == [2.0, 4.0, 8.0, 15.0, 15.0, 15.0]
    assert max(link.next() for _ in range(200)) == 1.0
    client.reset()
    assert client.next() == 0.05


def test_a_try_in_vain_counts_like_a_wait() -> None:
    backoff = Backoff(jitter=Ceiling(), patient=CLIENT_SECONDS)
    assert backoff.after(0.0, vain=5.0) == 1.0
    for _ in range(9):
        assert backoff.after(0.0, vain=5.0) == 1.0
    assert backoff.after(0.0, vain=5.0) == 2.0, "a minute has passed"


def test_only_what_was_delivered_makes_a_connection_one_that_lasted() -> None:
    backoff = Backoff(jitter=Ceiling())
    assert backoff.after_try(100.0, None, 100.0 + 60.0) == 1.0
    assert backoff.after_try(200.0, 250.0, 250.0 + LASTING_SECONDS - 0.1) == 1.0
    assert backoff.after_try(300.0, 300.0, 300.0 + LASTING_SECONDS) == 0.05
    assert backoff.after_try(400.0, None, 400.0, RedisRefused("no")) == REFUSED_SECONDS


@pytest.mark.parametrize("patient", [None, CLIENT_SECONDS])
@pytest.mark.parametrize("vain", [0.0, 5.0], ids=["a server that refuses", "a server that accepts and hangs"])
@pytest.mark.parametrize("outage", [20.0, 200.0])
def test_a_server_that_is_back_sees_its_clients_one_after_the_other(
    patient: float | None, vain: float, outage: float
) -> None:
    """Fifty lost it at the same moment."""
    back_at = []
    for seed in range(50):
        backoff, at = Backoff(jitter=random.Random(seed), patient=patient), 0.0
        began = at + backoff.after(LASTING_SECONDS)
        while began < outage:
            began += vain + backoff.after(0.0, vain=vain)
        back_at.append(began)
    back_at.sort()
    longest = 15.0 if patient and outage > LONG_OUTAGE_SECONDS else 1.0
    spread = max(longest, vain)
    assert back_at[-1] - back_at[0] > spread / 2
    crowd = max(sum(at <= other < at + spread / 10 for other in back_at) for at in back_at)
    assert crowd < 25, "in a tenth of that time comes no more than half of them"
