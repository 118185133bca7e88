import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage.record.bucketing import (
    FIELDS,
    HELD_STEPS,
    SHARES,
    USUAL_FIELDS,
    FreshnessTimeline,
    bucketed,
    columns_read,
)
from cottage.record.history_span import BucketGrid
from tests.cottage.record.recorded_history import BEGIN, MINUTE, SECOND, Row, as_table, freshness, sample


def points(
    rows: Sequence[Row],
    fields: Sequence[str] = USUAL_FIELDS,
    *,
    count: int = 3,
    step: int = MINUTE,
    newest: int | None = None,
    by: Any = "at",
    symbols: Sequence[str] = ("SPY",),
) -> list[dict[str, Any]]:
    table = as_table(rows).select(columns_read(fields, by))
    reached = max((row[by] for row in rows if row[by] is not None), default=BEGIN) if newest is None else newest
    found: list[dict[str, Any]] = bucketed(
        table, symbols, BucketGrid(BEGIN, step, count), by, fields, reached
    ).to_pylist()
    return found


def test_a_bucket_begins_with_its_start_and_ends_before_the_next() -> None:
    found = points([sample(0, price=1.0), sample(59.999999, price=2.0), sample(60, price=4.0)])
    assert [each["count"] for each in found] == [2, 1, 0]
    first = found[0]
    assert (first["open"], first["high"], first["low"], first["close"], first["price_mean"]) == (
        1.0,
        2.0,
        1.0,
        2.0,
        1.5,
    )
    assert first["time"].timestamp() * 1e6 == BEGIN


def test_an_empty_bucket_is_null_and_carries_nothing() -> None:
    found = points([sample(0), sample(130)], FIELDS)
    empty = {name: value for name, value in found[1].items() if name not in ("symbol", "time", "partial", "count")}
    assert found[1]["count"] == 0
    assert set(empty.values()) == {None}
    assert len(empty) > 50


def test_what_the_newest_event_has_not_reached_the_end_of_is_partial() -> None:
    rows = [sample(0), sample(10)]
    assert [each["partial"] for each in points(rows)] == [True, True, True]
    assert [each["partial"] for each in points(rows, newest=BEGIN + MINUTE - 1)] == [True, True, True]
    assert [each["partial"] for each in points(rows, newest=BEGIN + MINUTE)] == [False, True, True]


def test_a_sample_that_was_issued_again_counts_once() -> None:
    [first, *_] = points([sample(0, price=1.0), sample(0, price=9.0, seq=11, reissued=True)])
    assert (first["count"], first["close"]) == (1, 1.0)


def test_samples_that_came_with_a_version_count_though_they_have_no_state() -> None:
    no_state: Any = dict.fromkeys(("regime", "alpha", "alpha_low", "alpha_high", "mass"))
    taken = sample(1, price=7.0, seq=99, number=0, last=False, **no_state)
    [first, *_] = points([sample(2, price=5.0, seq=99, number=1), taken], [*USUAL_FIELDS, "mass"])
    assert (first["count"], first["open"], first["high"], first["close"]) == (2, 7.0, 7.0, 5.0)
    assert (first["regime"], first["alpha"], first["mass"]) == ("Gaussian", 3.0, 0.5)


def test_late_data_go_to_their_own_bucket_and_the_last_is_by_time() -> None:
    late = sample(70, price=3.0, seq=2000, at=BEGIN + 20 * SECOND)
    found = points([sample(10, price=1.0), sample(30, price=2.0), sample(65, price=4.0), late])
    assert [each["count"] for each in found] == [3, 1, 0]
    assert (found[0]["close"], found[0]["high"]) == (2.0, 3.0)


def test_at_the_same_time_the_later_version_is_the_last() -> None:
    same = [sample(5, price=2.0, seq=8, number=1), sample(5, price=1.0, seq=8, number=0), sample(5, price=3.0, seq=7)]
    [first, *_] = points(same)
    assert (first["open"], first["close"]) == (3.0, 2.0)
    newer_epoch = sample(5, price=9.0, seq=1, epoch=sample(0)["epoch"] + 1)
    assert points([*same, newer_epoch])[0]["close"] == 9.0


def test_the_interval_of_alpha_has_the_lowest_low_and_the_highest_high() -> None:
    [first, *_] = points([sample(0, alpha=2.0, alpha_low=1.0, alpha_high=9.0), sample(1, alpha=4.0, alpha_low=3.0)])
    told = {name: first[name] for name in first if name.startswith("alpha")}
    assert told == {
        "alpha": 4.0,
        "alpha_min": 2.0,
        "alpha_max": 4.0,
        "alpha_mean": 3.0,
        "alpha_low": 1.0,
        "alpha_high": 9.0,
    }


def test_regimes_are_shares_of_the_time_that_they_held() -> None:
    rows = [sample(0), sample(15, regime="Critical"), sample(30, regime="WAIT", step=1.0), sample(60)]
    first, second, _ = points(rows, newest=BEGIN + 2 * MINUTE)
    assert {name: first[name] for name in SHARES.values()} == {
        "share_gaussian": 0.25,
        "share_critical": 0.25,
        "share_wait": 0.5,
        "share_levy_stable": 0.0,
    }
    assert (first["regime"], second["regime"], second["share_gaussian"]) == ("WAIT", "Gaussian", 1.0)


def test_a_regime_is_not_carried_across_a_gap() -> None:
    hour = 3600 * SECOND
    rows = [sample(0), sample(1800, regime="Critical")]
    [first] = points(rows, count=1, step=hour, newest=BEGIN + hour)
    assert (first["share_gaussian"], first["share_critical"]) == (0.5, 0.5)  # HELD_STEPS each
    rows = [sample(0, step=10.0), *rows[1:]]
    [first] = points(rows, count=1, step=hour, newest=BEGIN + hour)
    assert math.isclose(first["share_gaussian"], 10 * HELD_STEPS / (11 * HELD_STEPS))


def test_the_running_bucket_counts_to_the_newest_event_of_the_source() -> None:
    rows = [sample(0), sample(10, regime="Critical")]
    [first, *_] = points(rows, newest=BEGIN + 40 * SECOND)
    assert (first["share_gaussian"], first["share_critical"]) == (0.25, 0.75)
    [alone, *_] = points([sample(5, regime="Critical")])
    assert alone["share_critical"] == 1.0


def test_pillars_that_mean_nothing_are_null() -> None:
    rows = [sample(0, friction=0.0, void=["friction", "mass"], mass=0.0), sample(60, friction=0.4)]
    first, second, _ = points(rows, ["friction", "mass", "entropy"])
    assert (first["friction"], first["friction_mean"], first["mass"], first["entropy"]) == (None, None, None, 0.9)
    assert (second["friction"], second["friction_min"]) == (0.4, 0.4)


def test_by_when_it_was_written() -> None:
    rows = [sample(0, written=BEGIN + 90 * SECOND), sample(10, written=None)]
    assert [each["count"] for each in points(rows, by="written")] == [0, 1, 0]


def test_many_symbols_in_the_order_asked_for_with_those_of_which_there_is_nothing() -> None:
    rows = [sample(0, "QQQ", price=2.0), sample(0, "SPY", price=1.0), sample(0, "OTHER")]
    found = points(rows, ["price"], symbols=["SPY", "NONE", "QQQ"], count=2)
    assert [(each["symbol"], each["close"]) for each in found] == [
        ("SPY", 1.0),
        ("SPY", None),
        ("NONE", None),
        ("NONE", None),
        ("QQQ", 2.0),
        ("QQQ", None),
    ]


def test_no_row_at_all() -> None:
    assert [each["count"] for each in points([], FIELDS)] == [0, 0, 0]


@given(
    st.lists(
        st.tuples(
            st.integers(-5, 200),
            st.floats(1, 1000),
            st.sampled_from(sorted(SHARES)),
            st.sampled_from(["A", "B"]),
            st.booleans(),
        ),
        max_size=40,
    ),
    st.integers(1, 90),
)
def test_points_are_those_of_a_plain_computation(made: list[tuple[int, float, str, str, bool]], step: int) -> None:
    rows = [
        sample(second, symbol, price=price, regime=regime, seq=seq, reissued=again)
        for seq, (second, price, regime, symbol, again) in enumerate(made)
    ]
    newest = max((row["at"] for row in rows), default=BEGIN)
    count = 100 // step + 1
    found = points(rows, symbols=["A", "B"], step=step * SECOND, count=count, newest=newest)
    for place, point in enumerate(found):
        begin = BEGIN + place % count * step * SECOND
        end = begin + step * SECOND
        inside = [
            row
            for row in rows
            if row["symbol"] == "AB"[place // count] and begin <= row["at"] < end and not row["reissued"]
        ]
        inside.sort(key=lambda row: (row["at"], row["seq"]))
        assert point["count"] == len(inside)
        if inside:
            prices = [row["price"] for row in inside]
            told = [point[name] for name in ("open", "high", "low", "close")]
            assert told == [prices[0], max(prices), min(prices), prices[-1]]
            assert math.isclose(point["price_mean"], sum(prices) / len(prices))
            ends = [*(row["at"] for row in inside[1:]), min(end, newest)]
            holds = [max(1, min(until - row["at"], 60 * SECOND)) for row, until in zip(inside, ends, strict=True)]
            for regime, name in SHARES.items():
                own = sum(hold for row, hold in zip(inside, holds, strict=True) if row["regime"] == regime)
                assert math.isclose(point[name], own / sum(holds), abs_tol=1e-12)


def test_freshness_is_the_worst_that_held() -> None:
    timeline = FreshnessTimeline([
        freshness(10, "stale", "market_quiet"), freshness(20, "expired", "market_quiet"), freshness(30, "live", None),
        freshness(40, "stale", "bridge_down", "*"), freshness(50, "live", None, "*"), freshness(60, "removed", None),
    ])  # fmt: skip
    spans = [(0, 5), (0, 10), (0, 11), (12, 15), (15, 35), (30, 31), (35, 45), (45, 46), (50, 55), (55, 70)]
    told = [timeline.worst(BEGIN + begin * SECOND, BEGIN + end * SECOND) for begin, end in spans]
    assert told == ["live", "live", "stale", "stale", "expired", "live", "stale", "stale", "live", "removed"]


def test_without_a_statement_it_is_live() -> None:
    assert FreshnessTimeline([]).worst(0, 1) == "live"


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_alone(field: str) -> None:
    assert [each["count"] for each in points([sample(0), sample(61)], [field])] == [1, 1, 0]
