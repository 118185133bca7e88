"""What the numbers about the tail are good for: do they forecast? `make forecasts`.

Out of sample, on real series: from α, the regime and the entropy after a window, how many returns of the next one
will be large, and how large the largest will be. The production code computes them. The same is tried on the same
returns shuffled, where nothing can be forecast. docs/estimators.md tells what follows.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cottage.state import WAIT_RETURNS
from services.feynman.regime import REGIMES
from tests.bench.laws import Floats
from tests.bench.origins import Origins, observed
from tests.bench.out_of_sample import UNKNOWN, Skill, forecasts, skill
from tests.bench.series import Series, planted, recorded, shipped
from tests.bench.tables import table
from tests.bench.telling import say

SEED = 16
LEAST_FIRST = 20
"""Before the first forecast so many are fitted to at least, and a third of all."""
LEAST_EVENTS = 10
"""In so many of the next windows something has to come: of fewer an interval is made by chance."""

USUAL, OURS = ("EWMA", "span before"), ("α", "regime", "entropy")
BEYOND = {f"{name} beyond both": name for name in OURS}
COLUMNS = (*USUAL, *OURS, *BEYOND)
"""Each forecast against the constant; and what each of ours adds to the usual ones."""

TARGETS = {"share beyond 5σ": 5.0, "share beyond 3σ": 3.0, "largest return": None}
"""What is forecast of the absolute returns of the next window: what share is beyond so many σ; None: the logarithm
of the largest. σ is that of all returns so far. (The window's own is great after a great return, so fewer of the next
are beyond it: α and entropy would forecast that, of returns that are independent.)"""


@dataclass(frozen=True)
class Outcome:
    """How far forecasts were off: of one row of prices, or of several together."""

    losses: Mapping[tuple[str, str], Floats]
    """Of each of TARGETS by each of COLUMNS: its squared errors and those of what it is to beat; shape (2, n)."""
    events: Mapping[str, int]
    """In how many of the next windows that were forecast something came."""

    def skill(self, target: str, column: str) -> Skill:
        return skill(*self.losses[target, column]) if self.events[target] >= LEAST_EVENTS else UNKNOWN


@dataclass(frozen=True)
class Study:
    name: str
    outcome: Outcome
    shuffled: Sequence[Outcome]
    """The same of the series's returns shuffled, each time anew."""


def study(series: Series, shuffles: int) -> tuple[Study, Origins]:
    """Raises SystemExit where the series is too short, or its price does not move in one of the windows."""
    if len(series.prices) <= series.spans.window + 2 * LEAST_FIRST * series.spans.following:
        raise SystemExit(f"forecasts: {series.name}: {len(series.prices):,} samples are too few")
    (origins,), tick = observed(series, series.prices[np.newaxis])
    if not origins.past.any(axis=1).all():
        raise SystemExit(f"forecasts: {series.name}: the price does not move in a whole window")
    generator = np.random.default_rng(SEED)
    returns = generator.permuted(np.tile(np.diff(np.log(series.prices)), (shuffles, 1)), axis=1)
    begin = np.full((shuffles, 1), series.prices[0])
    paths = begin * np.exp(np.cumsum(returns, axis=1))
    if tick > 0:
        paths = np.maximum(np.rint(paths / tick), 1.0) * tick
    mixed, _tick = observed(series, np.concatenate([begin, paths], axis=1))
    return Study(series.name, outcome(origins), [outcome(each) for each in mixed]), origins


def outcome(origins: Origins) -> Outcome:
    losses: dict[tuple[str, str], Floats] = {}
    events, first = {}, first_forecast(origins)
    for name, multiple in TARGETS.items():
        target, before, ewma = _target(origins, multiple)
        predictors = {"EWMA": ewma, "span before": before, **origins.readings}

        def squares(*names: str, y: Floats = target, p: Mapping[str, Floats] = predictors) -> Floats:
            x = np.concatenate([np.empty((len(y), 0)), *(p[each] for each in names)], axis=1)
            return np.square(y[first:] - forecasts(y, x, first))

        constant, usual = squares(), squares(*USUAL)
        losses |= {(name, column): np.stack([squares(column), constant]) for column in (*USUAL, *OURS)}
        losses |= {(name, column): np.stack([squares(*USUAL, added), usual]) for column, added in BEYOND.items()}
        events[name] = int(np.count_nonzero(target[first:]))
    return Outcome(losses, events)


def first_forecast(origins: Origins) -> int:
    """So many of the next windows are not forecast, but only fitted to."""
    return max(LEAST_FIRST, len(origins.sigma) // 3)


def _target(origins: Origins, multiple: float | None) -> tuple[Floats, Floats, Floats]:
    """What is forecast, the same of the span before, and the EWMA's predictor: the last two of shape (n, 1)."""
    if multiple is None:
        # Where the price stands still the next window has no largest return: it counts as the last one's smallest.
        least = np.where(origins.past > 0, origins.past, np.inf).min(axis=1)
        came, before = (np.log(np.maximum(x.max(axis=1), least)) for x in (origins.following, origins.before))
        return came, before[:, np.newaxis], np.log(origins.ewma)[:, np.newaxis]
    bound = multiple * origins.sigma[:, np.newaxis]
    came, before = (np.mean(x > bound, axis=1) for x in (origins.following, origins.before))
    return came, before[:, np.newaxis], np.log(origins.ewma / origins.sigma)[:, np.newaxis]


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """As one, in which each series counts by its number of forecasts, whatever the size of its errors."""
    losses = {}
    for key in outcomes[0].losses:
        pairs = [each.losses[key] for each in outcomes]
        scaled = [pair / pair[1].mean() for pair in pairs if pair[1].any()]
        losses[key] = np.concatenate([np.empty((2, 0)), *scaled], axis=1)
    return Outcome(losses, {target: sum(each.events[target] for each in outcomes) for target in TARGETS})


def tell(studies: Sequence[Study]) -> None:
    """Each skill beside those on shuffled returns, and what was found in all."""
    shuffled = [together(each) for each in zip(*(each.shuffled for each in studies), strict=True)]
    whole = [Study("all together", together([each.outcome for each in studies]), shuffled)] * (len(studies) > 1)
    found: dict[str, list[str]] = {column: [] for column in COLUMNS}
    by_chance: dict[str, list[bool]] = {column: [] for column in COLUMNS}
    for target in TARGETS:
        rows: list[Sequence[str]] = []
        for each in (*studies, *whole):
            skills = {column: each.outcome.skill(target, column) for column in COLUMNS}
            mixed = {column: [one.skill(target, column) for one in each.shuffled] for column in COLUMNS}
            rows += [(each.name, *map(_cell, skills.values())), ("— shuffled", *map(_cells, mixed.values()))]
            for column in COLUMNS:
                found[column] += [f"{target} of {each.name.partition(',')[0]}"] * skills[column].found
                by_chance[column] += [one.found for one in mixed[column] if one is not UNKNOWN]
        table(f"Out-of-sample R² in %, {target}", ("series", *COLUMNS), rows)
    verdicts = [
        (column, "; ".join(found[column]) or "nothing", f"{sum(by_chance[column])} of {len(by_chance[column])}")
        for column in COLUMNS
    ]
    table("What was found", ("by", "found", "on shuffled returns"), verdicts)


def _cell(skill: Skill) -> str:
    if skill is UNKNOWN:
        return "too few"
    text = f"{_percent(skill.r2)} ({_percent(skill.low)} … {_percent(skill.high)})"
    return f"**{text}**" if skill.found else text


def _cells(skills: Sequence[Skill]) -> str:
    known = [each for each in skills if each is not UNKNOWN]
    if not known:
        return "too few"
    mean = float(np.mean([each.r2 for each in known]))
    return f"{_percent(mean)}, found in {sum(each.found for each in known)} of {len(known)}"


def _percent(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:.1f}"  # −0.0 + 0.0 is 0.0


def describe(described: Sequence[tuple[Series, Origins]]) -> None:
    """What was read, what came in the next windows, and what the readings were."""
    rows = []
    for series, origins in described:
        number, first = len(origins.sigma), first_forecast(origins)
        came = [np.count_nonzero(origins.following > by * origins.sigma[:, np.newaxis]) for by in (5.0, 3.0)]
        low, high = np.quantile(np.exp(origins.readings["α"]), (0.05, 0.95))
        heavy = origins.readings["regime"].mean(axis=0)
        shares = (f"{100 * share:.0f} %" for share in (*heavy, 1.0 - heavy.sum()))
        rows.append((series.name, *series.spans, number, number - first, *came, f"{low:.1f} … {high:.1f}", *shares))
    spans = ("W", "next window", "span before, earlier by")
    heads = (
        "series",
        *spans,
        "next windows",
        "forecast of them",
        "beyond 5σ",
        "beyond 3σ",
        "α, 5–95 %",
        *REGIMES,
    )
    table("What is forecast, and from which readings", heads, rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make forecasts", description=__doc__)
    add = parser.add_argument
    add("files", nargs="*", type=Path, help="recordings: CSV files as the market service replays them")
    add("--packages", action="store_true", help="the series in arch and backtesting, which pip downloads")
    add(
        "--planted", action="store_true", help="a simulated series whose tail changes, where something is to be found"
    )
    add("--window", type=int, help="samples in each window; without it 240 to 500, by what a sample is")
    add("--shuffles", type=int, default=20, help="how often each series is shuffled")
    given = parser.parse_args()
    series = [each for path in given.files for each in recorded(path)]
    series += (shipped() if given.packages else []) + ([planted()] if given.planted else [])
    if not series:
        parser.error("name recordings, or --packages, or --planted")
    if given.shuffles < 1:
        parser.error("--shuffles: at least 1")
    if given.window is not None and given.window < WAIT_RETURNS:
        parser.error(f"--window: at least {WAIT_RETURNS}, there is no α below")
    if given.window is not None:
        series = [replace(each, spans=each.spans._replace(window=given.window)) for each in series]
    done = [study(each, given.shuffles) for each in series]
    describe([(each, origins) for each, (_study, origins) in zip(series, done, strict=True)])
    tell([each for each, _origins in done])
    say("\nBold is what is found: the lower end of the 90 % interval is above 0. By chance that is 1 in 20.")


if __name__ == "__main__":
    main()
