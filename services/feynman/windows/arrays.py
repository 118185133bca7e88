"""Array types, arrays that grow by rows, and work in chunks: shared by the modules of this package."""

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
"""So many elements are processed together: half a megabyte per array stays in a core's cache, and is large enough
for numpy's overhead per call not to matter."""

HEADROOM = 2.0**-20
"""Volumes and trades are multiplied by this before they are summed, so that no sum overflows. As a power of two it
changes no digit."""


class RowArrays:
    """A base class for objects that hold numpy arrays with one row per symbol, or other such objects."""

    def grow(self, capacity: int) -> None:
        """Make room for so many symbols in every array, one after the other, to keep the peak of memory low."""
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(self, name, grown(value, capacity))
            elif isinstance(value, RowArrays):
                value.grow(capacity)


def grown(array: Array, capacity: int) -> Array:
    """The same rows in a larger array, followed by rows of 0.

    The kernel allocates a zeroed page when it is first written to, so rows in reserve cost no memory.
    """
    larger = np.zeros((capacity, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger  # type: ignore[return-value]  # of the same type, which numpy's stubs do not know


def chunks(number: int, width: int) -> Iterator[slice]:
    """Slices of `number` rows of `width` elements each, of some CHUNK_ELEMENTS."""
    step = max(1, CHUNK_ELEMENTS // max(width, 1))
    return (slice(start, start + step) for start in range(0, number, step))


def newest_columns(newest: IntArray, number: IntArray, length: int) -> BoolArray:
    """Which of the `length` columns of some rings hold the `number` newest samples, shape (n, `length`). `newest`:
    the newest sample's column; both of shape (n,)."""
    age = (newest[:, np.newaxis] - np.arange(length)) % length
    return np.asarray(age < number[:, np.newaxis])
