"""Whether the kernel's vector is the reference's."""

import math
from collections.abc import Sequence
from dataclasses import fields
from fractions import Fraction

from cottage import notes, reference, state
from cottage.reference import Increment, plain_vector
from cottage.reference.plain_samples import TOLERANCE, sigma
from services.feynman.regime import REGIMES
from services.feynman.vector import Vectors

PILLARS = ("mass", "momentum", "friction", "entropy", "nash_dist", "alpha_coefficient", "alpha_low", "alpha_high")


def nth(vectors: Vectors, index: int) -> reference.Vector:
    values = {field.name: getattr(vectors, field.name)[index].item() for field in fields(Vectors)}
    void = frozenset(name for place, name in enumerate(state.PILLARS) if values["void"] >> place & 1)
    noted = frozenset(
        word for word, bit in notes.BITS.items() if values["notes"] & bit
    )  # a state tells eight at most
    return reference.Vector(**values | {"regime": REGIMES[values["regime"]], "void": void, "notes": noted})


def decided(window: Sequence[Increment]) -> bool:
    """Whether no comparison hangs on a last digit.

    Both sides round, by some 1e-14 of a bin or a weight: the returns' σ is summed in another order. What lies
    that close to where floor or the tie rule switches may honestly fall on either side. True edges are 1e-9
    away from it, which is what the 1e-9 is for, and stay in the test.
    """
    returns = plain_vector.return_positions(window) if sigma(window) > 0 else []
    prices: list[Fraction] = []
    if plain_vector.low_and_range(window)[1] > 0:
        each_price_once = list(
            {increment.price: increment for increment in plain_vector.since_break(window)}.values()
        )
        prices = plain_vector.price_positions(each_price_once)
        profile = plain_vector.volume_by_price(window)
        limit = max(profile) * (1 - TOLERANCE)
        if any(abs(weight - limit) < max(profile) * Fraction(1, 10**13) for weight in profile):
            return False
    apart = Fraction(1, 10**12)
    return all(abs(r - round(r)) > apart for r in returns) and all(abs(p - round(p)) > apart for p in prices)


def assert_agree(kernel: reference.Vector, expected: reference.Vector) -> None:
    for name in PILLARS:
        one, other = getattr(kernel, name), getattr(expected, name)
        # 1e-14 is for what is 0 but for cancellation, such as the CLV in the middle of a wide range.
        assert math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-14), (name, one, other)
    assert (kernel.samples, kernel.nonzero) == (expected.samples, expected.nonzero)
    assert (kernel.step, kernel.holes, kernel.snapped) == (expected.step, expected.holes, expected.snapped)
    assert (kernel.void, kernel.notes) == (expected.void, expected.notes)
    if all(abs(expected.alpha_coefficient - threshold) > 1e-9 for threshold in (1.5, 2)):
        assert kernel.regime == expected.regime
