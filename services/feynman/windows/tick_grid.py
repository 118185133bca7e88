"""The tick grid of every window: the grid on which its prices lie, found by a vote of the prices.

The vote's result is the coarsest of {1, 2, 2.5, 5} · 10ⁿ on which three quarters of the window's prices lie, and
between whose prices a sixteenth of its moves lead. A price that stands still lies on any grid, so the second part
decides how coarse one may be: no move of a walk by single ticks leads from one even tick to another.

A price is read to 12 significant digits, as a whole number; how round that number is says on which grids it lies, and
is kept in a ring, and so is how round two prices are together between which a move leads. For each row only the grid
in use is counted, with the one or two next coarser ones: what lies on any coarser grid lies on one of these too. So
whether the vote still gives the grid in use costs a few additions, and only where it is adopted or dropped are all
grids counted.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cottage.state import WAIT_RETURNS
from services.feynman.windows.arrays import BoolArray, FloatArray, IntArray, RowArrays, Rows, chunks
from services.feynman.windows.bins import histogram

DIGITS = 12
FINEST, COARSEST = -20, 11
"""The powers of ten of the finest grid, on which every price lies, and of the coarsest."""
EXPONENTS = COARSEST - FINEST + 1
MULTIPLES = (10, 20, 25, 50)
KINDS: IntArray = np.array([3 * (i % 25 == 0) or 2 * (i % 5 == 0) or 1 * (i % 2 == 0) for i in range(100)])
"""By the last two digits of a whole number that does not end with 0: a multiple of 25, 5, 2 or none of these."""
ROUNDNESSES = 4 * EXPONENTS
"""How round a price is: four times the exponent of the last digit that is not 0, from FINEST on, and its kind."""
NOTHING = ROUNDNESSES
"""Stands for no price, or no move, where a roundness is expected."""

WHOLE_TICKS = [multiple * 10**n for n in range(EXPONENTS) for multiple in MULTIPLES][:-3]
"""All grids, ascending, in tenths of 10 ** FINEST."""
NONE = len(WHOLE_TICKS)
"""Stands for no grid where an index of one is expected."""
TICKS: FloatArray = np.array([float(f"{whole}e{FINEST - 1}") for whole in WHOLE_TICKS] + [np.nan])
UNITS: FloatArray = np.array([float(f"1e{n}") for n in range(FINEST, 309 - DIGITS + 1)])

PRICES_SHARE, MOVES_SHARE = 0.75, 0.0625
"""So many of the prices must lie on a grid, and so many of the moves must lead from one of its prices to another."""
STICKY = 60
"""The grid changes when the vote has given another one for so many samples in a row."""
OBEY_SHARE = 0.5
"""So many of the prices must obey a stated tick."""
TOLERANCE = 0.5 * 10.0 ** (1 - DIGITS)
"""A price obeys a stated tick if the nearest multiple is off by at most this share of it: the same to 12 digits."""
HALF_UP = 1e-13
"""A price is rounded up if it is less than half a tick above a multiple by no more than this share of it: so a float
that stands for half a tick, or was computed from a return, is."""
MID_SCALE = 2.0
"""In a window with a mid, prices are multiplied by this before they vote, and the tick is divided by it."""
FAR_TICKS = 1000
"""Where more than half of the moves are of more ticks than this, there is no grid."""


def _next_coarser(index: int) -> list[int]:
    """The coarser grids that are part of no other coarser one: what lies on any coarser grid lies on one of them."""
    coarser = range(index + 1, min(index + 9, NONE))
    least = [i for i in coarser if not any(WHOLE_TICKS[i] % WHOLE_TICKS[j] == 0 for j in coarser if j < i)]
    return least + [NONE] * (2 - len(least))


def on_grids(prices: IntArray) -> IntArray:
    """How many prices lie on each grid, shape (n, grids + 1), and 0 for NONE.

    `prices`: how many there are of each roundness, shape (n, ROUNDNESSES).
    """
    by_kind = prices.reshape(len(prices), EXPONENTS, 4)
    _none, of_2, of_5, of_25 = np.moveaxis(by_kind, 2, 0)
    rounder = np.cumsum(by_kind.sum(axis=2)[:, ::-1], axis=1)[:, ::-1]  # by so many zeros at least
    counts = np.zeros((len(prices), EXPONENTS, 4), np.int64)
    counts[:, :, 0] = rounder
    counts[:, :-1, 1:] = rounder[:, 1:, np.newaxis]
    counts[:, :, 1] += of_2
    counts[:, :, 2] += of_5 + of_25
    counts[:, 1:, 2] += of_25[:, :-1]
    counts[:, :, 3] += of_5 + of_25
    flat = counts.reshape(len(prices), ROUNDNESSES)[:, : NONE + 1]
    flat[:, NONE] = 0
    return flat


TRIED = np.array([[i, *_next_coarser(i)] for i in range(NONE)] + [[NONE] * 3])
"""Shape (grids + 1, 3): each grid and the next coarser ones."""
LIES = on_grids(np.eye(ROUNDNESSES + 1, ROUNDNESSES, dtype=np.int64))
"""Shape (ROUNDNESSES + 1, grids + 1): 1 where a price so round lies on the grid; 0 for NOTHING."""


def _common() -> npt.NDArray[np.uint8]:
    """The table COMMON, from how often 2 and 5 divide the numbers: their greatest common divisor lies on the grids on
    which both of them lie."""
    exponent, kind = np.divmod(np.arange(ROUNDNESSES), 4)
    twos, fives = exponent + (kind == 1), exponent + np.array([0, 0, 1, 2])[kind]
    two, five = np.minimum.outer(twos, twos), np.minimum.outer(fives, fives)
    common = np.full((ROUNDNESSES + 1, ROUNDNESSES + 1), NOTHING, np.uint8)
    common[:-1, :-1] = 4 * np.minimum(two, five) + np.where(two > five, 1, np.array([0, 2, 3])[five - two])
    return common


COMMON = _common()
"""Shape (ROUNDNESSES + 1, ROUNDNESSES + 1): how round a number is that lies on the grids that two have in common."""
PLACES = np.array([0, 20, 40])
"""The first bits of three counts in one whole number, so that one addition counts for three grids."""
LIES_ON_TRIED: IntArray = (LIES[:, TRIED] << PLACES).sum(axis=2)
"""Shape (ROUNDNESSES + 1, grids + 1): three counts, of 1 for each of TRIED on which a price so round lies."""


def roundness(price: FloatArray) -> npt.NDArray[np.uint8]:
    """How round each price is to 12 significant digits: an index into the rows of LIES. Prices are above 0."""
    places = np.floor(np.log10(price)).astype(np.intp)
    places -= DIGITS - 1 + FINEST
    np.maximum(places, 0, out=places)
    whole = np.rint(price / UNITS[places])
    for zeros in (8, 4, 2, 1):
        # A quotient that is no whole number is further from one than the float's rounding.
        shorter = whole / 10.0**zeros
        ends = shorter == np.rint(shorter)
        np.copyto(whole, shorter, where=ends)
        places += zeros * ends
    last_two = whole - 100.0 * np.floor(whole / 100.0)
    code: IntArray = 4 * places + KINDS[last_two.astype(np.intp)]
    np.minimum(code, 4 * (EXPONENTS - 1), out=code, where=places >= EXPONENTS)
    code[whole == 0] = 0
    return code.astype(np.uint8)


def nearest_tick(price: FloatArray, tick: FloatArray) -> FloatArray:
    """The whole number of ticks that is nearest to each price; half a tick, to 13 digits, goes up."""
    ticks = price / tick
    ticks *= 1.0 + HALF_UP
    ticks += 0.5
    return np.floor(ticks, out=ticks)


def ticks_moved(price: FloatArray, log_return: FloatArray, tick: FloatArray) -> FloatArray:
    """x: by how many ticks the price has moved, up or down, both prices snapped to the grid; nan without a return."""
    with np.errstate(all="ignore"):  # a return of 1,000, or a tick of 1e-300
        moved = nearest_tick(price, tick) - nearest_tick(price * np.exp(-log_return), tick)
        return np.abs(moved, out=moved)


class PriceAndReturn(NamedTuple):
    """The price of a sample of each row, and its return, nan where there is none; of the shape of the rows."""

    price: FloatArray
    log_return: FloatArray


class SaidOfPrice(NamedTuple):
    """What the feed says with the newest sample of each row, of the shape of the rows."""

    tick: FloatArray
    """nan where it states none."""
    mid: BoolArray
    """Whether the price is the middle of bid and ask."""
    taken: IntArray
    """How many samples the row has had, with this one."""


class Rings(NamedTuple):
    """What TickGrid reads of whole windows, where it must."""

    price: FloatArray
    """Shape (capacity, ≥ W)."""
    log_return: FloatArray
    """As `price`."""
    samples: IntArray
    """Shape (capacity,): how many columns each row uses."""
    newest: IntArray
    """Shape (capacity,): the column of each row's newest sample."""
    nonzero: IntArray
    """Shape (capacity,): m."""


class TickGrid(RowArrays):
    """The tick of every row, updated as windows slide. `Windows` uses it.

    A tick that is not stated is the vote's result at the sample where m first reaches 64; then it changes only when
    the vote has given another one, be it finer or coarser, for 60 samples in a row: to the one that it gives at the
    60th. Where m is below 64 there is no vote, and the count begins anew. A mid lies on half the tick of its quotes:
    in a window with a mid twice the prices vote for the tick of the quotes.

    Attributes, all of shape (capacity,), first what is known of each row's grid:
        tick: its step; nan where there is no grid, or it is not known yet.
        snapped: how many prices of the window do not lie on it.
        disobeyed: where fewer than half of the prices obey the stated tick, so that it is not used.
    Then what a checkpoint contains:
        grid: the index of the voted grid, NONE if there has been no vote.
        against: for how many samples in a row the vote has given another one.
        stated: the tick that the feed stated last, 0.0 if it stated none.
        mid_until: until how many samples the row will have taken in all a mid is in its window.
    """

    def __init__(self, window: int, capacity: int) -> None:
        self._window = window
        self.tick: FloatArray = np.full(capacity, np.nan)
        self.snapped, self.disobeyed = np.zeros(capacity, np.int64), np.zeros(capacity, np.bool_)
        self.grid: IntArray = np.full(capacity, NONE)
        self.against, self.mid_until = np.zeros(capacity, np.int64), np.zeros(capacity, np.int64)
        self.stated = np.zeros(capacity)
        self._price: npt.NDArray[np.uint8] = np.zeros((capacity, window), np.uint8)
        """How round each price is."""
        self._move: npt.NDArray[np.uint8] = np.zeros((capacity, window), np.uint8)
        """How round it is together with the price before; NOTHING where these are the same, or there is no return."""
        self._scale: FloatArray = np.ones(capacity)
        """By what prices are multiplied before they vote: 2 in a window with a mid."""
        self._prices: IntArray = np.zeros(capacity, np.int64)
        """How many prices lie on the grid, and on each of the next coarser ones: three counts, as in PLACES."""
        self._moves: IntArray = np.zeros(capacity, np.int64)
        """How many moves lead from one price of the grid to another; likewise."""
        self._obey: IntArray = np.zeros(capacity, np.int64)
        """How many prices obey the stated tick."""
        self._far: IntArray = np.zeros(capacity, np.int64)
        """How many moves are above FAR_TICKS."""
        self._far_tick: FloatArray = np.full(capacity, np.nan)
        """The tick by which these were counted; nan for a row that must be counted again."""

    def clear(self, rows: int | Rows) -> None:
        """Begin `rows` anew, without a sample."""
        self.grid[rows] = NONE
        self._price[rows] = self._move[rows] = NOTHING
        self._scale[rows] = 1.0
        self.tick[rows] = self._far_tick[rows] = np.nan
        for kept in (self.snapped, self.disobeyed, self.against, self.mid_until, self.stated):
            kept[rows] = 0
        for counts in (self._prices, self._moves, self._obey):
            counts[rows] = 0

    def derive(self, rows: Rows, rings: Rings, taken: IntArray) -> None:
        """Compute again, for `rows`, all that is derived from their rings. `taken`: how many samples they had."""
        self._scale[rows] = np.where(self.mid_until[rows] > taken, MID_SCALE, 1.0)
        self._far_tick[rows] = np.nan
        for part in chunks(len(rows), self._window):
            self._read(rows[part], rings)
        # What a checkpoint from before there were grids does not know is found at once.
        self._count(rows, rings, anew=(self.grid[rows] == NONE) & (rings.nonzero[rows] >= WAIT_RETURNS))
        self._find(rows, rings)

    def recall(self, rows: Rows, tick: FloatArray, votes: IntArray) -> None:
        """Remember which grid was in use in these rows, by its tick, and the votes against it; nan and −1 where that
        is not known. They are to be derived afterwards."""
        voted = np.isin(tick * self._scale[rows], TICKS[:NONE])
        self.grid[rows[voted]] = np.searchsorted(TICKS[:NONE], (tick * self._scale[rows])[voted])
        self.against[rows[votes >= 0]] = votes[votes >= 0]

    def replace(
        self,
        rows: Rows,
        column: IntArray,
        leaving: PriceAndReturn,
        entering: PriceAndReturn,
        said: SaidOfPrice,
        rings: Rings,
    ) -> tuple[FloatArray, FloatArray]:
        """In each row, a sample leaves a column and another, of which the feed says that much, enters it; then they
        vote. Where no sample left the column, the leaving price is of no account, and its return nan.

        The rings have the new sample already. All others are of the shape of `rows`. Returns the moves of the samples
        in ticks, the leaving one's first, by the tick that the row had before.
        """
        changed = self._said(rows, said)
        at, scale, grid = (rows, column), self._scale[rows], self.grid[rows]
        price, left = roundness(_scaled(entering.price, scale)), self._price[at]
        move = COMMON[self._price[rows, column - 1], price]
        move[~_moved(entering.log_return)] = NOTHING
        self._prices[rows] += LIES_ON_TRIED[price, grid] - LIES_ON_TRIED[left, grid]
        self._moves[rows] += LIES_ON_TRIED[move, grid] - LIES_ON_TRIED[self._move[at], grid]
        self._price[at], self._move[at] = price, move
        stated = self.stated[rows]
        if stated.any():
            obeyed = (left != NOTHING) & _obeys(_scaled(leaving.price, scale), stated)
            self._obey[rows] += _obeys(_scaled(entering.price, scale), stated).astype(np.int64) - obeyed
        tick = self._far_tick[rows]
        left_x, entered_x = ticks_moved(*leaving, tick), ticks_moved(*entering, tick)
        self._far[rows] += (entered_x > FAR_TICKS).astype(np.int64) - (left_x > FAR_TICKS)
        if changed.any():
            self.derive(rows[changed], rings, said.taken[changed])
        self._vote(rows, rings)
        self._find(rows, rings)
        return left_x, entered_x

    def _said(self, rows: Rows, said: SaidOfPrice) -> BoolArray:
        """Take what the feed says; returns which rows are to be derived anew."""
        self.mid_until[rows[said.mid]] = said.taken[said.mid] + self._window
        stating = said.tick > 0
        changed = stating & (said.tick != self.stated[rows])
        self.stated[rows[stating]] = said.tick[stating]
        other_scale = (self.mid_until[rows] > said.taken) != (self._scale[rows] == MID_SCALE)
        self.grid[rows[other_scale]] = NONE
        return np.asarray(changed | other_scale)

    def _read(self, rows: Rows, rings: Rings) -> None:
        """Read how round the prices of a few rows are, and which of them obey a stated tick."""
        scale = self._scale[rows, np.newaxis]
        used = np.arange(self._window) < rings.samples[rows, np.newaxis]
        price = np.where(used, rings.price[rows, : self._window], 1.0)
        r = rings.log_return[rows, : self._window]
        code = np.where(used, roundness(_scaled(price, scale)), np.uint8(NOTHING))
        before = np.roll(code, 1, axis=1)
        # The price before the oldest has left the window, but there is the return since then.
        oldest = np.arange(len(rows)), (rings.newest[rows] + 1) % self._window
        known = np.nan_to_num(r[oldest], nan=0.0)
        with np.errstate(over="ignore"):
            left = np.exp(np.log(price[oldest]) - known)
        before[oldest] = roundness(_scaled(left, scale[:, 0]))
        self._price[rows] = code
        self._move[rows] = np.where(_moved(r), COMMON[before, code], np.uint8(NOTHING))
        obeys = _obeys(_scaled(price, scale), self.stated[rows, np.newaxis]) & used
        self._obey[rows] = np.count_nonzero(obeys, axis=1)

    def _vote(self, rows: Rows, rings: Rings) -> None:
        """One vote of each row, after its newest sample, and what follows from it."""
        m = rings.nonzero[rows]
        in_use, *coarser = _elected(_three(self._prices[rows]), _three(self._moves[rows]), rings.samples[rows], m)
        upheld = in_use & ~coarser[0] & ~coarser[1]
        voted = m >= WAIT_RETURNS
        against = np.where(voted & ~upheld, self.against[rows] + 1, 0)
        self.against[rows] = against
        anew = voted & ((self.grid[rows] == NONE) | (against >= STICKY))
        if anew.any():
            self.against[rows[anew]] = 0
            self._count(rows[anew], rings, anew=np.ones(np.count_nonzero(anew), np.bool_))

    def _count(self, rows: Rows, rings: Rings, anew: BoolArray) -> None:
        """Count on which grids prices lie, and where `anew` is true, adopt the one that the vote gives."""
        used = int(rings.samples[rows].max(initial=0))
        for part in chunks(len(rows), max(used, ROUNDNESSES)):
            at = rows[part]
            prices, moves = (on_grids(_tally(ring[at, :used])) for ring in (self._price, self._move))
            elected = _elected(prices.T, moves.T, rings.samples[at], rings.nonzero[at])
            coarsest = NONE - np.argmax(elected[::-1], axis=0)
            self.grid[at] = np.where(anew[part], coarsest, self.grid[at])
            tried = TRIED[self.grid[at]]
            for kept, counts in ((self._prices, prices), (self._moves, moves)):
                kept[at] = (np.take_along_axis(counts, tried, axis=1) << PLACES).sum(axis=1)

    def _find(self, rows: Rows, rings: Rings) -> None:
        """Tell from the counts what is known of each row's grid."""
        samples, scale, stated, obey = rings.samples[rows], self._scale[rows], self.stated[rows], self._obey[rows]
        obeyed = (stated > 0) & (obey >= OBEY_SHARE * samples)
        tick = np.where(obeyed, stated, TICKS[self.grid[rows]]) / scale
        anew = (tick != self._far_tick[rows]) & ~np.isnan(tick)
        for part in chunks(int(np.count_nonzero(anew)), self._window):
            self._count_far(rows[anew][part], tick[anew][part], rings)
        none = np.isnan(tick) | (2 * self._far[rows] > rings.nonzero[rows])
        on = np.where(obeyed, obey, _three(self._prices[rows])[0])
        self.tick[rows] = np.where(none, np.nan, tick)
        self.snapped[rows] = np.where(none, 0, samples - on)
        self.disobeyed[rows] = (stated > 0) & ~obeyed

    def _count_far(self, rows: Rows, tick: FloatArray, rings: Rings) -> None:
        x = ticks_moved(rings.price[rows], rings.log_return[rows], tick[:, np.newaxis])
        self._far[rows] = np.count_nonzero(x > FAR_TICKS, axis=1)
        self._far_tick[rows] = tick


def _tally(codes: npt.NDArray[np.uint8]) -> IntArray:
    """How many there are of each roundness in each row."""
    return histogram(codes.astype(np.intp), ROUNDNESSES + 1)[:, :NOTHING].astype(np.int64)


def _elected(prices: IntArray, moves: IntArray, samples: IntArray, m: IntArray) -> BoolArray:
    """Which grids have enough prices and moves, of shape (grids, n)."""
    return np.asarray((prices >= PRICES_SHARE * samples) & (moves >= MOVES_SHARE * m))


def _three(counts: IntArray) -> IntArray:
    """The three counts in each of these numbers, of shape (3, n)."""
    three: IntArray = counts >> PLACES[:, np.newaxis]
    three &= 2**20 - 1
    return three


def _scaled(price: FloatArray, scale: FloatArray) -> FloatArray:
    """What the prices are in a vote, held where twice a price is a float too."""
    scaled: FloatArray = np.minimum(price, 1e300) * scale
    return scaled


def _moved(log_return: FloatArray) -> BoolArray:
    return np.asarray((log_return != 0) & ~np.isnan(log_return))


def _obeys(price: FloatArray, tick: FloatArray) -> BoolArray:
    """Which prices are multiples of these ticks to 12 digits; none where the tick is 0."""
    with np.errstate(all="ignore"):
        ticks = price / tick
        return np.asarray(np.abs(ticks - np.rint(ticks)) <= TOLERANCE * ticks)
