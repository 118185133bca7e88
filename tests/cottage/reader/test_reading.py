import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cottage.errors import CottageError, MissingExtra
from cottage.freshness import Freshness, assess
from cottage.reader.reading import COLUMNS, Origin, Reading, Readings, fallback_reading
from cottage.state import FAIL_SAFE
from tests.services.physics.examples import PUBLISHED, state


def test_json_is_the_state_with_its_freshness() -> None:
    held = state(1_766_318_400.0)
    reading = Reading(held, assess(0.412, None, 0.412), "redis")
    assert reading.as_dict() == {
        **held.as_dict(),
        "freshness": {"status": "live", "cause": None, "age_ms": 412, "origin": "redis"},
    }


def test_what_stands_in_says_so() -> None:
    reading = fallback_reading("redis_down", PUBLISHED)
    assert reading.origin == "fallback"
    assert reading.state.source == "fallback"
    assert reading.state.mass == PUBLISHED.mass
    assert reading.freshness == Freshness("expired", "redis_down", None)
    assert fallback_reading(None).state == FAIL_SAFE


@pytest.mark.parametrize(
    ("age", "origin", "within"),
    [(3.0, "redis", True), (3.001, "redis", False), (3.0, "remembered", True), (None, "redis", False)],
)
def test_within(age: float | None, origin: Origin, within: bool) -> None:
    assert Reading(PUBLISHED, assess(age, None, 0.0), origin).within(3.0) is within


def test_what_stands_in_is_never_within() -> None:
    assert not fallback_reading(None).within(float("inf"))


def test_a_table_has_a_row_for_each_symbol() -> None:
    held = state(1_766_318_400.0)
    readings = {"SPY": Reading(held, assess(0.5, None, 0.5), "redis"), "QQQ": fallback_reading("redis_down")}
    pandas = pytest.importorskip("pandas")
    table = Readings(readings, ("NEW",), complete=False).to_pandas()
    assert table.index.name == "symbol"
    assert list(table.index) == ["SPY", "QQQ"]
    assert tuple(table.columns) == COLUMNS
    spy, qqq = table.loc["SPY"], table.loc["QQQ"]
    for name, value in held.as_dict().items():
        if name != "timestamp":
            assert spy[name] == value
    assert spy["timestamp"] == datetime.fromtimestamp(1_766_318_400.0, UTC)
    assert (spy["status"], spy["age"], spy["origin"]) == ("live", 0.5, "redis")
    assert (qqq["status"], qqq["cause"], qqq["origin"]) == ("expired", "redis_down", "fallback")
    assert pandas.isna(spy["cause"])
    assert pandas.isna(qqq["age"])
    assert pandas.isna(qqq["timestamp"])
    assert (table["mass"] >= 0.0).all()  # numbers are numbers


def test_a_pillar_that_means_nothing_is_no_number_in_a_table() -> None:
    held = replace(state(1_766_318_400.0), mass=0.0, momentum=0.0, void=("mass",))
    pandas = pytest.importorskip("pandas")
    table = Readings({"SPY": Reading(held, assess(0.5, None, 0.5), "redis")}, (), complete=True).to_pandas()
    assert pandas.isna(table.mass["SPY"])
    assert (table.momentum["SPY"], table.void["SPY"]) == (0.0, ("mass",))


def test_a_table_of_none_has_its_columns() -> None:
    pytest.importorskip("pandas")
    table = Readings({}, (), complete=True).to_pandas()
    assert len(table) == 0
    assert tuple(table.columns) == COLUMNS


def test_without_pandas_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"pip install 'curiosity-cottage\[pandas\]'") as error:
        Readings({}, (), complete=True).to_pandas()
    assert isinstance(error.value, ImportError)
    assert isinstance(error.value, CottageError)
