"""The last W samples of every symbol, and the statistics of them from which the pillars are computed.

`Windows` takes samples and returns `Statistics`; symbol table and vector use it. Only the modules of this package
know how the statistics are kept up to date while windows slide, without reading a whole window:

    windows.py           the samples, and what each one that enters or leaves changes
    steps.py             how long a step is, and between which samples there is a return
    counters.py          what was traded since the sample before, and why that is unknown
    block_sums.py        highest and lowest price; sums of volume, trades and squared returns
    return_histogram.py  the returns, counted by size
    volume_profile.py    the volume by price
    largest_moves.py     the largest moves in ticks
    kept_tails.py        the tail indices that were made of them
    tick_grid.py         the tick of the prices
    shortlist.py         lists of chosen values, for both kinds of returns
    bins.py, arrays.py   what they share
"""

from services.feynman.windows.arrays import BoolArray, FloatArray, IntArray, RowArrays, Rows
from services.feynman.windows.bins import BINS, TOLERANCE
from services.feynman.windows.counters import CAUSES
from services.feynman.windows.steps import LEAST_SPACING, LEAST_STEP, SPAN
from services.feynman.windows.tick_grid import NONE as NO_GRID_YET
from services.feynman.windows.windows import (
    FLAGS,
    FLOATS,
    LASTING,
    RINGS,
    SAVED,
    WHOLE,
    PricedMoves,
    Statistics,
    Windows,
)

__all__ = [
    "BINS",
    "CAUSES",
    "FLAGS",
    "FLOATS",
    "LASTING",
    "LEAST_SPACING",
    "LEAST_STEP",
    "NO_GRID_YET",
    "RINGS",
    "SAVED",
    "SPAN",
    "TOLERANCE",
    "WHOLE",
    "BoolArray",
    "FloatArray",
    "IntArray",
    "PricedMoves",
    "RowArrays",
    "Rows",
    "Statistics",
    "Windows",
]
