"""The physics vector in plain Python, from its definitions alone: loops, `math`, exact fractions, no numpy.

It is slow, and meant to be read beside the definitions and the kernel. Prices and volumes are computed with
as fractions, so that no overflow, cancellation or order of summation of its own stands between it and the
definition; logarithms and roots are floats, summed with `fsum`.
"""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from tests import reference_tail
from tests.reference_tick import Found, Price, TickGrid, nearest_tick

TOLERANCE = Fraction(1, 10**9)


class Sample(NamedTuple):
    """What a snapshot says: epoch seconds, price, and volume and trades cumulative over the session; None where it
    does not say, infinite where the number is too great."""

    timestamp: float
    price: float
    volume: float | None
    trades: float | None
    session: int = 0
    """The mark of the session; 0 if none is stated."""
    tick: float | None = None
    """The tick that is stated."""
    states_break: bool = False
    """Whether its `notes` have the word `break`."""
    event_time: float | None = None
    """The market's own time, where that is stated."""
    interval: float | None = None
    """How many seconds a bar lasts, where that is stated."""
    lost: bool = False
    """Whether there were samples before it that nobody has."""
    mid: bool = False
    """Whether its `notes` have the word `mid`."""


class Increment(NamedTuple):
    """A sample against the one before it: V, N and r, where they are known."""

    price: float
    volume: float | None
    trades: float | None
    log_return: float | None
    words: frozenset[str] = frozenset()
    """What is to be said of it as long as it is in the window."""
    of_the_tick: frozenset[str] = frozenset()
    """What is to be said of it while it is the newest."""
    before: float | None = None
    """The price that its return is since."""
    stated_tick: float | None = None
    step: float = 1.0
    """How long a step is then, in seconds."""
    hole: bool = False
    """Whether it is not the first and has no return."""
    mid: bool = False
    """Whether the price is the middle of bid and ask."""

    @property
    def breaks(self) -> bool:
        """Whether prices from here on cannot be compared with those before."""
        return "break" in self.words


class Vector(NamedTuple):
    """The five pillars, the tail index and what they stand on."""

    mass: float
    momentum: float
    friction: float
    entropy: float
    nash_dist: float
    alpha_coefficient: float
    alpha_low: float
    alpha_high: float
    regime: str
    samples: int
    nonzero: int
    void: frozenset[str]
    """The pillars whose 0 is no measurement."""
    notes: frozenset[str]
    step: float = 1.0
    holes: int = 0
    snapped: int = 0


def log_ratio(price: float, previous: float) -> float:
    """ln(price / previous), also where the ratio itself is beyond a float, or so near 1 that one does not hold it."""
    if 0.5 < price / previous < 1e300:
        return math.log1p((Fraction(price) - Fraction(previous)) / Fraction(previous))
    return math.log(price) - math.log(previous)


class Counter:
    """Volume or trades, cumulative over the session, from sample to sample."""

    def __init__(self, field: str) -> None:
        self.missing = f"no_{field}"
        self.score = 0
        self.fell_from = 0.0
        """From where it fell by more than half, until it is back there; 0 if it did not."""
        self.newest: float | None = None
        """The newest difference."""
        self.taken_back = False
        """Whether the value before the newest was a mistake."""

    def difference(
        self, value: float | None, previous: float | None, hole: bool, gap: bool, session: bool
    ) -> tuple[float | None, str | None]:
        """What was traded since the sample before, or None and why it is unknown."""
        self.taken_back = False
        fell_from = self.fell_from
        if hole and value is not None and previous is not None and value < previous / 2:
            gap = True
        if session:
            self.score = 0
        if session or gap or (value is not None and value >= fell_from):
            self.fell_from = 0.0
        if value is None or previous is None:
            cause = self.missing
        elif math.isinf(value) or math.isinf(previous):
            cause = "overflow"
        elif session or (gap and value < previous / 2):
            cause = "session"
        elif gap:
            cause = "gap"
        elif any(
            0.9 * 2**bits <= previous <= 2**bits and value < (1 - 0.9) * 2**bits for bits in (31, 32, 53, 63, 64)
        ):
            cause = "overflow"
        else:
            return self.of_one_counter(value, previous, fell_from)
        return self.told(None, cause)

    def of_one_counter(self, value: float, previous: float, fell_from: float) -> tuple[float | None, str | None]:
        """The same, where both are of one counter that did not wrap."""
        if value > previous:
            if fell_from > 0 and value >= fell_from / 2 and value > 2 * previous:
                self.fell_from = 0.0
                return self.told(None, "correction")
            self.score = max(0, self.score - 1)
        if value >= previous:
            return self.told(value - previous, None)
        self.score += 16
        if self.score >= 40:
            self.score = 200
        if value < previous / 2:
            self.taken_back = self.newest is not None and value >= previous - self.newest
            if not self.taken_back:
                self.fell_from = max(self.fell_from, previous)
        return self.told(None, "correction")

    def told(self, increase: float | None, cause: str | None) -> tuple[float | None, str | None]:
        """A rolling figure tells nothing, whether it rises or falls."""
        if self.score >= 40 and cause in (None, "correction"):
            increase, cause = None, "rolling"
        self.newest = increase
        return increase, cause


class Spacing:
    """How far samples lie apart, and how long a step is, from sample to sample."""

    def __init__(self) -> None:
        self.median = 2.0
        self.step = 1.0
        self.samples = 0

    def after(self, now: Sample, before: Sample) -> float:
        """How many seconds `now` lies behind the sample before it; 0 for the first one."""
        if now.event_time is not None and before.event_time is not None:
            apart = now.event_time - before.event_time
        else:
            apart = now.timestamp - before.timestamp
        factor = 2 ** (1 / 8) if self.samples < 64 else 2 ** (1 / 64)
        self.median = max(2.0, self.median * factor if apart > self.median else self.median / factor)
        if self.median / 2 >= 1.5 * self.step or self.median / 2 <= self.step / 1.5:
            self.step = float(math.floor(self.median / 2 + 0.5))
        if now.interval is not None:
            self.step = now.interval
            self.median = 2 * now.interval
        self.samples += 1
        return apart


def increments(samples: Sequence[Sample], window: int = 1000) -> list[Increment]:
    """V_i, N_i and r_i of every sample, and what is to be said of it."""
    spacing = Spacing()
    volume, trades = Counter("volume"), Counter("trades")
    result: list[Increment] = []
    session = 0
    for now, before in zip(samples, [samples[0], *samples], strict=False):
        seconds = spacing.after(now, before)
        hole = seconds < 0 or seconds >= 3.5 * spacing.step
        gap = seconds < 0 or seconds > 60 * spacing.step
        anew = 0 not in (now.session, session) and now.session != session
        breaks = now.states_break and not (result and before.states_break)
        breaks |= (gap or anew) and is_split(now.price, before.price)
        if now.lost and result:
            hole = gap = True
        apart = gap or (breaks and bool(result))
        session = now.session or session
        scores = volume.score, trades.score
        v, why_v = volume.difference(now.volume, before.volume, hole, apart, anew)
        n, why_n = trades.difference(now.trades, before.trades, hole, apart, anew)
        log_return = log_ratio(now.price, before.price) if result and not (hole or breaks) else None
        # A value that was a mistake told nothing, and a counter that turns out to be a rolling figure never did.
        for counter, score in zip((volume, trades), scores, strict=True):
            from_which = 0 if score < 40 <= counter.score else len(result) - counter.taken_back
            result[from_which:] = [
                i._replace(volume=None) if counter is volume else i._replace(trades=None) for i in result[from_which:]
            ]
        # For the counters a break is like a gap, and has its own word.
        said = {why for why in (why_v, why_n) if why and why != "gap"} | ({"gap"} if gap else set())
        nearly_double = bool(result) and max(now.price, before.price) / 1.8 >= min(now.price, before.price)
        if breaks:
            said.add("break")
        elif nearly_double:
            said.add("jump")
        if is_jump(log_return, result[len(result) - window + 1 :] if len(result) >= window else result):
            said.add("jump")
        before_it = None if log_return is None else before.price
        of_the_tick = said & {"no_volume", "no_trades"} | ({"break"} if now.states_break else set())
        of_the_tick |= {"mid"} if now.mid else set()
        words = frozenset(said - {"no_volume", "no_trades"}), frozenset(of_the_tick)
        result.append(
            Increment(
                now.price,
                v,
                n,
                log_return,
                *words,
                before_it,
                now.tick,
                spacing.step,
                bool(result) and log_return is None,
                now.mid,
            )
        )
    return result


def is_split(price: float, before: float) -> bool:
    """Whether a ratio of prices is within half a per cent of a split's."""
    ratio = Fraction(max(price, before)) / Fraction(min(price, before))
    usual = [Fraction(n) for n in (2, 3, 4, 5, 8, 10, 15, 20)] + [Fraction(n + 1, n) for n in (2, 3, 4)]
    return any(abs(ratio / split - 1) <= Fraction(1, 200) + TOLERANCE for split in usual)


def is_jump(log_return: float | None, others: Sequence[Increment]) -> bool:
    """Above 20 times the root mean square of the other returns in the window, 20 at least."""
    if log_return is None:
        return False
    r = returns(others)
    return len(r) >= 20 and abs(log_return) > 20 * root_mean_square(r)


def vector(samples: Sequence[Sample], window: int = 1000) -> Vector:
    """The vector after the newest of `samples` (one at least, timestamps rising), over the last `window`."""
    every = increments(samples, window)
    return vector_of_increments(every[-window:], grids(every, window)[-1]())


def vector_of_increments(last: Sequence[Increment], grid: Found) -> Vector:
    """The vector over these increments of a window with this grid, one at least."""
    said = tail(last, grid)
    disobeyed = {"off_tick"} if grid.disobeyed else set()
    return Vector(
        mass=float(mass(last)),
        momentum=momentum(last),
        friction=float(friction(last)),
        entropy=entropy(last),
        nash_dist=float(nash_dist(last)),
        alpha_coefficient=said.alpha,
        alpha_low=said.low,
        alpha_high=said.high,
        regime=regimes([said])[0],
        samples=len(last),
        nonzero=said.nonzero,
        void=void(last),
        notes=frozenset().union(last[-1].of_the_tick, disobeyed, *(i.words for i in last)),
        step=last[-1].step,
        holes=sum(i.hole for i in last),
        snapped=grid.snapped,
    )


def grids(every: Sequence[Increment], window: int) -> list[Callable[[], Found]]:
    """For each of these increments, what finds the grid of the window that it is the newest of."""
    grid = TickGrid(window)
    found = []
    for i in every:
        grid.see(Price(i.price, i.before, i.mid), i.stated_tick)
        found.append(copy.copy(grid).found)
    return found


def void(window: Sequence[Increment]) -> frozenset[str]:
    """The pillars whose definition divides 0 by 0, or takes what is unknown."""
    names = set()
    newest = window[-1]
    flat, still = low_and_range(window)[1] == 0, sigma(window) == 0
    if flat or newest.volume is None or newest.volume + known_mean(i.volume for i in window) == 0:
        names.add("mass")
    if "mass" in names or still or newest.log_return is None:
        names.add("momentum")
    if not newest.volume or newest.trades is None or known_mean(i.trades for i in window) == 0:
        names.add("friction")
    if still:
        names.add("entropy")
    if flat:
        names.add("nash_dist")
    return frozenset(names)


def returns(window: Sequence[Increment]) -> list[float]:
    """The returns that there are."""
    return [i.log_return for i in window if i.log_return is not None]


def sigma(window: Sequence[Increment]) -> float:
    """Root mean square of the returns, 0 if there are none."""
    return root_mean_square(returns(window))


def root_mean_square(values: Sequence[float]) -> float:
    """0 if there are none."""
    return math.sqrt(math.fsum([x * x for x in values]) / len(values)) if values else 0.0


def since_break(window: Sequence[Increment]) -> Sequence[Increment]:
    """Those whose prices can be compared with the newest: all, or those since the newest break."""
    return window[max((place for place, i in enumerate(window) if i.breaks), default=0) :]


def low_and_range(window: Sequence[Increment]) -> tuple[Fraction, Fraction]:
    """lo and hi − lo."""
    prices = [Fraction(i.price) for i in since_break(window)]
    return min(prices), max(prices) - min(prices)


def known_mean(values: Iterable[float | None]) -> Fraction:
    """The arithmetic mean of those that are known, 0 if none is."""
    known = [Fraction(value) for value in values if value is not None]
    return sum(known, Fraction(0)) / max(len(known), 1)


def mass(window: Sequence[Increment]) -> Fraction:
    """abs(CLV) · V / (V + V̄), CLV = (2p − hi − lo) / (hi − lo)."""
    lo, span = low_and_range(window)
    hi = lo + span
    p, volume = Fraction(window[-1].price), Fraction(window[-1].volume or 0)
    if span == 0 or volume == 0:
        return Fraction(0)
    mean_volume = known_mean(i.volume for i in window)
    clv = (2 * p - hi - lo) / span
    return abs(clv) * volume / (volume + mean_volume)


def momentum(window: Sequence[Increment]) -> float:
    """mass · r / σ."""
    scale = sigma(window)
    if scale == 0:
        return 0.0
    return float(mass(window)) * (window[-1].log_return or 0.0) / scale


def friction(window: Sequence[Increment]) -> Fraction:
    """f / (f + f̄), f = N / V."""
    volume, trades = Fraction(window[-1].volume or 0), Fraction(window[-1].trades or 0)
    if volume == 0 or trades == 0:
        return Fraction(0)
    mean_volume = known_mean(i.volume for i in window)
    mean_trades = known_mean(i.trades for i in window)
    f = trades / volume
    usual = mean_trades / mean_volume
    return f / (f + usual)


def return_positions(window: Sequence[Increment]) -> list[float]:
    """Where each return lies among the 32 bins, the 1e-9 included; whole numbers are the edges."""
    scale = sigma(window)
    return [(r / scale + 4) * 4 + 1e-9 for r in returns(window)]


def entropy(window: Sequence[Increment]) -> float:
    """Shannon's, of the returns over 32 bins, as a part of the most that there can be."""
    if sigma(window) == 0:
        return 0.0
    counts = [0] * 32
    for position in return_positions(window):
        counts[held(math.floor(position))] += 1
    shares = [count / sum(counts) for count in counts if count]
    return abs(math.fsum(share * math.log(share) for share in shares)) / math.log(32)


def price_positions(window: Sequence[Increment]) -> list[Fraction]:
    """Where each price lies among the 32 bins, the 1e-9 included; whole numbers are the edges."""
    lo, span = low_and_range(window)
    return [(Fraction(i.price) - lo) / span * 32 + TOLERANCE for i in since_break(window)]


def volume_by_price(window: Sequence[Increment]) -> list[Fraction]:
    """The weight of each of the 32 bins."""
    weights = [Fraction(i.volume or 0) for i in since_break(window)]
    if sum(weights) == 0:
        weights = [Fraction(1)] * len(weights)
    profile = [Fraction(0)] * 32
    for position, weight in zip(price_positions(window), weights, strict=True):
        profile[held(math.floor(position))] += weight
    return profile


def nash_dist(window: Sequence[Increment]) -> Fraction:
    """abs(p − mode) / (hi − lo).

    Of two heaviest bins as near to p, one on either side, the lower is the mode: the distance is the same.
    """
    lo, span = low_and_range(window)
    if span == 0:
        return Fraction(0)
    p = Fraction(window[-1].price)
    profile = volume_by_price(window)
    heaviest = max(profile)
    distances = []
    for index, weight in enumerate(profile):
        if weight >= heaviest * (1 - TOLERANCE):
            middle = lo + (index + Fraction(1, 2)) / 32 * span
            distances.append(abs(p - middle) / span)
    return min(distances)


def hill(x: Sequence[float]) -> tuple[float, float, float]:
    """Hill's α of these absolute returns, and where f(a) = k ln a − a Σ ln(x_i / x_{k+1}) is near its greatest.

    Whether some of them are equal is of no account.
    """
    k = max(10, math.ceil(len(x) / 20))
    *largest, threshold = sorted(x, reverse=True)[: k + 1]
    total = math.fsum(math.log(each / threshold) for each in largest)
    alpha = 10.0 if total == 0 else min(10.0, max(0.5, k / total))
    drop = 2.705543454095404 / 2
    few = (math.log(10) - drop) * math.exp(-k)

    def end(outside: float, drop: float) -> float:
        least, inside = k * math.log(alpha) - alpha * total - drop, alpha
        for _halving in range(100):
            middle = (inside + outside) / 2
            if k * math.log(middle) - middle * total >= least:
                inside = middle
            else:
                outside = middle
        return inside

    return alpha, end(0.5, drop + few), end(10.0, drop)


def moves_of(window: Sequence[Increment], tick: Fraction) -> tuple[list[int], list[Fraction] | None]:
    """The moves in ticks, and the scale of each; None where that is 1."""
    pairs = [(i.before, i.price) for i in window if i.before is not None]
    moves = [abs(nearest_tick(after, tick) - nearest_tick(before, tick)) for before, after in pairs]
    lowest, highest = min(i.price for i in window), max(i.price for i in window)
    if highest <= lowest * math.exp(0.1):
        return moves, None
    middle = math.sqrt(lowest) * math.sqrt(highest)
    return moves, [own_scale(*pair, middle) for pair in pairs]


def own_scale(before: float, after: float, middle: float) -> Fraction:
    """The price of a move by the middle of its window's; as far as it is within 5 % of it, 1."""
    price = before if after == before else (after - before) / math.log(after / before)
    away = math.log(price / middle)
    return Fraction(math.exp(away - min(0.05, max(-0.05, away))))


def plain_regime(alpha: float) -> str:
    """What a tail index means."""
    if alpha > 2:
        return "Gaussian"
    if alpha > 1.5:
        return "Lévy Stable"
    return "Critical"


class Tail(NamedTuple):
    """What a window says of its tail after a sample."""

    alpha: float
    low: float
    high: float
    nonzero: int
    telling: bool = True
    """Whether enough of its moves can speak of a tail."""


def kept_regimes(samples: Sequence[Sample], window: int = 1000) -> list[str]:
    """The regime after each of `samples`, over the last `window` each."""
    return regimes(tails(samples, window))


def tails(samples: Sequence[Sample], window: int = 1000) -> list[Tail]:
    """What the last `window` of samples say of their tail, after each of them."""
    every = increments(samples, window)
    found = grids(every, window)
    return [tail(every[max(0, end - window) : end], found[end - 1]()) for end in range(1, len(every) + 1)]


def tail(window: Sequence[Increment], grid: Found) -> Tail:
    """What a window with this grid says of its tail."""
    m = sum(1 for i in window if i.log_return)
    if m < 64:
        return Tail(2.5, 0.5, 10.0, m)
    if grid.tick is None:
        return Tail(*hill([abs(r) for r in returns(window) if r]), m)
    moves, scale = moves_of(window, grid.tick)
    found = reference_tail.tail_index(moves, scale, m)
    return Tail(*found, m, telling=sum(1 for x in moves if x >= 2) >= 10)


def regimes(tails: Iterable[Tail]) -> list[str]:
    """The regime after each sample of a window that begins with the first."""
    heaviest_first = ["Critical", "Lévy Stable", "Gaussian"]
    kept = "WAIT"
    result = []
    for tail in tails:
        if tail.nonzero < 64:
            kept = "WAIT"
        elif tail.telling and kept == "WAIT":
            kept = plain_regime(tail.alpha)
        elif tail.telling:
            at_least = plain_regime(tail.low)
            at_most = plain_regime(tail.alpha + (tail.high - tail.alpha) / 5)
            while heaviest_first.index(kept) < heaviest_first.index(at_least):
                kept = heaviest_first[heaviest_first.index(kept) + 1]
            while heaviest_first.index(kept) > heaviest_first.index(at_most):
                kept = heaviest_first[heaviest_first.index(kept) - 1]
        result.append(kept)
    return result


def held(index: int) -> int:
    """Within 0 … 31."""
    return min(31, max(0, index))
