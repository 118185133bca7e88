"""Files without names: their columns are told by their numbers, or refused with both readings."""

from itertools import pairwise, permutations

import pytest

from cottage.errors import UnusableSource
from cottage.files.cell_table import Ambiguous
from tests.cottage.files.meaning.test_vendors import BARS, TRADES
from tests.cottage.files.understood import Cells, read, rows_of, understood


@pytest.mark.parametrize("order", list(permutations(("o", "h", "lo", "c"))))
def test_open_high_low_and_close_in_any_order(order: tuple[str, ...]) -> None:
    text = "\n".join(f"{bar.s},{','.join(str(getattr(bar, name)) for name in order)},{bar.v}" for bar in BARS)
    rows = rows_of(text, name="BTCUSD.csv")
    assert [(row.open, row.high, row.low, row.price) for row in rows] == [(b.o, b.h, b.lo, b.c) for b in BARS]
    newest_first = rows_of("\n".join(reversed(text.splitlines())), name="BTCUSD.csv")
    assert newest_first == rows[::-1]


def test_open_and_close_that_do_not_follow_one_another_are_refused_with_both_readings() -> None:
    text = "\n".join(
        f"2025-01-{at + 1:02},{b.o * 1.001:.2f},{b.h * 1.01:.2f},{b.lo},{b.c},9" for at, b in enumerate(BARS[:25])
    )
    with pytest.raises(Ambiguous, match="column 2 is the open and column 5 the close, or the other way round"):
        understood(text, name="SPY.csv")
    rows = rows_of(text, name="SPY.csv", format="date,open,high,low,close,volume")
    assert (rows[0].price, rows[0].volume) == (BARS[0].c, 9)


def test_bars_without_any_movement_are_read_in_the_usual_order() -> None:
    text = "".join(f"{1_735_689_600 + 60 * at},{100 + at},{100 + at},{100 + at},{100 + at},5\n" for at in range(9))
    assert [row.price for row in rows_of(text, name="X.csv")] == [100 + at for at in range(9)]


@pytest.mark.parametrize(
    "lines",
    [
        [f"{t.ms},{t.p},{t.q}" for t in TRADES[:1]],
        [f"{t.ms},1.0,{t.q}" for t in TRADES],
        [f"{t.ms},{t.q},{t.q * 1.5:.4f}" for t in TRADES],
        [f"{t.ms},{t.p},{t.q},{t.n % 7 + 0.5}" for t in TRADES],
    ],
    ids=["one row", "a price that stands still", "two sizes", "two columns that may be the size"],
)
def test_price_and_size_that_the_numbers_do_not_tell_are_refused(lines: list[str]) -> None:
    with pytest.raises(UnusableSource):
        understood("\n".join(lines), name="BTCUSD.csv")
    assert understood(
        "\n".join(lines), name="BTCUSD.csv", format="time,price,size" + ",-" * (lines[0].count(",") - 2)
    )


def test_a_price_is_told_from_bid_and_ask_by_lying_between_them() -> None:
    for order in permutations((("p", 0.0), ("bid", -0.25), ("ask", 0.25))):
        text = "\n".join(f"{t.ms},{','.join(str(t.p + off) for _, off in order)},{t.q}" for t in TRADES)
        found, rows, _ = read(Cells(text, name="ES.csv"))
        assert found.kind == "trades"
        assert [(row.price, row.bid, row.ask) for row in rows] == [(t.p, t.p - 0.25, t.p + 0.25) for t in TRADES]


def test_no_reading_is_a_refusal_that_shows_the_first_row() -> None:
    with pytest.raises(UnusableSource, match="no names, and no column that could be its times"):
        understood("a,b\nc,d\n", name="X.csv")


def test_a_refusal_writes_the_columns_that_it_knows() -> None:
    with pytest.raises(Ambiguous, match="FORMAT=time,price,size chooses"):
        understood("1735689600,100,5\n", name="BTCUSD.csv")


def test_a_bid_that_never_moves_is_not_taken_for_a_size() -> None:
    """Nor is a size for a bid that is near the price: both readings fit."""
    with pytest.raises(Ambiguous, match="time,size,price, or time,bid,ask"):
        understood("1735689600,100,101\n1735689601,100,101\n1735689602,100,102\n", name="BTCUSD.csv")
    found = understood("1735689600,5,101\n1735689601,5,101\n1735689602,5,102\n", name="BTCUSD.csv")
    assert found.kind == "trades"


@pytest.mark.parametrize("step", [1, -1])
def test_a_total_of_the_day_beside_what_it_adds_up_is_no_volume(step: int) -> None:
    total, lines = 0, []
    prices = [100 + at * at % 17 for at in range(41)]
    for at, (opened, close) in enumerate(pairwise(prices)):
        total += 50 + at * 7 % 30
        high, low = max(opened, close) + 1, min(opened, close) - 1
        lines.append(f"{1_735_689_600 + 60 * at},{high},{low},{opened},{close},{total},{50 + at * 7 % 30}")
    _, rows, _ = read(Cells("\n".join(lines[::step])))
    assert sorted(row.volume or 0 for row in rows) == sorted(50 + at * 7 % 30 for at in range(40))
