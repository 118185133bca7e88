"""Charts of text, character by character."""

import pytest

from cottage.cli.text_chart import band, columns, span, sparkline, squeezed


def test_many_values_are_parts_and_few_stay_alone() -> None:
    assert [list(part) for part in columns(range(7), 3)] == [[0, 1], [2, 3], [4, 5, 6]]
    assert [list(part) for part in columns("ab", 5)] == [["a"], ["b"]]
    assert list(columns([], 5)) == []


def test_a_part_without_a_value_stays_empty() -> None:
    assert squeezed([1, None, 5, 2, None, None], 3, max) == [1, 5, None]
    assert squeezed([3, 1, 2], 1, min) == [1]


def test_the_span_is_of_all_that_are_numbers() -> None:
    assert span([1, None], [5.0, float("inf"), -2]) == (-2, 5.0)
    assert span([None], []) is None


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([7, None, 0], "█ ▁"),
        ([5, 5], "▄▄"),
        ([None], " "),
        ([], ""),
    ],
)
def test_a_sparkline(values: list[float | None], shown: str) -> None:
    assert sparkline(values) == shown


def test_a_band_reaches_from_low_to_high_by_halves() -> None:
    lows = [0.0, 1.0, 2.0, None, 3.9, 0.0]
    highs = [0.0, 1.0, 2.0, 3.0, 3.9, 4.0]
    assert band(lows, highs, (0.0, 4.0), 2) == [
        "  ▄ ▀█",
        "▄▀   █",
    ]


def test_what_lies_outside_the_limits_is_cut_off() -> None:
    assert band([-5.0, 3.0], [2.0, 50.0], (0.0, 4.0), 2) == ["▄▀", "█ "]
