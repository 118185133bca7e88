"""What was told before is put together again where a value has changed, and nowhere else."""

from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.feynman.standing_texts import StandingText, StandingTexts
from services.feynman.vector import Vectors

TOLD = ("regime", "alpha_coefficient", "alpha_low", "alpha_high", "step", "holes", "snapped")
ROWS = np.array([70, 3, 5, 200])
_columns = st.lists(st.integers(1, 3), min_size=len(ROWS), max_size=len(ROWS))
_ticks = st.lists(st.fixed_dictionaries(dict.fromkeys((*TOLD, "since"), _columns)), min_size=1, max_size=4)


def vectors(columns: dict[str, Any]) -> Vectors:
    values: dict[str, Any] = {field.name: np.zeros(len(ROWS)) for field in fields(Vectors)}
    values |= {name: np.array(columns[name], np.float64) for name in TOLD}
    return Vectors(**values | {name: np.array(columns[name]) for name in ("regime", "holes", "snapped")})


def told(texts: StandingTexts, columns: dict[str, Any]) -> list[StandingText]:
    return texts.of(ROWS, vectors(columns), np.array(columns["since"], np.float64))


@given(_ticks)
def test_texts_are_those_of_the_values_whatever_was_told_before(ticks: list[dict[str, Any]]) -> None:
    texts = StandingTexts(1)
    for columns in ticks:
        assert told(texts, columns) == told(StandingTexts(1), columns)


def test_a_text_is_put_together_again_only_where_a_value_has_changed() -> None:
    texts, columns = StandingTexts(1), dict.fromkeys((*TOLD, "since"), [1] * len(ROWS))
    first = told(texts, columns)
    for name in (*TOLD, "since"):
        second = told(texts, columns := columns | {name: [1, 2, 1, 1]})
        assert [before is after for before, after in zip(first, second, strict=True)] == [True, False, True, True]
        assert second[1] != first[1], name
        first = second


def test_a_row_that_was_not_told_before_has_a_text() -> None:
    texts, columns = StandingTexts(1), dict.fromkeys((*TOLD, "since"), [1] * len(ROWS))
    told(texts, columns)
    values: dict[str, Any] = {field.name: np.array([2]) for field in fields(Vectors)}
    (text,) = texts.of(np.array([1]), Vectors(**values | {"step": np.array([1.5])}), np.array([0.0]))
    assert text.spacing == '"step":1.5,"holes":2,"snapped":2'
    assert text.since == '"regime_since":"1970-01-01T00:00:00.000Z"'
