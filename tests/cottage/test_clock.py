import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage.clock import LATEST_SECONDS, RemoteClock, SystemClock, Tick, from_iso, iso_millis, step_in_words, ticks
from cottage.errors import InvalidMessage


class FakeClock:
    """Sleeps in no time; `late` seconds pass on top of each sleep."""

    def __init__(self, start: float = 1000.0) -> None:
        self.now = start
        self.late: list[float] = []
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds + (self.late.pop(0) if self.late else 0.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1766318400, "2025-12-21T12:00:00.000Z"),
        (1766318400.0004, "2025-12-21T12:00:00.000Z"),
        (1766318400.9996, "2025-12-21T12:00:01.000Z"),
        (1709164799.5, "2024-02-28T23:59:59.500Z"),
        (LATEST_SECONDS, "9999-12-31T23:59:59.000Z"),
    ],
)
def test_times_are_written_in_utc_with_milliseconds(seconds: float, text: str) -> None:
    assert iso_millis(seconds) == text


@given(st.integers(0, int(LATEST_SECONDS) * 1000))
def test_milliseconds_survive_text(millis: int) -> None:
    text = iso_millis(millis / 1000)
    assert (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1) == millis
    assert round(from_iso(text) * 1000) == millis


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2025-12-21T12:00:00Z", 1766318400.0),  # as the specification prints it
        ("2025-12-21T12:00:00.250Z", 1766318400.25),
        ("2025-12-21T13:00:00.250000+01:00", 1766318400.25),
        ("2025-12-21 12:00:00Z", 1766318400.0),
    ],
)
def test_times_of_others_are_read(text: str, seconds: float) -> None:
    assert from_iso(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "now", "2025-12-21T12:00:00", "2025-12-21", "2025-13-01T00:00:00Z", 1766318400, None, [], b"2025"]
)
def test_what_is_no_time_with_a_zone_is_refused(text: Any) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        from_iso(text)
    assert refusal.value.reason == "timestamp"


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.binary(), st.lists(st.text())))
def test_no_value_makes_another_error(value: Any) -> None:
    with contextlib.suppress(InvalidMessage):
        assert isinstance(from_iso(value), float)


async def taken(clock: FakeClock, count: int, work: list[float] | None = None) -> list[Tick]:
    """The first ticks of a second each, after each of which `work` seconds pass."""
    found = []
    stream = ticks(1.0, clock)
    async for tick in stream:
        found.append(tick)
        if len(found) == count:
            break
        if work:
            clock.now += work.pop(0)
    return found


async def test_the_first_tick_comes_at_once_and_the_rest_on_the_grid() -> None:
    clock = FakeClock()
    assert await taken(clock, 4, [0.25, 0.5, 0.0]) == [Tick(number, 0.0, 0) for number in range(4)]
    assert clock.slept == [0.75, 0.5, 1.0]


async def test_a_late_tick_delays_no_other() -> None:
    clock = FakeClock()
    clock.late = [0.25]
    assert await taken(clock, 3) == [Tick(0, 0.0, 0), Tick(1, 0.25, 0), Tick(2, 0.0, 0)]
    assert clock.now == 1002.0


async def test_a_missed_tick_is_skipped_and_never_doubled() -> None:
    clock = FakeClock()
    found = await taken(clock, 4, [0.0, 3.5])
    assert found == [Tick(0, 0.0, 0), Tick(1, 0.0, 0), Tick(4, 0.5, 2), Tick(5, 0.0, 0)]


async def test_work_that_ends_on_the_next_tick_loses_none() -> None:
    clock = FakeClock()
    assert await taken(clock, 3, [1.0, 1.0]) == [Tick(0, 0.0, 0), Tick(1, 0.0, 0), Tick(2, 0.0, 0)]


@given(st.lists(st.floats(0, 5), min_size=5, max_size=30), st.floats(0, 1e6))
def test_ticks_never_repeat_nor_drift(work: list[float], start: float) -> None:
    clock = FakeClock(start)
    found = asyncio.run(taken(clock, len(work), list(work)))
    numbers = [tick.number for tick in found]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] + 1 == len(found) + sum(tick.skipped for tick in found)
    assert all(0 <= tick.lateness < 1 for tick in found)


async def test_the_systems_clock_tells_the_time() -> None:
    clock = SystemClock()
    assert abs(clock.time() - datetime.now(UTC).timestamp()) < 60
    before = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() > before


class TestRemoteClock:
    def test_what_was_told_ages_by_our_own_clock(self) -> None:
        clock = RemoteClock()
        assert (clock.known, clock.now(5.0)) == (False, None)
        clock.heard(1000.0, 5.0)
        assert (clock.known, clock.now(7.5)) == (True, 1002.5)

    @pytest.mark.parametrize("late", [0.5, 2.0, 31.0, 86_400.0])
    def test_a_message_never_sets_it_back_however_late(self, late: float) -> None:
        clock = RemoteClock()
        clock.answered(1000.0, 5.0, 5.0)
        assert clock.heard(1003.0 - late, 8.0) is (late > RemoteClock.DOUBT_SECONDS)
        assert clock.now(8.0) == pytest.approx(1003.0, abs=0.01)

    def test_before_an_answer_an_earlier_message_was_the_later_one(self) -> None:
        clock = RemoteClock()
        clock.heard(1000.0, 8.0)  # three seconds on its way
        assert not clock.heard(1004.0, 9.0)
        assert clock.now(9.0) == 1004.0

    def test_a_time_that_is_not_possible_yet_is_a_reason_to_ask(self) -> None:
        clock = RemoteClock()
        clock.answered(1000.0, 5.0, 5.0)
        assert not clock.heard(1001.4, 6.0)  # within what is usual of an answer and a message
        assert clock.heard(4601.0, 6.0)
        assert clock.now(6.0) == pytest.approx(1001.4)

    @pytest.mark.parametrize("step", [-86_400.0, -3600.0, -50.0, -1.0, 1.0, 50.0, 3600.0, 86_400.0])
    def test_an_answer_sets_it_either_way_and_says_by_how_much(self, step: float) -> None:
        clock = RemoteClock()
        assert clock.answered(1000.0, 4.99, 5.01) == 0.0
        assert clock.answered(1002.0 + step, 6.99, 7.01) == pytest.approx(step, abs=0.1)
        assert clock.now(7.0) == pytest.approx(1002.0 + step, abs=0.1)
        assert clock.answered(1003.0 + step, 7.99, 8.01) == 0.0

    def test_a_slow_answer_is_no_step_and_makes_nothing_look_younger(self) -> None:
        clock = RemoteClock()
        clock.answered(1000.0, 5.0, 5.0)
        assert clock.answered(1001.0, 6.0, 46.0) == 0.0  # we stood still for 40 s before the answer was read
        assert clock.now(46.0) == pytest.approx(1041.0, abs=0.1)
        assert clock.answered(1042.0, 47.0, 47.0) == 0.0

    @pytest.mark.parametrize("step", [-3600.0, 3600.0])
    def test_an_answer_that_is_overtaken_by_that_to_a_later_question_is_no_step_back(self, step: float) -> None:
        clock = RemoteClock()
        clock.answered(1000.0, 5.0, 5.0)
        assert clock.answered(1002.0 + step, 7.0, 7.0) == step
        assert clock.answered(1001.5, 6.5, 7.1) == 0.0
        assert clock.now(7.1) == pytest.approx(1002.1 + step)
        assert clock.answered(1003.0 + step, 8.0, 8.0) == 0.0

    def test_the_first_answer_corrects_what_late_messages_told(self) -> None:
        clock = RemoteClock()
        clock.heard(1000.0, 25.0)  # twenty seconds on its way
        assert clock.answered(1021.0, 26.0, 26.0) == 0.0
        assert clock.now(26.0) == 1021.0

    def test_a_slower_clock_is_followed_in_time(self) -> None:
        clock = RemoteClock()
        for second in range(10_000):
            assert not clock.heard(1000.0 + second * (1 - 1e-4), float(second))
        assert clock.now(9999.0) == pytest.approx(1000.0 + 9999 * (1 - 1e-4), abs=0.01)

    @given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 0.2)), min_size=1, max_size=50), st.floats(-1e-4, 1e-4))
    def test_a_clock_that_is_not_set_never_steps(self, looks: list[tuple[float, float]], drift: float) -> None:
        clock, now = RemoteClock(), 0.0
        for pause, trip in looks:
            now += pause + trip
            told = 1000.0 + (now - trip / 2) * (1 + drift)
            assert clock.answered(told, now - trip, now) == 0.0
            assert not clock.heard(1000.0 + now * (1 + drift), now)
            there = clock.now(now)
            assert there is not None
            assert 1000.0 + now * (1 + drift) <= there + 0.002 <= told + trip + 0.01


def test_a_step_in_words() -> None:
    assert step_in_words(-3600.0) == "the clock went back by 3600 s"
    assert step_in_words(50.25) == "the clock went forward by 50.25 s"
    assert step_in_words(-86_400.4) == "the clock went back by 86400.4 s"
    assert step_in_words(-3599.987) == "the clock went back by 3600 s"
    assert step_in_words(0.981) == "the clock went forward by 1 s"
    assert step_in_words(-0.3) == "the clock went back by 0.3 s"
