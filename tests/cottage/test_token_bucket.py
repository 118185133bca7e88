import pytest

from cottage.token_bucket import TokenBucket


def test_a_bucket_gives_a_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(10, 20)
    assert [bucket.take(1, 100.0) for _ in range(21)] == [True] * 20 + [False]
    assert bucket.seconds_until(1, 100.0) == pytest.approx(0.1)
    assert not bucket.take(1, 100.05)
    assert bucket.take(1, 100.11)
    assert not bucket.take(1, 100.11)
    assert [bucket.take(1, 200.0) for _ in range(21)] == [True] * 20 + [False], "no more than the burst is saved up"


def test_what_is_refused_costs_nothing() -> None:
    bucket = TokenBucket(1, 5)
    assert not bucket.take(6, 0.0)
    assert bucket.take(5, 0.0)


def test_one_that_takes_over_is_as_empty_as_the_one_before() -> None:
    before = TokenBucket(10, 100)
    assert before.take(95, 0.0)
    wider, narrower, late = TokenBucket(20, 200), TokenBucket(1, 10), TokenBucket(10, 100)
    wider.follow(before, 0.0)
    assert not wider.take(106, 0.0)
    assert wider.take(105, 0.0)
    narrower.follow(before, 0.0)
    assert not narrower.take(1, 0.0)
    assert narrower.take(1, 1.0)
    late.follow(before, 60.0)
    assert late.take(100, 60.0)
