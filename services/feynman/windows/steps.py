"""How long a step is: the unit in which it is measured how far two samples lie apart, in seconds of event time.

A symbol that trades every second has steps of one second, and one that trades every minute longer ones. Whether
there is a return between two samples is asked in steps, so neither mixes returns of very different durations, which
would look like a tail (docs/estimators.md, "Irregular trading").
"""

import numpy as np

from services.feynman.windows.arrays import BoolArray, FloatArray

SPAN = 3
"""A return spans so many steps at most."""
GAP = 60
"""Beyond so many steps what was traded in between is unknown too."""

LEAST_STEP = 1.0
LEAST_SPACING = 2 * LEAST_STEP
LONGEST_STEP = 1e9
"""No bar lasts so long."""
STICKY = 1.5
"""A step becomes another one when half the spacing is so many times the step, or the step so many times that."""
YOUNG = 64
"""A window of fewer samples follows faster."""
YOUNG_GAIN, GAIN = 2.0**0.125, 2.0**0.015625


def followed(
    spacing: FloatArray, step: FloatArray, apart: FloatArray, young: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Spacing and step after a sample that lies `apart` from the one before, of several symbols: arrays of one shape.

    The spacing is a running median of `apart`: it is multiplied by a factor where `apart` is greater, and else
    divided by it. Half of it, in whole seconds, is the step, if that has to change.
    """
    factor = np.where(young, YOUNG_GAIN, GAIN)
    spacing = np.maximum(np.where(apart > spacing, spacing * factor, spacing / factor), LEAST_SPACING)
    half = spacing / 2
    changes = (half >= STICKY * step) | (half <= step / STICKY)
    return spacing, np.where(changes, np.floor(half + 0.5), step)


def is_hole(apart: FloatArray, step: FloatArray) -> BoolArray:
    """Whether there is no return between two samples: to the nearest step, they lie more than SPAN apart."""
    return np.asarray(apart >= (SPAN + 0.5) * step)
