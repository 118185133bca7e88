"""The last W samples of every symbol, in numpy arrays with one row per symbol, and their statistics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cottage.notes import BITS, NOTES, OF_A_TICK
from services.feynman.windows.arrays import HEADROOM, BoolArray, FloatArray, IntArray, RowArrays, Rows, chunks
from services.feynman.windows.block_sums import BLOCK, BlockSums, padded
from services.feynman.windows.breaks import SinceBreak, is_split
from services.feynman.windows.counters import (
    CAUSES,
    CORRECTION,
    MISSING,
    OVERFLOW,
    ROLLING,
    ROLLS,
    SESSION,
    CauseArray,
    CounterState,
    Difference,
    difference,
)
from services.feynman.windows.kept_tails import KeptTails
from services.feynman.windows.largest_moves import LargestMoves, large_moves, moves
from services.feynman.windows.return_histogram import ReturnHistogram
from services.feynman.windows.steps import GAP, LEAST_SPACING, LEAST_STEP, LONGEST_STEP, YOUNG, followed, is_hole
from services.feynman.windows.tick_grid import NONE as NO_GRID_YET
from services.feynman.windows.tick_grid import PriceAndReturn, Rings, SaidOfPrice, TickGrid
from services.feynman.windows.volume_profile import VolumeProfile

RINGS = ("price", "volume", "trades", "log_return")
FLAGS = ("auction",)
COUNTERS = ("volume", "trades")
FLOATS = (
    "last_timestamp",
    "feed_time",
    "last_price",
    "regime_since",
    "stated_tick",
    "event_time",
    "waited",
    "spacing",
    "step",
    *(f"{kept}_{counter}" for kept in ("session", "fell_from") for counter in COUNTERS),
)
WHOLE = (
    *("samples", "newest", "taken", "session", "score_volume", "score_trades", "tick_notes", "regime"),
    *("grid", "against_grid", "mid_until"),
)
NEWEST = (*FLOATS, *WHOLE, "noted_until")
SAVED = (*RINGS, *FLAGS, *NEWEST)
"""The attributes that a checkpoint contains; everything else is derived from them."""
DERIVED = ("known", "nonzero", "unknown_volumes", "unknown_trades", "auctions", "auction_volume", "all_noted_until")
EMPTY = {
    **dict.fromkeys(("log_return", "feed_time", "event_time", "regime_since"), np.nan),
    "newest": -1,
    "last_timestamp": -np.inf,
    "grid": NO_GRID_YET,
    "spacing": LEAST_SPACING,
    "step": LEAST_STEP,
}
"""The values of an empty window that are not 0."""

LASTING = [word for word in NOTES if word not in OF_A_TICK]
"""The words of NOTES that are true while a sample is in the window, one for each column of `noted_until`."""
LASTING_BITS = np.array([BITS[word] for word in LASTING])
TICK_BITS = sum(BITS[word] for word in OF_A_TICK)
AUCTION = BITS["auction"]
BREAK, BREAK_COLUMN = BITS["break"], LASTING.index("break")

JUMP = 20.0
"""A return is a jump if it is above so many times the root mean square of the window's other returns."""
JUMP_RETURNS = 20
"""So many other returns a window must have for that."""
JUMP_RATIO = 1.8
"""So is any by which one price is so many times the other, that is nearly double, whatever the window's other returns
are: another jump may be among them."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of some windows: arrays with one entry per window, finite but for four that may be unknown.

    For a window without a sample everything is 0. Volumes and trades are in units of 2^20, so that no sum overflows.
    """

    samples: IntArray
    """How many samples the window holds, 0 … W."""
    nonzero: IntArray
    """How many of its returns are not 0."""
    holes: IntArray
    """How many of its samples have no return, but for the first sample of a new window."""
    step: FloatArray
    """How long a step is, in seconds."""
    price: FloatArray
    """The price of the newest sample; the next three are of that sample too."""
    volume: FloatArray
    """Volume since the sample before it; nan if it is unknown."""
    trades: FloatArray
    """Number of trades since the sample before it; nan if it is unknown."""
    log_return: FloatArray
    """Return since the sample before it; nan if there is none."""
    highest: FloatArray
    """The highest price in the window, since its newest break if it has one; `lowest` likewise."""
    lowest: FloatArray
    peak: FloatArray
    """The highest price in all of the window; `trough` is the lowest."""
    trough: FloatArray
    mean_volume: FloatArray
    """The mean of the volumes in the window that are known; 0 if none is."""
    continuous_volume: FloatArray
    """`volume`, but unknown where the newest sample is of an auction."""
    mean_continuous_volume: FloatArray
    """The mean of the known volumes of the samples that are of no auction; 0 if there is none."""
    mean_trades: FloatArray
    """The mean of the numbers of trades that are known; 0 if none is."""
    sigma: FloatArray
    """The root mean square of the window's returns, 0 where it has none."""
    returns_by_bin: FloatArray
    """Shape (n, 32): how many returns are in each of 32 bins of σ/4 from −4σ. The outermost bins hold all that is
    beyond them. 0 where σ is 0."""
    volume_by_price: FloatArray
    """Shape (n, 32): the volume in each of 32 bins from the lowest to the highest price; the number of samples if
    there is no volume. Since the newest break too. 0 if both prices are the same."""
    tick: FloatArray
    """The step of the grid on which its prices lie; nan where there is none, or it is not known yet."""
    snapped: IntArray
    """How many of its prices do not lie on that grid."""
    notes: IntArray
    """The bits of the words of `cottage.notes` that are true of the window, or of its newest sample."""


class PricedMoves(NamedTuple):
    """Moves in ticks, 0 where there is none of two ticks or more, and the prices that they lie between."""

    before: FloatArray
    after: FloatArray
    ticks: FloatArray


class Windows(RowArrays):
    """Sliding windows over the samples of any number of symbols.

    The symbol table uses it. A row is a ring buffer: column `newest[row]` holds the newest sample, and columns
    0 … `samples[row]` − 1 are in use. V, N and r are those since the sample before, and leave together with their
    sample. So in a full window the oldest sample still has its return, against a sample that has left already.

    V and N are unknown (nan) where `counters.py` says so, and left out of all sums. Unused columns are filled so that
    sums and extremes over a whole row need no mask: with the first sample's price, V = N = 0 and no return.

    What `statistics` and `largest_moves` need of a whole window is kept up to date beside the rings, so that a tick
    need not read them. `derive` computes all of it from the rings.

    The caller knows which symbol has which row. A call must not name a row twice.

    Attributes, all with one row a symbol:
        price, volume, trades: shape (capacity, W): p, and V and N since the sample before, nan where unknown.
        log_return: shape (capacity, W): r = ln(p_i / p_{i-1}), nan where there is none.
        auction: shape (capacity, W): whether a sample is of an auction, or one was in it.
        samples: how many samples the window holds, 0 … W.
        newest: the newest sample's column, −1 before the first.
        last_timestamp: the newest snapshot's, in epoch seconds; −inf before the first.
        last_price: the newest sample's; 0 before the first.
        event_time: the newest sample's, in epoch seconds; nan where none was stated.
        waited: how many seconds before last_timestamp that sample was.
        spacing, step: seconds of event time between samples, as in steps.py.
        feed_time: the newest sample's time as its snapshot has it, nan where that is not known.
        session_volume, session_trades: the newest sample's counters; nan where missing, inf where too great.
        session: a number that stands for the newest mark of a session that was stated; 0 if none was.
        score_volume, score_trades, fell_from_volume, fell_from_trades: the counters' CounterState.
        known, nonzero: how many returns the window has, and how many of them are not 0.
        unknown_volumes, unknown_trades: how many V and N of the window are unknown.
        auctions, auction_volume: how many samples of the window are of auctions and have a known V, and the sum of
        these V (times HEADROOM).
        taken: how many samples the window has had in all.
        noted_until: shape (capacity, words): a word of LASTING is true while `taken` is below it.
        all_noted_until: the greatest of a row's `noted_until`.
        tick_notes: the bits of the words that are true of the newest sample alone.
        regime: the code of the regime after the newest sample, as `keep_regime` was told; 0 in a new window.
        regime_since: the event time of the sample since which that is so; nan where it is not known.
        grid, against_grid, mid_until, stated_tick: the TickGrid's `grid`, `against`, `mid_until` and `stated`.
        tails: the tail indices that were computed last.
    """

    def __init__(self, length: int = 1000, *, capacity: int = 64, widening: float = 1.0) -> None:
        """`length`: samples in a window (W). `capacity`: for how many symbols there is room at first. `widening`: of
        the interval of the tail index, as `estimate` has it. Raises ValueError for a number that is not above 0."""
        if not (length > 0 and capacity > 0 and widening > 0):
            raise ValueError(f"must be above 0: {length=}, {capacity=}, {widening=}")
        self.length = length
        # Whole blocks, so that each is contiguous in memory. The columns behind the window's last one are unused.
        shape = (capacity, padded(length))
        # The kernel allocates a zeroed page when it is first written to, so rows in reserve cost no memory.
        self._price, self._volume, self._trades, self._log_return = (np.zeros(shape) for _ in range(4))
        self._auction = np.zeros(shape, np.bool_)
        self.auctions, self.auction_volume = np.zeros(capacity, np.int64), np.zeros(capacity)
        self.samples, self.newest, self.known, self.nonzero = (np.zeros(capacity, np.int64) for _ in range(4))
        self.last_timestamp, self.last_price = np.zeros(capacity), np.zeros(capacity)
        self.session_volume, self.session_trades = np.zeros(capacity), np.zeros(capacity)
        self.feed_time, self.event_time, self.waited = (np.zeros(capacity) for _ in range(3))
        self.spacing, self.step = np.zeros(capacity), np.zeros(capacity)
        self.unknown_volumes, self.unknown_trades = (np.zeros(capacity, np.int64) for _ in range(2))
        self.taken, self.session, self.tick_notes, self.regime = (np.zeros(capacity, np.int64) for _ in range(4))
        self.regime_since = np.zeros(capacity)
        self.score_volume, self.score_trades = (np.zeros(capacity, np.int64) for _ in range(2))
        self.fell_from_volume, self.fell_from_trades = np.zeros(capacity), np.zeros(capacity)
        self.noted_until, self.all_noted_until = (
            np.zeros((capacity, len(LASTING)), np.int64),
            np.zeros(capacity, np.int64),
        )
        self._sums = BlockSums(length, capacity)
        self._returns = ReturnHistogram(length, capacity)
        self._largest = LargestMoves(length, capacity)
        self.tails = KeptTails(capacity, widening)
        self._profile = VolumeProfile(length, capacity)
        self._since_break = SinceBreak(capacity)
        self._grid = TickGrid(length, capacity)
        self._used = 0
        self._free: set[int] = set()

    @property
    def price(self) -> FloatArray:
        return self._price[:, : self.length]

    @property
    def volume(self) -> FloatArray:
        return self._volume[:, : self.length]

    @property
    def trades(self) -> FloatArray:
        return self._trades[:, : self.length]

    @property
    def log_return(self) -> FloatArray:
        return self._log_return[:, : self.length]

    @property
    def auction(self) -> BoolArray:
        return self._auction[:, : self.length]

    @property
    def grid(self) -> IntArray:
        return self._grid.grid

    @property
    def against_grid(self) -> IntArray:
        return self._grid.against

    @property
    def mid_until(self) -> IntArray:
        return self._grid.mid_until

    @property
    def stated_tick(self) -> FloatArray:
        return self._grid.stated

    @property
    def capacity(self) -> int:
        """How many symbols there is room for before the arrays are doubled."""
        return len(self.samples)

    def __len__(self) -> int:
        """The number of rows in use."""
        return self._used - len(self._free)

    def add(self) -> int:
        """An empty row for a new symbol, if possible one that was released."""
        if self._free:
            row = self._free.pop()
        else:
            if self._used == self.capacity:
                self.grow(2 * self.capacity)
            row = self._used
            self._used += 1
        self.clear(row)
        return row

    def release(self, row: int) -> None:
        """Release the row of a symbol that was dropped. Raises ValueError if it is not in use."""
        if not 0 <= row < self._used or row in self._free:
            raise ValueError(f"row {row} is not in use")
        self._free.add(row)

    def clear(self, rows: int | Rows) -> None:
        """Remove all samples of these rows, for instance because their source has changed."""
        for name in (*SAVED, *DERIVED):
            getattr(self, name)[rows] = EMPTY.get(name, 0)
        self._sums.begin(rows, np.zeros(np.size(rows)))
        self._grid.clear(rows)
        self._forget(rows)

    def derive(self, rows: Rows) -> None:
        """Compute again, for `rows`, all that is derived from their rings."""
        for part in chunks(len(rows), self.length):
            returns = self.log_return[rows[part]]
            self.known[rows[part]] = np.count_nonzero(~np.isnan(returns), axis=1)
            self.nonzero[rows[part]] = np.count_nonzero(np.nan_to_num(returns, nan=0.0), axis=1)
            self.unknown_volumes[rows[part]] = np.count_nonzero(np.isnan(self.volume[rows[part]]), axis=1)
            self.unknown_trades[rows[part]] = np.count_nonzero(np.isnan(self.trades[rows[part]]), axis=1)
            self._sum_auctions(rows[part])
        self.all_noted_until[rows] = self.noted_until[rows].max(axis=1)
        self._sums.read_all(rows, *self._rings())
        broken = rows[self._broken(rows)]
        at = broken, self.newest[broken], self._comparable(broken)
        self._since_break.derive(*at, self.price, self.volume)
        self._grid.derive(rows, self._prices_and_returns(), self.taken[rows])
        self._forget(rows)

    def saved(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        """A copy of all that `restore` needs: the attributes in SAVED, for rings only the columns in use."""
        used = int(self.samples[rows].max(initial=0))
        return {name: getattr(self, name)[:, :used][rows] for name in (*RINGS, *FLAGS)} | {
            name: getattr(self, name)[rows] for name in NEWEST
        }

    def restore(self, rows: Rows, saved: Mapping[str, npt.NDArray[Any]]) -> None:
        """Set `rows` to what `saved` returned, in windows of the same length. What is not there stays as in an empty
        window."""
        self.clear(rows)
        used = saved["price"].shape[1]
        self.price[rows] = saved["price"][:, :1]
        for name in (*RINGS, *(name for name in FLAGS if name in saved)):
            getattr(self, name)[rows, :used] = saved[name]
        for name in saved.keys() & {*FLOATS, *WHOLE}:
            getattr(self, name)[rows] = saved[name]
        if "noted_until" in saved:
            words = saved["noted_until"]  # fewer, where newer words did not exist yet
            self.noted_until[rows, : words.shape[1]] = words
        self.derive(rows)

    def append(
        self,
        rows: Rows,
        price: FloatArray,
        volume: FloatArray,
        trades: FloatArray,
        timestamp: FloatArray,
        session: IntArray | None = None,
        notes: IntArray | None = None,
        tick: FloatArray | None = None,
        event_time: FloatArray | None = None,
        interval: FloatArray | None = None,
        lost: BoolArray | None = None,
    ) -> IntArray:
        """Add one sample to each of `rows`; in a full window it replaces the oldest. Returns how many V and N have
        each of CAUSES, shape (2, causes).

        All arrays have the shape of `rows`. `price` is above 0, `timestamp` is in seconds since 1970 and later than
        the row's newest. `volume` and `trades` are counters, at least 0; nan where missing, inf where too great.
        `session`: numbers for the stated marks of the session, 0 for none; `notes`: bits of words that the feed says;
        `tick`, `event_time`, `interval`: the step of the price grid, the market's own time and the length of a bar,
        nan where they are not stated. `lost`: where there were samples before it that we do not have.
        """
        first = self.samples[rows] == 0
        self._price[rows[first]] = price[first, np.newaxis]
        self._sums.begin(rows[first], price[first])

        # A change of price over a hole is not a return of some steps, and a flow over a night is not one tick's.
        hole, gap = self._holes(rows, first, timestamp, event_time, interval)
        anew = np.zeros(len(rows), np.bool_) if session is None else self._begun(rows, session)
        said = np.zeros(len(rows), np.int64) if notes is None else notes.copy()
        breaks = self._breaks(rows, price, gap | anew, said)
        if lost is not None and lost.any():  # what was traded meanwhile is not one tick's, but prices can be compared
            hole, gap = hole | lost, gap | (lost & ~first)
        flags = first, hole, gap | (breaks & ~first), anew
        v, n = (self._difference(rows, *each, flags) for each in zip(COUNTERS, (volume, trades), strict=True))
        joined = ~(first | hole | breaks)
        last = self.last_price[rows]
        nearly_double = ~first & (np.maximum(price, last) / JUMP_RATIO >= np.minimum(price, last))
        r = np.full(len(rows), np.nan)
        r[joined] = _log_ratio(price[joined], last[joined])
        stated = np.full(len(rows), np.nan) if tick is None else tick
        of_price = SaidOfPrice(stated, (said & BITS["mid"]) != 0, self.taken[rows] + 1)
        self._replace(rows, price, v.increase, n.increase, r, of_price)
        self._note_auctions(rows, (said & AUCTION) != 0)

        self.last_timestamp[rows], self.last_price[rows] = timestamp, price
        said[gap] |= BITS["gap"]
        said[(nearly_double & ~breaks) | self._jumped(rows, r)] |= BITS["jump"]
        self._note(rows, said | _named(v.cause, "no_volume") | _named(n.cause, "no_trades"), breaks)
        self._carry_on_since_breaks(rows, price, v.increase, breaks)
        return np.array([np.bincount(each.cause, minlength=len(CAUSES)) for each in (v, n)])

    def keep_regime(self, rows: Rows, regime: npt.NDArray[np.int8], time: FloatArray) -> None:
        """Remember these codes, each of a regime after the newest sample, of which this is the event time."""
        begun = (regime != self.regime[rows]) | np.isnan(self.regime_since[rows])
        self.regime[rows] = regime
        self.regime_since[rows[begun]] = time[begun]

    def recall(self, rows: Rows, step: FloatArray, grid: FloatArray, votes: IntArray) -> None:
        """Remember what was known of these rows after their newest samples: how long a step is, the tick of their
        grid and how many votes in a row were against it; nan and −1 where that is not known."""
        known = ~np.isnan(step)
        other = rows[known & (step != self.step[rows])]
        self.step[rows[known]] = step[known]
        self.spacing[other] = 2 * self.step[other]
        self._grid.recall(rows, grid, votes)
        self.derive(rows)

    def nothing_traded(
        self,
        rows: Rows,
        price: FloatArray,
        volume: FloatArray,
        trades: FloatArray,
        session: IntArray,
        notes: IntArray,
    ) -> BoolArray:
        """Whose snapshots tell, by their number of trades, that there was none since the newest sample. Arrays as in
        `append`. A number of 0 does not tell, and a snapshot with something to note is a sample."""
        before = self.session_volume[rows]
        same = (trades == self.session_trades[rows]) & (trades > 0) & (price == self.last_price[rows])
        same &= (volume == before) | (np.isnan(volume) & np.isnan(before))
        same &= ((session == 0) | (session == self.session[rows])) & (notes == 0)
        return np.asarray(same)

    def wait(self, rows: Rows, timestamp: FloatArray) -> None:
        """The newest snapshots of `rows` are those of `timestamp`, which are no samples."""
        self.waited[rows] += np.maximum(timestamp - self.last_timestamp[rows], 0.0)
        self.last_timestamp[rows] = timestamp

    def statistics(self, rows: Rows) -> Statistics:
        """The statistics of these windows, in the order of `rows`."""
        samples, newest, sums, since = self.samples[rows], self.newest[rows], self._sums, self._since_break
        used = int(samples.max(initial=0))  # columns
        highest, lowest = self.extremes(rows)
        volume = sums.volume[rows].sum(axis=1)
        comparable, in_profile = self._comparable(rows), volume.copy()
        peak, trough, broken = highest.copy(), lowest.copy(), np.flatnonzero(comparable < samples)
        for whole, kept in ((highest, since.highest), (lowest, since.lowest), (in_profile, since.volume)):
            whole[broken] = kept[rows[broken]]
        v, known_volumes = self.volume[rows, newest] * HEADROOM, samples - self.unknown_volumes[rows]
        continuous = np.maximum(volume - self.auction_volume[rows], 0.0)
        has_first = (samples < self.length) | (self.taken[rows] == samples)
        sigma = np.sqrt(sums.squares[rows].sum(axis=1) / np.maximum(self.known[rows], 1))
        rings = self.price[:, :used], self.volume[:, :used], self.newest
        return Statistics(
            samples=samples,
            nonzero=self.nonzero[rows],
            holes=np.maximum(samples - self.known[rows] - has_first, 0),
            step=self.step[rows],
            price=self.last_price[rows],
            volume=v,
            continuous_volume=np.where(self.auction[rows, newest], np.nan, v),
            mean_continuous_volume=continuous / np.maximum(known_volumes - self.auctions[rows], 1),
            trades=self.trades[rows, newest] * HEADROOM,
            log_return=self.log_return[rows, newest],
            highest=highest,
            lowest=lowest,
            peak=peak,
            trough=trough,
            mean_volume=volume / np.maximum(known_volumes, 1),
            mean_trades=sums.trades[rows].sum(axis=1) / np.maximum(samples - self.unknown_trades[rows], 1),
            sigma=sigma,
            returns_by_bin=self._returns.counts(rows, sigma, self.log_return[:, :used]),
            volume_by_price=self._profile.weights(rows, lowest, highest, in_profile, comparable, rings),
            tick=self.tick(rows),
            snapped=self._grid.snapped[rows],
            notes=self._notes(rows) | self._grid.disobeyed[rows] * BITS["off_tick"],
        )

    def extremes(self, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """The highest and the lowest price in all of each window."""
        return self._sums.highest[rows].max(axis=1), self._sums.lowest[rows].min(axis=1)

    def tick(self, rows: Rows) -> FloatArray:
        """The step of the grid of each window's prices; nan where there is none, or it is not known yet."""
        return self._grid.tick[rows]

    def moves(self, rows: Rows) -> FloatArray:
        """The moves x of these windows in ticks, shape (n, W): 0 where there is none of two ticks or more. Where
        prices have no grid they are returns, in a unit of 2^-60."""
        return moves(self.price[rows], self.log_return[rows], self._grid.tick[rows, np.newaxis])

    def whole(self, rows: Rows) -> PricedMoves:
        """All moves of these windows, shape (n, W)."""
        return PricedMoves(*_before_and_after(self.price[rows], self.log_return[rows]), self.moves(rows))

    def large(self, rows: Rows) -> tuple[PricedMoves, FloatArray]:
        """The moves of these windows above a floor of each, and the floors; 0 where these are all of two ticks or
        more. `largest_moves` must have been asked for these rows."""
        columns, used, floor = self._largest.listed(rows)
        at = rows[:, np.newaxis], columns
        price, log_return = self.price[at], self.log_return[at]
        x = moves(price, log_return, self._grid.tick[rows, np.newaxis])
        return PricedMoves(*_before_and_after(price, log_return), np.where(used, x, 0.0)), floor

    def cheapest(self, rows: Rows) -> FloatArray:
        """The lowest price of each window, and of the one before its oldest."""
        oldest = rows, (self.newest[rows] + 1) % self.length
        before, _ = _before_and_after(self.price[oldest], self.log_return[oldest])
        lowest: FloatArray = np.minimum(self._sums.lowest[rows].min(axis=1), before)
        return lowest

    def largest_moves(self, rows: Rows, number: IntArray) -> tuple[FloatArray, IntArray]:
        """The largest moves of each window in descending order, and how many are as large as the last one needed.

        `number` has the shape of `rows`: for each window, how many are needed. The first so many columns of the
        result are right: 0 where there are not so many of two ticks or more.
        """
        return self._largest.largest(rows, number, self.moves)

    def telling_moves(self, rows: Rows) -> IntArray:
        """How many moves of two ticks or more each window has. `largest_moves` must have been asked for these rows
        since they were derived."""
        return self._largest.number[rows]

    def _replace(
        self, rows: Rows, price: FloatArray, v: FloatArray, n: FloatArray, r: FloatArray, said: SaidOfPrice
    ) -> None:
        """Put the newest sample into the column of the one that leaves, and update all that is derived."""
        in_profile = self._comparable(rows) == self.length
        column = (self.newest[rows] + 1) % self.length
        at = rows, column
        old_price, old_v, old_n, old_r = (ring[at] for ring in self._rings())

        self._price[at], self._volume[at], self._trades[at], self._log_return[at] = price, v, n, r
        self.newest[rows] = column
        self.samples[rows] = np.minimum(self.samples[rows] + 1, self.length)
        self.taken[rows] += 1

        self.known[rows] += (~np.isnan(r)).astype(np.int64) - ~np.isnan(old_r)
        self.nonzero[rows] += (np.abs(r) > 0).astype(np.int64) - (np.abs(old_r) > 0)
        self.unknown_volumes[rows] += np.isnan(v).astype(np.int64) - np.isnan(old_v)
        self.unknown_trades[rows] += np.isnan(n).astype(np.int64) - np.isnan(old_n)
        self._sums.read(rows, column, *self._rings())
        self._returns.replace(rows, column, old_r, r)
        self._profile.replace(rows, column, (old_price, old_v, in_profile), (price, v))
        self._move(rows, column, (PriceAndReturn(old_price, old_r), PriceAndReturn(price, r)), said)

    def _note_auctions(self, rows: Rows, auction: BoolArray) -> None:
        """Remember which of the newest samples are of auctions, in the columns of those that have left."""
        at = rows, self.newest[rows]
        changed = rows[auction | self._auction[at]]
        if len(changed):
            self._auction[at] = auction
            self._sum_auctions(changed)

    def _sum_auctions(self, rows: Rows) -> None:
        """Compute `auctions` and `auction_volume` of these rows from their rings."""
        volume = np.where(self.auction[rows], self.volume[rows], np.nan)
        self.auctions[rows] = np.count_nonzero(~np.isnan(volume), axis=1)
        self.auction_volume[rows] = np.nansum(volume * HEADROOM, axis=1)

    def _move(
        self, rows: Rows, column: IntArray, samples: tuple[PriceAndReturn, PriceAndReturn], said: SaidOfPrice
    ) -> None:
        """Update the grid, and the largest moves on it. `samples`: those that leave, and those that enter."""
        before = self._grid.tick[rows]
        ticks = self._grid.replace(rows, column, *samples, said, self._prices_and_returns())
        tick = self._grid.tick[rows]
        pairs = zip(ticks, samples, strict=True)
        leaving, entering = (large_moves(x, sample.log_return, tick) for x, sample in pairs)
        self._largest.replace(rows, column, leaving, entering)
        self.tails.replace(rows, leaving, entering)
        other = rows[(tick != before) & ~(np.isnan(tick) & np.isnan(before))]
        if len(other):  # all of its moves are other ones
            self._largest.forget(other)
            self.tails.forget(other)

    def _apart(self, rows: Rows, timestamp: FloatArray, event_time: FloatArray | None) -> FloatArray:
        """How many seconds of event time lie between these samples and the rows' newest, before they are added: those
        between the timestamps where it is not stated of both. Below 0 where the market's time has begun anew."""
        apart = timestamp - self.last_timestamp[rows] + self.waited[rows]
        stated = np.full(len(rows), np.nan) if event_time is None else event_time
        of_market = stated - self.event_time[rows]
        self.event_time[rows] = stated
        return np.where(np.isnan(of_market), apart, of_market)

    def _begun(self, rows: Rows, session: IntArray) -> BoolArray:
        """Where another session is stated than the one that was stated last, which is then remembered."""
        before = self.session[rows]
        self.session[rows] = np.where(session == 0, before, session)
        return np.asarray((session != 0) & (before != 0) & (session != before))

    def _breaks(self, rows: Rows, price: FloatArray, apart: BoolArray, said: IntArray) -> BoolArray:
        """Where prices cannot be compared with those before: where the feed begins to say so, and where a gap or the
        end of a session (`apart`) lies between and the ratio is a split's."""
        breaks = np.asarray((said & ~self.tick_notes[rows] & BREAK) != 0)
        breaks[apart] |= is_split(price[apart], self.last_price[rows[apart]])
        return breaks

    def _carry_on_since_breaks(self, rows: Rows, price: FloatArray, v: FloatArray, breaks: BoolArray) -> None:
        """Take these newest samples into what is kept since breaks. `breaks`: which of them are some."""
        if breaks.any():
            self._since_break.begin(rows[breaks], price[breaks])
            self._profile.forget(rows[breaks])
        broken = np.flatnonzero(self._broken(rows))
        self._since_break.add(rows[broken], price[broken], v[broken])

    def _broken(self, rows: Rows) -> BoolArray:
        """Which of these windows have a break."""
        return np.asarray(self.noted_until[rows, BREAK_COLUMN] > self.taken[rows])

    def _comparable(self, rows: Rows) -> IntArray:
        """How many of each window's samples have prices that can be compared: all, or those since its newest break,
        which is noted until so many samples have followed as a window holds."""
        since = self.taken[rows] - self.noted_until[rows, BREAK_COLUMN] + self.length + 1
        return np.asarray(np.minimum(self.samples[rows], since))

    def _holes(
        self,
        rows: Rows,
        first: BoolArray,
        timestamp: FloatArray,
        event_time: FloatArray | None,
        interval: FloatArray | None,
    ) -> tuple[BoolArray, BoolArray]:
        """Whether a hole lies between a sample and the one before it, and whether that is a gap. How long a step is
        then is remembered."""
        apart = self._apart(rows, timestamp, event_time)
        apart[first] = 0.0
        spacing, step = followed(self.spacing[rows], self.step[rows], apart, self.taken[rows] < YOUNG)
        if interval is not None:
            told = ~np.isnan(interval)
            step[told] = np.minimum(interval[told], LONGEST_STEP)
            spacing[told] = 2 * step[told]
        self.spacing[rows], self.step[rows], self.waited[rows] = spacing, step, 0.0
        back = apart < 0
        return is_hole(apart, step) | back, (apart > GAP * step) | back

    def _difference(self, rows: Rows, name: str, value: FloatArray, flags: tuple[BoolArray, ...]) -> Difference:
        """What these counters tell, before the samples are added. What turns out to have been told wrongly is
        forgotten. `flags`: whether a sample is the row's first, comes after a hole, after a gap, begins a session."""
        session, score, fell_from = (getattr(self, f"{kept}_{name}") for kept in ("session", "score", "fell_from"))
        ring: FloatArray = getattr(self, name)
        first, hole, gap, begun = flags
        previous, state = np.where(first, value, session[rows]), CounterState(score[rows], fell_from[rows])
        gap = gap | (hole & (value < previous / 2))  # a session may have begun within it
        found = difference(value, previous, lambda: ring[rows, self.newest[rows]], state, gap, begun)

        rolling, mistaken = rows[(found.state.score >= ROLLS) & (state.score < ROLLS)], rows[found.taken_back]
        session[rows], score[rows], fell_from[rows] = value, *found.state
        ring[mistaken, self.newest[mistaken]] = np.nan
        if len(rolling):  # none of its differences was one
            ring[rolling] = np.where(np.arange(self.length) < self.samples[rolling, np.newaxis], np.nan, 0.0)
        if len(rolling) or len(mistaken):
            self.derive(np.union1d(rolling, mistaken))
        return found

    def _jumped(self, rows: Rows, r: FloatArray) -> BoolArray:
        """Whose newest return, `r`, is a jump beside the window's other returns."""
        square, others = r * r, self.known[rows] - 1
        # The returns in its own block are some of the others, so few rows are left to sum.
        least = self._sums.squares[rows, self.newest[rows] // BLOCK] - square
        jumped = np.asarray((others >= JUMP_RETURNS) & (square * others > JUMP**2 * least))
        total = self._sums.squares[rows[jumped]].sum(axis=1)
        jumped[jumped] = (square * others)[jumped] > JUMP**2 * np.maximum(total - square[jumped], 0.0)
        return jumped

    def _note(self, rows: Rows, bits: IntArray, breaks: BoolArray) -> None:
        """Remember what is true of the newest samples. A break that the feed goes on to state is still the same."""
        self.tick_notes[rows] = bits & (TICK_BITS | BREAK)
        bits = np.where(breaks, bits | BREAK, bits & ~BREAK)
        for place, bit in enumerate(LASTING_BITS if (bits & ~TICK_BITS).any() else ()):
            noted = rows[(bits & bit) != 0]
            self.noted_until[noted, place] = self.all_noted_until[noted] = self.taken[noted] + self.length

    def _notes(self, rows: Rows) -> IntArray:
        notes: IntArray = self.tick_notes[rows]
        noted = np.flatnonzero(self.all_noted_until[rows] > self.taken[rows])
        lasting = self.noted_until[rows[noted]] > self.taken[rows[noted], np.newaxis]
        notes[noted] |= lasting @ LASTING_BITS
        return notes

    def _forget(self, rows: int | Rows) -> None:
        for kept in (self._returns, self._largest, self._profile, self.tails):
            kept.forget(rows)

    def _prices_and_returns(self) -> Rings:
        return Rings(self._price, self._log_return, self.samples, self.newest, self.nonzero)

    def _rings(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        return self._price, self._volume, self._trades, self._log_return


_NAMES = {SESSION: "session", OVERFLOW: "overflow", CORRECTION: "correction", ROLLING: "rolling"}


def _named(cause: CauseArray, missing: str) -> IntArray:
    """The bit of the word for each cause that has one; `missing` is the word where the counter is missing."""
    bits = np.zeros(len(CAUSES), np.int64)
    for code, word in ({MISSING: missing} | _NAMES).items():
        bits[code] = BITS[word]
    named: IntArray = bits[cause]
    return named


def _before_and_after(price: FloatArray, log_return: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The prices between which the moves to `price` lie."""
    with np.errstate(over="ignore"):
        return price * np.exp(-np.nan_to_num(log_return, nan=0.0)), price


def _log_ratio(price: FloatArray, previous: FloatArray) -> FloatArray:
    """r = ln(p_i / p_{i-1}), as exact where the ratio is nearly 1, of which a float has few digits left, and also
    where the ratio is too large or too small for a float (1e300 after 1e-300)."""
    with np.errstate(over="ignore"):
        change = (price - previous) / previous
    far = (change < -0.5) | (change > 1e300)
    change[far] = 0.0
    r: FloatArray = np.log1p(change)
    r[far] = np.log(price[far]) - np.log(previous[far])
    return r
