"""The estimators in plain Python, from their definitions in docs/estimators.md alone.

The tests hold feynman's kernel against them, and `cottage proof` computes a recorded state again with them. They are
slow, and meant to be read beside the definitions; they share no line with the kernel.
"""

from cottage.reference.plain_grid import FoundGrid, PlainGrid, Price
from cottage.reference.plain_regime import Tail, regimes, tail
from cottage.reference.plain_samples import Increment, PlainSample, increments, is_split
from cottage.reference.plain_tail import PlainTailIndex, tail_index
from cottage.reference.plain_vector import Vector, grids, tails, vector, vector_of_increments

__all__ = [
    "FoundGrid",
    "Increment",
    "PlainGrid",
    "PlainSample",
    "PlainTailIndex",
    "Price",
    "Tail",
    "Vector",
    "grids",
    "increments",
    "is_split",
    "regimes",
    "tail",
    "tail_index",
    "tails",
    "vector",
    "vector_of_increments",
]
