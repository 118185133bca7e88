"""Whether one forecast is better than another, out of sample: expanding fits, R² and its interval.

`forecasts.py` uses it.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tests.bench.laws import Floats

SEED, RESAMPLES = 16, 1000
SINGULAR = 1e-10
"""Predictors are taken as dependent where an eigenvalue of their products is so small a part of the greatest."""


class Skill(NamedTuple):
    """What part of the loss a forecast saves another: 1 is all of it, and below 0 it is the worse."""

    r2: float
    low: float
    """This and the next are the ends of the 90 % interval."""
    high: float

    @property
    def found(self) -> bool:
        """Whether it is better, as far as it is printed."""
        return round(100 * self.low, 1) > 0


UNKNOWN = Skill(math.nan, math.nan, math.nan)


def forecasts(target: Floats, predictors: Floats, first: int) -> Floats:
    """For each of target[first:] the forecast by the least squares fit to all that came before it.

    `target` of shape (n,), `predictors` of shape (n, p); a constant comes with them. Of fits that are as good, where
    predictors depend on each other, it is the one with the smallest coefficients.
    """
    # Wherever a predictor's zero is, least squares forecast the same; the products have more digits where it is near.
    x = np.concatenate([np.ones((len(target), 1)), predictors - predictors[:first].mean(axis=0)], axis=1)
    products, moments = x[:, :, np.newaxis] * x[:, np.newaxis], x * target[:, np.newaxis]
    before = slice(first - 1, len(target) - 1)
    inverse = np.linalg.pinv(np.cumsum(products, axis=0)[before], rcond=SINGULAR, hermitian=True)
    fitted: Floats = np.einsum("ti,tij,tj->t", x[first:], inverse, np.cumsum(moments, axis=0)[before])
    return fitted


def skill(losses: Floats, base: Floats) -> Skill:
    """The out-of-sample R² of a forecast against another, 1 − Σ (y − ŷ)² / Σ (y − ŷ_base)², and its 90 % interval.

    From the squared errors of both, in order of time; the base's are not all 0. The interval is that of a block
    bootstrap. Campbell and Thompson (2008), Rev. Financ. Stud. 21(4).
    """
    both = np.stack([losses, base])
    ours, theirs = both[:, _resamples(len(base))].sum(axis=2)
    some = theirs > 0
    low, high = np.quantile(1.0 - ours[some] / theirs[some], (0.05, 0.95))
    whole = both.sum(axis=1)
    return Skill(float(1.0 - whole[0] / whole[1]), float(low), float(high))


@lru_cache(maxsize=4)
def _resamples(number: int) -> npt.NDArray[np.intp]:
    """Indices of a circular block bootstrap of so many values: shape (RESAMPLES, number).

    Politis and Romano (1992), in: Exploring the Limits of Bootstrap. Blocks are as long as the cube root of the
    number: Hall, Horowitz and Jing (1995), Biometrika 82.
    """
    block = math.ceil(number ** (1 / 3))
    starts = np.random.default_rng(SEED).integers(0, number, (RESAMPLES, -(-number // block), 1))
    indices: npt.NDArray[np.intp] = (starts + np.arange(block)).reshape(RESAMPLES, -1)[:, :number] % number
    return indices
