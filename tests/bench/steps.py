"""What is to be a return where a market does not trade every second, by simulation: `python -m tests.bench.steps`.

A law gives the efficient price a move each second. What is seen of it are trades, at irregular times, which may
bounce between bid and ask. Each rule makes returns of the same trades, and reads α by Hill's estimator.
docs/estimators.md, "Irregular trading", tells what follows.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from services.feynman.windows.steps import LEAST_SPACING, LEAST_STEP, SPAN, YOUNG, followed, is_hole
from tests.bench import laws
from tests.bench.laws import Floats, Law
from tests.bench.telling import progress, say

SEED = 15
WINDOW = 1000
WAIT_RETURNS = 64
TRADES = 4500
"""Of each market, so that the rule with the longest steps has a full window too."""
BOUNCE = 3.0
"""Bid and ask lie so many times the law's scale below and above the efficient price."""


class Market(NamedTuple):
    """A law, and how often it trades."""

    law: Law
    scale: float
    """What bid and ask are told in: the standard deviation, or the median of what is far out for Pareto's law."""
    gap: float
    """Seconds between two trades, as a mean."""
    gaps: str
    """How they are distributed, a key of GAPS."""
    bounce: bool


@dataclass(frozen=True)
class Trades:
    """The last trade of each second that has one."""

    second: np.ndarray
    price: Floats


class Returns(NamedTuple):
    """What a rule makes of W samples."""

    values: Floats
    seconds: float
    """From the first sample to the last."""


LAWS: dict[str, tuple[Law, float]] = {
    "normal": (laws.normal, 1.0),
    "t(4)": (laws.student(4), math.sqrt(2)),
    "Pareto(2)": (laws.pareto(2), 3.0),
}
GAPS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "regular": lambda _generator, number: np.ones(number),
    "exponential": lambda generator, number: generator.standard_exponential(number),
    # Four of five gaps are of a quarter of the mean, the fifth is of four times the mean.
    "bursty": lambda generator, number: (
        generator.standard_exponential(number) * np.where(generator.random(number) < 0.8, 0.25, 4.0)
    ),
}


def trades(generator: np.random.Generator, market: Market, number: int) -> Trades:
    """So many trades, none of them in the same second as another."""
    many = 4 * number
    while True:
        gaps = market.gap * GAPS[market.gaps](generator, many)
        second = np.unique(np.cumsum(gaps).astype(np.int64))[:number]
        if len(second) == number:
            break
        many *= 2
    path = np.cumsum(market.law(generator, (1, int(second[-1]) + 1))[0])
    side = np.where(generator.random(number) < 0.5, -BOUNCE, BOUNCE) * market.scale
    return Trades(second, path[second] + side if market.bounce else path[second])


def half_of_intervals(seen: Trades) -> int:
    """The smallest whole number of seconds such that at least half of the intervals of this length have a trade."""
    step = 1
    while len(np.unique(seen.second // step)) * step < (seen.second[-1] - seen.second[0]) / 2:
        step += 1
    return step


def as_now(seen: Trades) -> Returns:
    """A return to each sample, if it is not more than a minute old."""
    apart, returns = _differences(seen)
    return _told(returns, apart, apart <= 60)


def by_root(seen: Trades) -> Returns:
    """The same, by the root of its duration."""
    apart, returns = _differences(seen)
    return _told(returns / np.sqrt(apart), apart, apart <= 60)


def one_second(seen: Trades) -> Returns:
    """Steps of a second: a return spans three of them at most."""
    apart, returns = _differences(seen)
    return _told(returns, apart, apart <= SPAN)


def previous_tick(seen: Trades) -> Returns:
    """The previous tick on a grid whose intervals have a trade in half of all cases; it spans three at most."""
    step = half_of_intervals(seen)
    interval = seen.second // step
    last = np.append(interval[1:] != interval[:-1], True)
    apart, returns = _differences(Trades(interval[last], seen.price[last]))
    return _told(returns, apart * step, apart <= SPAN)


def adaptive_steps(every: list[Trades]) -> list[Returns]:
    """Ours: a return spans three steps at most, of which two are the usual time between two samples. By the
    production code, for all at once."""
    apart = np.array([_differences(seen)[0] for seen in every])
    joined = np.empty(apart.shape, np.bool_)
    spacing, step = np.full(len(apart), LEAST_SPACING), np.full(len(apart), LEAST_STEP)
    for i, now in enumerate(apart.T):
        spacing, step = followed(spacing, step, now, np.full(len(now), i < YOUNG))
        joined[:, i] = ~is_hole(now, step)
    return [_told(_differences(seen)[1], *row) for seen, *row in zip(every, apart, joined, strict=True)]


def alone(rule: Callable[[Trades], Returns]) -> Callable[[list[Trades]], list[Returns]]:
    """A rule that looks at one window after the other."""
    return lambda every: [rule(seen) for seen in every]


RULES: dict[str, Callable[[list[Trades]], list[Returns]]] = {
    "a minute at most (before)": alone(as_now),
    "r/√Δt": alone(by_root),
    "one second": alone(one_second),
    "previous tick": alone(previous_tick),
    "adaptive step (ours)": adaptive_steps,
}


def _differences(seen: Trades) -> tuple[Floats, Floats]:
    return np.diff(seen.second).astype(np.float64), np.diff(seen.price)


def _told(returns: Floats, apart: Floats, joined: np.ndarray) -> Returns:
    """Of the last W samples."""
    return Returns(returns[-WINDOW:][joined[-WINDOW:]], float(apart[-WINDOW:].sum()))


def hill(returns: Floats) -> float:
    """α; nan where there are too few returns for it."""
    x = -np.sort(-np.abs(returns[returns != 0]))
    if len(x) < WAIT_RETURNS:
        return math.nan
    k = max(10, math.ceil(len(x) / 20))
    total = float(np.log(x[:k] / x[k]).sum())
    return min(10.0, max(0.5, k / total)) if total > 0 else 10.0


def table(number: int, markets: list[tuple[str, Market]], generator: np.random.Generator) -> None:
    """How each rule reads each market, what its window costs, and how far it is off over all irregular markets.

    The error is against what is read of the same market if it trades every second.
    """
    say("| law and trades | rule | mean m | window | WAIT | mean α | sd | RMSE |")
    say("|---|---|---|---|---|---|---|---|")
    off: dict[str, list[float]] = {rule: [] for rule in RULES}
    for name, market in markets:
        progress(name)
        every_second = market._replace(gap=1.0, gaps="regular")
        many = (trades(generator, every_second, WINDOW + 1) for _ in range(4 * number))
        truth = np.mean([hill(np.diff(seen.price)) for seen in many])
        seen = [trades(generator, market, TRADES) for _ in range(number)]
        for rule, make in RULES.items():
            made = make(seen)
            alpha = np.array([hill(returns.values) for returns in made])
            m, hours = (
                np.mean(each) for each in zip(*((len(r.values), r.seconds / 3600) for r in made), strict=True)
            )
            known = alpha[~np.isnan(alpha)]
            read = "– | – | –"
            if len(known):
                error = math.sqrt(np.mean((known - truth) ** 2))
                read = f"{known.mean():.2f} | {known.std():.2f} | {error:.2f}"
                off[rule] += [error] * (market.gaps != "regular")
            say(f"| {name} | {rule} | {m:.0f} | {hours:.1f} h | {1 - len(known) / number:.0%} | {read} |")
    progress("")
    for rule, errors in off.items():
        say(f"mean RMSE of {rule} over {len(errors)} irregular markets: {np.mean(errors):.2f}")


def markets(gap: list[float], bounce: bool) -> list[tuple[str, Market]]:
    kinds = [(1.0, "regular"), *((seconds, kind) for seconds in gap for kind in ("exponential", "bursty"))]
    if not bounce:
        kinds.append((15.0, "regular"))
    return [
        (f"{name}, {gaps} {seconds:g} s" + ", bounce" * bounce, Market(law, scale, seconds, gaps, bounce))
        for name, (law, scale) in LAWS.items()
        for seconds, gaps in kinds
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.steps", description=__doc__)
    parser.add_argument("--windows", type=int, default=100, help="windows drawn of each market")
    parser.add_argument("--gaps", type=float, nargs="+", default=[5.0, 30.0], help="mean seconds between two trades")
    given = parser.parse_args()
    generator = np.random.default_rng(SEED)
    for bounce in (False, True):
        table(given.windows, markets(given.gaps, bounce), generator)


if __name__ == "__main__":
    main()
