"""The program can find something, and finds nothing where nothing is."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.bench import laws
from tests.bench.forecasts import BEYOND, COLUMNS, OURS, TARGETS, USUAL, Outcome, outcome, study, together
from tests.bench.laws import Floats
from tests.bench.origins import observed
from tests.bench.out_of_sample import UNKNOWN
from tests.bench.series import DAYS, Series, Spans, planted


def prices(returns: Floats) -> Floats:
    return 100.0 * np.exp(0.001 * np.cumsum(returns, axis=-1))


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """Of the planted series, and of returns of one law that are independent: t(3), normal."""
    series, generator = planted(), np.random.default_rng(5)
    shape = (1, len(series.prices))
    alone = [prices(law(generator, shape)) for law in (laws.student(3), laws.normal)]
    found, _tick = observed(series, np.concatenate([series.prices[np.newaxis], *alone]))
    return [outcome(origins) for origins in found]


def test_a_tail_that_changes_is_found(outcomes: list[Outcome]) -> None:
    skills = {column: outcomes[0].skill("largest return", column) for column in COLUMNS}
    assert skills["α"].found
    assert skills["regime"].found
    assert skills["α beyond both"].found
    assert skills["α"].r2 > skills["EWMA"].r2


def test_nothing_is_found_in_independent_returns(outcomes: list[Outcome]) -> None:
    for alone in outcomes[1:]:
        skills = {(target, column): alone.skill(target, column) for target in TARGETS for column in (*OURS, *BEYOND)}
        assert [key for key, skill in skills.items() if skill.found] == []
        assert skills["largest return", "α"] is not UNKNOWN
    # A normal law has nothing beyond 5σ.
    assert outcomes[2].skill("share beyond 5σ", "EWMA") is UNKNOWN


def test_several_series_count_by_their_forecasts_alone(outcomes: list[Outcome]) -> None:
    first = outcomes[0]
    larger = Outcome({key: 100.0 * pair for key, pair in first.losses.items()}, first.events)
    both = together([first, larger])
    for column in COLUMNS:
        assert both.skill("largest return", column).r2 == pytest.approx(first.skill("largest return", column).r2)
    assert both.events["largest return"] == 2 * first.events["largest return"]


def test_what_is_known_is_before_what_is_forecast() -> None:
    path = prices(laws.student(3)(np.random.default_rng(6), (1, 400)))
    series = Series("t(3)", path[0], Spans(100, 20, 40))
    (origins,), _tick = observed(series, path)
    x = np.abs(np.diff(np.log(path[0])))
    assert len(origins.sigma) == 14  # from sample 100 on, each 20: the last would need one return more
    place, at = 3, 160
    assert origins.past[place] == pytest.approx(x[at - 100 : at])
    assert origins.before[place] == pytest.approx(x[at - 40 : at - 20])
    assert origins.following[place] == pytest.approx(x[at : at + 20])
    assert origins.sigma[place] == pytest.approx(np.sqrt(np.mean(x[:at] ** 2)))
    later = path.copy()
    later[0, at + 1 :] *= 1.5
    (changed,), _tick = observed(series, later)
    for known in ("sigma", "ewma", "past", "before"):
        assert getattr(changed, known)[: place + 1] == pytest.approx(getattr(origins, known)[: place + 1])
    for name in OURS:
        assert (changed.readings[name][: place + 1] == origins.readings[name][: place + 1]).all()
    assert changed.following[place] != pytest.approx(origins.following[place])


def test_a_clustered_volatility_is_what_the_usual_forecasts_find() -> None:
    returns = laws.normal(np.random.default_rng(7), (1, 2000)) * np.repeat([1.0, 3.0] * 5, 200)
    path = prices(returns)
    (origins,), _tick = observed(Series("calm and not", path[0], Spans(100, 20, 20)), path)
    found = outcome(origins)
    assert all(found.skill("largest return", column).found for column in USUAL)
    assert not any(found.skill("largest return", column).found for column in BEYOND)


def test_shuffled_prices_stay_on_their_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def watched(series: Series, paths: Floats) -> object:
        seen.append(paths)
        return observed(series, paths)

    monkeypatch.setattr("tests.bench.forecasts.observed", watched)
    steps = np.rint(laws.student(3)(np.random.default_rng(8), (1, 950))[0])
    path = 1644.75 + 0.25 * np.cumsum(steps)
    study(Series("on a grid", path, Spans(100, 20, 20)), shuffles=2)
    mixed = seen[1]
    assert mixed.shape == (2, 950)
    assert (mixed * 4 == np.rint(mixed * 4)).all()
    moves = [np.sort(np.rint(np.diff(each) / 0.25)) for each in (path, *mixed)]
    # A price that drifts by some per cent makes a return another number of ticks here and there.
    assert np.mean(moves[0] != moves[1]) < 0.05


def test_what_cannot_be_studied_is_said() -> None:
    short = replace(planted(), prices=planted().prices[:900])
    with pytest.raises(SystemExit, match="900 samples are too few"):
        study(short, shuffles=1)
    still = Series("still", np.repeat([100.0, 101.0], [200, 1200]), DAYS)
    with pytest.raises(SystemExit, match="does not move in a whole window"):
        study(still, shuffles=1)


def test_the_program_prints_its_tables(tmp_path: Path) -> None:
    path = prices(laws.normal(np.random.default_rng(9), (1, 1700)))[0]
    recording = tmp_path / "recording.csv"
    trades = (f"{1_700_000_000 + second},X,{price:.2f},1\n" for second, price in enumerate(path))
    recording.write_text("timestamp,symbol,price,size\n" + "".join(trades))
    command = [sys.executable, "-m", "tests.bench.forecasts", "--shuffles", "1", "--window", "300", str(recording)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    begins = ["| --- |", "| X, seconds |", "| — shuffled |", "| α beyond both |"]
    assert [sum(line.startswith(begin) for line in lines) for begin in begins] == [5, 4, 3, 1]
    assert "too few" in done.stdout
    tables = [table for table in done.stdout.split("\n\n") if table.startswith("|")]
    assert [len({line.count("|") for line in table.splitlines() if line}) for table in tables] == [1] * 5
