"""The bins that the histogram of returns and the volume profile share."""

import numpy as np
import numpy.typing as npt

from services.feynman.windows.arrays import FloatArray

BINS = 32
"""The number of bins of the histogram of returns, and also of the volume profile."""
TOLERANCE = 1e-9
"""A share of a bin's width, or of a weight. A value so close to an edge counts as on it, and weights so close to each
other count as equal, so that rounding does not matter."""


def histogram(bins: npt.NDArray[np.intp], number: int, weight: FloatArray | None = None) -> FloatArray:
    """Count, or sum the weights of, what is in each bin: from (n, W) bin numbers to shape (n, `number`)."""
    offset = np.arange(len(bins))[:, np.newaxis] * number
    flat = np.bincount(
        (bins + offset).ravel(), None if weight is None else weight.ravel(), minlength=len(bins) * number
    )
    return flat.reshape(len(bins), number).astype(np.float64, copy=False)
