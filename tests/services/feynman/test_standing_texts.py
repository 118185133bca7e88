"""What was told before is put together again where a value has changed, and nowhere else."""

import math
from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.feynman.sample_columns import SampleColumns
from services.feynman.standing_texts import StandingText, StandingTexts
from services.feynman.vector import Vectors

TOLD = ("regime", "alpha_coefficient", "alpha_low", "alpha_high", "step", "holes", "snapped")
STATED = ("tick", "interval", "session")
OTHERS = ("grid", "votes", "since")
ROWS = np.array([70, 3, 5, 200])
_columns = st.lists(st.integers(1, 3), min_size=len(ROWS), max_size=len(ROWS))
_ticks = st.lists(st.fixed_dictionaries(dict.fromkeys((*TOLD, *STATED, *OTHERS), _columns)), min_size=1, max_size=4)


def vectors(columns: dict[str, Any]) -> Vectors:
    values: dict[str, Any] = {field.name: np.zeros(len(ROWS)) for field in fields(Vectors)}
    values |= {name: np.array(columns[name], np.float64) for name in TOLD}
    return Vectors(**values | {name: np.array(columns[name]) for name in ("regime", "holes", "snapped")})


def told(texts: StandingTexts, columns: dict[str, Any]) -> list[StandingText]:
    samples = stating([*map(float, columns["tick"])], [*map(float, columns["interval"])], columns["session"])
    grid, votes, since = (np.array(columns[name], np.float64) for name in OTHERS)
    return texts.of(ROWS, vectors(columns), samples, grid, votes.astype(np.int64), since)


def stating(tick: list[float], interval: list[float], session: list[int]) -> SampleColumns:
    """Samples of which only what stands is looked at; for each session its number stands."""
    values: dict[str, Any] = {field.name: np.zeros(len(tick)) for field in fields(SampleColumns)}
    marks = [str(each) if each else None for each in session]
    said = {"tick": np.array(tick), "interval": np.array(interval), "session": np.array(session), "mark": marks}
    return SampleColumns(**values | said)


@given(_ticks)
def test_texts_are_those_of_the_values_whatever_was_told_before(ticks: list[dict[str, Any]]) -> None:
    texts = StandingTexts(1)
    for columns in ticks:
        assert told(texts, columns) == told(StandingTexts(1), columns)


def test_a_text_is_put_together_again_only_where_a_value_has_changed() -> None:
    texts, columns = StandingTexts(1), dict.fromkeys((*TOLD, *STATED, *OTHERS), [1] * len(ROWS))
    first = told(texts, columns)
    for name in (*TOLD, *STATED, *OTHERS):
        second = told(texts, columns := columns | {name: [1, 2, 1, 1]})
        assert [before is after for before, after in zip(first, second, strict=True)] == [True, False, True, True]
        assert second[1] != first[1], name
        first = second


def test_a_row_that_was_not_told_before_has_a_text() -> None:
    texts, columns = StandingTexts(1), dict.fromkeys((*TOLD, *STATED, *OTHERS), [1] * len(ROWS))
    told(texts, columns)
    values: dict[str, Any] = {field.name: np.array([2]) for field in fields(Vectors)}
    new = Vectors(**values | {"step": np.array([1.5])})
    since, row = '"regime_since":"1970-01-01T00:00:00.000Z"', np.array([1])
    (text,) = texts.of(row, new, stating([0.25], [60.0], [7]), np.array([0.5]), np.array([3]), np.array([0.0]))
    stated = '"grid":0.5,"votes":3,"tick":0.25,"interval":60.0,"session":"7"'
    assert text.rest == f'{since},"step":1.5,"holes":2,"snapped":2,{stated}'
    nothing = stating([math.nan], [math.nan], [0]), np.array([math.nan]), np.array([0]), np.array([0.0])
    (text,) = texts.of(row, new, *nothing)
    assert text.rest == f'{since},"step":1.5,"holes":2,"snapped":2'
