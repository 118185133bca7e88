"""Samples, and what each says against the one before it: V, N, r and the words of `notes`, in plain Python."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from cottage.reference.plain_counter import PlainCounter
from cottage.reference.plain_spacing import Spacing, follow_steps

TOLERANCE = Fraction(1, 10**9)


class PlainSample(NamedTuple):
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
    auction: bool = False
    """Whether its `notes` have the word `auction`."""
    words: frozenset[str] = frozenset()
    """The other words of cottage/notes.py that its `notes` have."""


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
    auction: bool = False
    """Whether it is of an auction."""

    @property
    def breaks(self) -> bool:
        """Whether prices from here on cannot be compared with those before."""
        return "break" in self.words


def apart(now: PlainSample, before: PlainSample) -> float:
    """How many seconds a sample lies behind the one before it."""
    if now.event_time is not None and before.event_time is not None:
        return now.event_time - before.event_time
    return now.timestamp - before.timestamp


def steps_of(samples: Sequence[PlainSample]) -> list[float]:
    """The step after each of these samples, of which the first begins a window."""
    pairs = zip(samples, [samples[0], *samples], strict=False)
    distances = [(apart(now, before), now.interval) for now, before in pairs]
    return follow_steps(distances, [None] * len(samples), [Spacing()], 0, slack=0.0).steps


def nothing_traded(now: PlainSample, before: PlainSample, session: int) -> bool:
    """Whether a snapshot tells, by its number of trades, that there was none since the sample before: it is no
    sample then. `session`: the mark that was stated last."""
    said = now.states_break or now.mid or now.auction or now.words
    same = (now.trades, now.price, now.volume) == (before.trades, before.price, before.volume)
    return bool(now.trades) and same and now.session in (0, session) and not said


def increments(
    samples: Sequence[PlainSample], window: int = 1000, steps: Sequence[float] | None = None
) -> list[Increment]:
    """V_i, N_i and r_i of every sample, and what is to be said of it. The first one begins a window, and what it
    says is against nothing. `steps`: how long a step is at each, where that is known otherwise."""
    known = steps_of(samples) if steps is None else steps
    pairs = zip(samples, [samples[0], *samples], known, strict=False)
    flow = _Flow(window)
    for now, before, step in pairs:
        flow.add(now, before, step)
    return flow.result


class _Flow:
    """What has been told of the samples so far."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.volume, self.trades = PlainCounter("volume"), PlainCounter("trades")
        self.session = 0
        self.result: list[Increment] = []

    def add(self, now: PlainSample, before: PlainSample, step: float) -> None:
        """Take a sample."""
        first = not self.result
        seconds = 0.0 if first else apart(now, before)
        hole = seconds < 0 or seconds >= 3.5 * step
        gap = seconds < 0 or seconds > 60 * step
        anew = 0 not in (now.session, self.session) and now.session != self.session
        breaks = now.states_break and not (before.states_break and not first)
        breaks |= (gap or anew) and is_split(now.price, before.price)
        if now.lost and not first:
            hole = gap = True
        self.session = now.session or self.session
        v, n, causes = self.traded(now, before, (hole, gap or (breaks and not first), anew))
        log_return = None if first or hole or breaks else log_ratio(now.price, before.price)
        # For the counters a break is like a gap, and has its own word.
        said = {why for why in causes if why and why != "gap"} | ({"gap"} if gap else set()) | now.words
        nearly_double = not first and max(now.price, before.price) / 1.8 >= min(now.price, before.price)
        if breaks:
            said.add("break")
        elif nearly_double:
            said.add("jump")
        if is_jump(log_return, self.result[max(0, len(self.result) - self.window + 1) :]):
            said.add("jump")
        increment = Increment(now.price, v, n, log_return, frozenset(said - {"no_volume", "no_trades"}))
        increment = increment._replace(of_the_tick=of_the_tick(now, said), hole=not first and log_return is None)
        before_it = None if log_return is None else before.price
        increment = increment._replace(before=before_it, stated_tick=now.tick, step=step)
        self.result.append(increment._replace(mid=now.mid, auction=now.auction))

    def traded(
        self, now: PlainSample, before: PlainSample, flags: tuple[bool, bool, bool]
    ) -> tuple[float | None, float | None, tuple[str | None, str | None]]:
        """V and N, and why they are unknown. `flags`: whether a hole lies between, and a gap, and whether a session
        begins."""
        scores = self.volume.score, self.trades.score
        v, why_v = self.volume.difference(now.volume, before.volume, *flags)
        n, why_n = self.trades.difference(now.trades, before.trades, *flags)
        # A value that was a mistake told nothing, and a counter that turns out to be a rolling figure never did.
        of_volume, of_trades = (
            0 if score < 40 <= counter.score else len(self.result) - counter.taken_back
            for counter, score in zip((self.volume, self.trades), scores, strict=True)
        )
        self.result[of_volume:] = [i._replace(volume=None) for i in self.result[of_volume:]]
        self.result[of_trades:] = [i._replace(trades=None) for i in self.result[of_trades:]]
        return v, n, (why_v, why_n)


def of_the_tick(now: PlainSample, said: set[str]) -> frozenset[str]:
    """The words that are true of a sample while it is the newest."""
    flags = {"break": now.states_break, "mid": now.mid, "auction": now.auction}
    return frozenset(said & {"no_volume", "no_trades"} | {word for word, is_so in flags.items() if is_so})


def log_ratio(price: float, previous: float) -> float:
    """ln(price / previous), also where the ratio itself is beyond a float, or so near 1 that one does not hold it."""
    if 0.5 < price / previous < 1e300:
        return math.log1p((Fraction(price) - Fraction(previous)) / Fraction(previous))
    return math.log(price) - math.log(previous)


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


def returns(window: Sequence[Increment]) -> list[float]:
    """The returns that there are."""
    return [i.log_return for i in window if i.log_return is not None]


def sigma(window: Sequence[Increment]) -> float:
    """Root mean square of the returns, 0 if there are none."""
    return root_mean_square(returns(window))


def root_mean_square(values: Sequence[float]) -> float:
    """0 if there are none."""
    return math.sqrt(math.fsum([x * x for x in values]) / len(values)) if values else 0.0
