"""What the modules of the physics share: types of arrays, chunks of rows, growth."""

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

Array = TypeVar("Array", bound=npt.NDArray[Any])

CHUNK_ELEMENTS = 2**16
"""So many elements are worked on together: half a megabyte an array, which stays in a core's cache, and numpy's
overhead per call is small by then."""


HEADROOM = 2.0**-20
"""Volumes and trades are summed as this part of themselves: no sum of what a float can hold overflows, and as a
power of two it changes no digit."""


def grown(array: Array, capacity: int) -> Array:
    """The same rows in a larger array, followed by rows of 0.

    Zeroed pages are the kernel's until they are written to: rows kept for growth cost no memory yet.
    """
    larger = np.zeros((capacity, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger  # type: ignore[return-value]  # of the same type, which numpy's stubs do not know


def chunks(number: int, width: int) -> Iterator[slice]:
    """Slices of `number` rows of `width` elements each, of some CHUNK_ELEMENTS."""
    step = max(1, CHUNK_ELEMENTS // max(width, 1))
    return (slice(start, start + step) for start in range(0, number, step))


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """The quotient, 0 where the denominator is 0."""
    quotient: FloatArray = np.zeros(numerator.shape)
    np.divide(numerator, denominator, where=denominator > 0, out=quotient)
    return quotient


def histogram(bins: npt.NDArray[np.intp], number: int, weight: FloatArray | None = None) -> FloatArray:
    """What falls into each bin, row by row: (n, W) of bin numbers to (n, `number`) of counts or weights."""
    offset = np.arange(len(bins))[:, np.newaxis] * number
    flat = np.bincount(
        (bins + offset).ravel(), None if weight is None else weight.ravel(), minlength=len(bins) * number
    )
    return flat.reshape(len(bins), number).astype(np.float64, copy=False)
