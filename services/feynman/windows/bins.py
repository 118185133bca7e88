"""What the histogram of returns and the volume profile share."""

import numpy as np
import numpy.typing as npt

from services.feynman.windows.arrays import FloatArray

BINS = 32
"""Of the histogram of returns, and as many of the volume profile."""
TOLERANCE = 1e-9
"""Of a bin's width, or of a weight: what is this close to an edge or a tie is on it, however it was rounded."""


def histogram(bins: npt.NDArray[np.intp], number: int, weight: FloatArray | None = None) -> FloatArray:
    """What falls into each bin, row by row: (n, W) of bin numbers to (n, `number`) of counts or weights."""
    offset = np.arange(len(bins))[:, np.newaxis] * number
    flat = np.bincount(
        (bins + offset).ravel(), None if weight is None else weight.ravel(), minlength=len(bins) * number
    )
    return flat.reshape(len(bins), number).astype(np.float64, copy=False)
