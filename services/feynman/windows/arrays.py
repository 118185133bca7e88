"""What the modules of this package share: types of arrays, arrays that grow by rows, and work on them in chunks."""

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


class RowArrays:
    """A base class for objects that hold numpy arrays of one row a symbol, or other such objects."""

    def grow(self, capacity: int) -> None:
        """Make room for so many symbols in every array, one after the other, so that only one is there twice."""
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(self, name, grown(value, capacity))
            elif isinstance(value, RowArrays):
                value.grow(capacity)


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
