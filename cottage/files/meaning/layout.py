"""Which field each column of a file without names is, told by its numbers. A file that two readings fit is refused.

High and low are told by their range, on all rows looked at; open and close by continuity, since a bar opens where the
one before it closed; bid and ask by their order; a price among other numbers by how little it moves.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, permutations

from cottage.errors import UnusableSource
from cottage.files.cell_table import Ambiguous, Guess
from cottage.files.columns import BID_BARS, OPEN_TO_CLOSE, Roles
from cottage.files.meaning.sample import Excerpt, middle, positive

CONTINUITY = 10.0
"""Open and close are told if |open − previous close| is so many times smaller one way than the other; a price is told
from a size if it moves so many times less."""
_NEAR = 0.02
"""Two prices of one moment differ by less than this share of them."""
_MAY_BREAK = 1000
"""One row in so many may break a rule: a bad print does not change what the columns are."""
_FEWEST = 3
_FEWEST_IDS = 10
"""So many steps up, and none down, are no price's."""
_CALM = 0.02
"""A price moves less than this share of itself from trade to trade, at the median."""

Column = Sequence[float]


def roles_by_numbers(sample: Excerpt, taken: Roles, groups: Sequence[Sequence[int]]) -> Roles:
    """The fields of the columns that `taken` (time, symbol) does not have. `groups` are the rows of each symbol,
    oldest first. Raises Ambiguous, or UnusableSource if no reading fits."""
    used = set(taken.values())
    numeric = {
        place: values
        for place in range(sample.width)
        if place not in used and (values := sample.numbers(place)) is not None and any(values)
    }
    roles = _bars(sample, taken, numeric, groups) or _trades_or_quotes(sample, taken, numeric, groups)
    if roles is None:
        raise UnusableSource(
            f"{sample.name}: no names, and no reading fits its numbers, such as {sample.first_line()}: state its "
            "columns, FORMAT=time,price,size or FORMAT=time,open,high,low,close,volume"
        )
    return taken | roles


# ---- bars


def _bars(
    sample: Excerpt, known: Roles, numeric: Mapping[int, Column], groups: Sequence[Sequence[int]]
) -> Roles | None:
    for first in sorted(numeric):
        places = range(first, first + 4)
        if all(place in numeric for place in places) and (ends := _high_and_low(numeric, places)):
            high, low = ends
            one, other = (place for place in places if place not in ends)
            opened, closed = _open_and_close(sample, known | {"high": high, "low": low}, numeric, groups, one, other)
            roles = dict(zip(OPEN_TO_CLOSE, (opened, high, low, closed), strict=True))
            if asks := _ask_bars(numeric, roles):
                return dict(zip(BID_BARS, roles.values(), strict=True)) | asks
            return roles | _volumes(numeric, roles)
    return None


def _ask_bars(numeric: Mapping[int, Column], bids: Roles) -> Roles:
    """The columns of asks' bars behind those of bids, which have the same order; nothing if there are none."""
    for step in (4, 5):
        asks = {f"ask_{name}": place + step for name, place in bids.items()}
        if all(place in numeric for place in asks.values()):
            ends = _high_and_low(numeric, sorted(asks.values()))
            closes = numeric[bids["close"]], numeric[asks["ask_close"]]
            near = _are_near(zip(*closes, strict=True))
            if ends == (asks["ask_high"], asks["ask_low"]) and near and _ordered(*closes):
                return asks
    return {}


def _high_and_low(numeric: Mapping[int, Column], places: Sequence[int]) -> tuple[int, int] | None:
    """The places of high and low among four columns; None where they are not the prices of bars."""
    columns = [numeric[place] for place in places]
    rows = [row for row in zip(*columns, strict=True) if min(row) > 0]
    if not rows or middle([max(row) / min(row) for row in rows]) > 3:
        return None
    allowed = len(rows) // _MAY_BREAK
    highs = [at for at in range(4) if sum(row[at] < max(row) for row in rows) <= allowed]
    lows = [at for at in range(4) if sum(row[at] > min(row) for row in rows) <= allowed]
    moves = [middle(_moves(column)) for column in columns]
    if not highs or not lows or (len(rows) > 1 and max(moves) > 20 * min(moves)):
        return None
    if len(highs) == 4:  # all four are equal on all rows: any reading gives the same bars, so the usual one is taken
        return places[1], places[2]
    low = next((at for at in lows if at not in highs), None)
    high = next((at for at in highs if at != low), None)
    return None if low is None or high is None or len(highs) > 1 or len(lows) > 1 else (places[high], places[low])


def _moves(column: Column) -> list[float]:
    return [abs(b - a) for a, b in pairwise(value for value in column if value == value)]


def _open_and_close(
    sample: Excerpt,
    known: Roles,
    numeric: Mapping[int, Column],
    groups: Sequence[Sequence[int]],
    one: int,
    other: int,
) -> tuple[int, int]:
    """Which of two columns is the open and which the close. Raises Ambiguous where continuity does not tell."""
    a, b = numeric[one], numeric[other]
    if list(a) == list(b):
        return one, other
    priced = [[row for row in rows if a[row] > 0 and b[row] > 0] for rows in groups]
    pairs = [(before, after) for rows in priced for before, after in pairwise(rows)]
    forth = [abs(a[after] - b[before]) for before, after in pairs]
    back = [abs(b[after] - a[before]) for before, after in pairs]
    if len(pairs) >= _FEWEST:
        for mean in (middle, sum):
            if mean(forth) * CONTINUITY < mean(back):
                return one, other
            if mean(back) * CONTINUITY < mean(forth):
                return other, one
            if mean(forth) or mean(back):
                break
    raise Ambiguous(
        Guess(
            f"{sample.name}: which column of {sample.first_line()} is the open, since it does not follow the close "
            "before it",
            f"{sample.label(one)} is the open and {sample.label(other)} the close",
            "the other way round",
            f"FORMAT={_spelled(sample, known | {'open': one, 'close': other})} (and volume in its place)",
        )
    )


def _spelled(sample: Excerpt, roles: Roles) -> str:
    """The columns as FORMAT= takes them, `-` for those that are not known."""
    names = {place: field for field, place in roles.items()}
    return ",".join(names.get(place, "-") for place in range(sample.width))


def _adds_up(totals: Column, parts: Column) -> bool:
    """Whether a column is the total of another from row to row, newest last or newest first."""
    rows = list(zip(pairwise(totals), pairwise(parts), strict=True))
    rises = sum(after - before == part for (before, after), (_, part) in rows)
    falls = sum(before - after == part for (before, after), (part, _) in rows)
    return len(rows) >= _FEWEST and max(rises, falls) >= 0.9 * len(rows) and any(parts)


def _volumes(numeric: Mapping[int, Column], bar: Roles) -> Roles:
    """What the columns beside a bar's prices are: volume, what was paid for it, number of trades, average price."""
    last = max(bar.values())
    after = [place for place in sorted(numeric) if place > last]
    before = [place for place in sorted(numeric) if place < min(bar.values())]
    high, low = numeric[bar["high"]], numeric[bar["low"]]
    roles: Roles = {}
    if after and _within(numeric[after[0]], low, high):
        roles["vwap"] = after.pop(0)
    beside = after or before
    if not beside:
        return roles
    if len(beside) > 1 and _adds_up(numeric[beside[0]], numeric[beside[1]]):
        del beside[0]
    volume = roles["volume"] = beside[0]
    for place in beside[1:] + (before if after else []):
        if "quote_volume" not in roles and _within(_ratio(numeric[place], numeric[volume]), low, high):
            roles["quote_volume"] = place
        elif "quote_volume" not in roles and _within(_ratio(numeric[volume], numeric[place]), low, high):
            roles["quote_volume"], roles["volume"] = volume, place
        elif "trades" not in roles and _are_whole(numeric[place]) and not _are_whole(numeric[volume]):
            roles["trades"] = place
    return roles


def _ratio(paid: Column, volume: Column) -> list[float]:
    return [a / b if b > 0 else 0.0 for a, b in zip(paid, volume, strict=True)]


def _within(values: Column, low: Column, high: Column) -> bool:
    """Whether values lie between low and high on all rows that have one; some must."""
    rows = [(value, a, b) for value, a, b in zip(values, low, high, strict=True) if value > 0]
    outside = sum(not a * 0.9999 <= value <= b * 1.0001 for value, a, b in rows)
    return len(rows) >= _FEWEST and outside <= len(rows) / 50


def _are_whole(values: Column) -> bool:
    return all(value == value // 1 for value in values)


# ---- trades and quotes


def _trades_or_quotes(
    sample: Excerpt, known: Roles, numeric: Mapping[int, Column], groups: Sequence[Sequence[int]]
) -> Roles | None:
    ids = [place for place, values in numeric.items() if is_id(values)]
    left = {
        place: values
        for place, values in numeric.items()
        if place not in ids and not (_is_side(values) and len(numeric) > len(ids) + 1) and min(values) == min(values)
    }
    roles: Roles = {"id": ids[0]} if ids else {}
    if len(ids) == 3:
        roles |= {"first_id": ids[1], "last_id": ids[2]}
    prices = _near_columns(left)
    if len(prices) == 3:
        priced = _price_and_quotes(sample, known, left, prices)
    elif len(prices) == 2:
        priced = _bid_and_ask(left, prices)
    else:
        priced = _price_and_size(sample, known, left, groups)
    if priced is None:
        return None
    sizes = [place for place in left if place not in priced.values() and place not in prices]
    if len(prices) == 3 and sizes:
        priced["size"] = sizes[0]
    return roles | priced


def is_id(values: Column) -> bool:
    """Whether these are numbers that are given one after the other."""
    steps = [b - a for a, b in pairwise(values)]
    if len(steps) < _FEWEST_IDS or not _are_whole(values):
        return False
    sign = 1 if values[-1] > values[0] else -1
    return all(step * sign > 0 for step in steps)


def _is_side(values: Column) -> bool:
    return set(values) <= {-1.0, 0.0, 1.0, 2.0} and len(set(values)) > 1


def _near_columns(numeric: Mapping[int, Column]) -> list[int]:
    """The first columns in a row, two or three of them, that are prices of the same moment."""
    places = sorted(numeric)
    for at, place in enumerate(places):
        near = [place]
        for other in places[at + 1 :]:
            pairs = [(a, b) for a, b in zip(numeric[place], numeric[other], strict=True) if a > 0 and b > 0]
            if _are_near(pairs) and _move_alike(pairs):
                near.append(other)
        if 2 <= len(near) <= 3:
            return near
    return []


def _are_near(pairs: Iterable[tuple[float, float]]) -> bool:
    """Whether these could be two prices of one moment each; of no pair it is not known."""
    return middle([abs(a - b) / a for a, b in pairs if a > 0]) < _NEAR


def _move_alike(pairs: list[tuple[float, float]]) -> bool:
    ours, theirs = (middle(positive(_moves([pair[side] for pair in pairs])) or [0.0]) for side in (0, 1))
    return len(pairs) == 1 or max(ours, theirs) <= 20 * min(ours, theirs)


def _ordered(lower: Column, upper: Column) -> bool:
    return sum(a > b for a, b in zip(lower, upper, strict=True)) <= len(lower) // _MAY_BREAK


def _bid_and_ask(numeric: Mapping[int, Column], places: Sequence[int]) -> Roles | None:
    one, other = places
    for bid, ask in ((one, other), (other, one)):
        if _ordered(numeric[bid], numeric[ask]):
            return {"bid": bid, "ask": ask}
    return None


def _price_and_quotes(
    sample: Excerpt, known: Roles, numeric: Mapping[int, Column], places: Sequence[int]
) -> Roles | None:
    fits = [
        {"price": price, "bid": bid, "ask": ask}
        for price, bid, ask in permutations(places)
        if _ordered(numeric[bid], numeric[ask]) and numeric[bid] != numeric[ask]
        if _between(numeric[bid], numeric[price], numeric[ask])
    ]
    if len(fits) > 1:
        taken, other = (_spelled(sample, known | each) for each in fits[:2])
        what = f"{sample.name}: which of three prices in {sample.first_line()} is the trade's"
        raise Ambiguous(Guess(what, taken, other, f"FORMAT={taken}"))
    return fits[0] if fits else None


def _between(lower: Column, values: Column, upper: Column) -> bool:
    inside = sum(a <= value <= b for a, value, b in zip(lower, values, upper, strict=True))
    return inside >= 0.9 * len(values)


def _price_and_size(
    sample: Excerpt, known: Roles, numeric: Mapping[int, Column], groups: Sequence[Sequence[int]]
) -> Roles | None:
    places = sorted(numeric)
    if not places:
        return None
    if len(places) == 1:
        return {"price": places[0]}
    unrest = {place: _unrest(numeric[place], groups) for place in places}
    moving = [place for place in places if unrest[place] > 0] or places
    price = min(moving, key=unrest.__getitem__)
    sizes = [place for place in places if place != price]
    rougher = [place for place in sizes if unrest[place] >= CONTINUITY * unrest[price] or unrest[place] == 0]
    if len(sizes) > 1:
        sizes = _without_paid(numeric, price, sizes)
    near = len(places) == 2 and _are_near(zip(numeric[places[0]], numeric[places[1]], strict=True))
    quotes = _bid_and_ask(numeric, places) if near else None
    if len(sizes) == 1 and sizes[0] in rougher and 0 < unrest[price] < _CALM and quotes is None:
        return {"price": price, "size": sizes[0]}
    shown = [sample.label(place) for place in (price, *sizes)]
    taken = _spelled(sample, known | {"price": price, "size": sizes[0]})
    if quotes is not None:
        other = _spelled(sample, known | quotes)
    elif len(sizes) == 1:
        other = _spelled(sample, known | {"size": price, "price": sizes[0]})
    else:
        other = "size is one of the others"
    what = f"{sample.name}: which of {', '.join(shown)} in {sample.first_line()} is price and which is size"
    raise Ambiguous(Guess(what, taken, other, f"FORMAT={taken}"))


def _unrest(values: Column, groups: Sequence[Sequence[int]]) -> float:
    """By what share of itself a column changes from row to row of a symbol, at the median; 0 if it never does."""
    changes = []
    for rows in groups:
        kept = [abs(values[row]) for row in rows]
        changes += [abs(b - a) / min(a, b) for a, b in pairwise(kept) if a > 0 and b > 0]
    return middle(positive(changes)) if any(changes) else 0.0


def _without_paid(numeric: Mapping[int, Column], price: int, sizes: list[int]) -> list[int]:
    """The columns without one that is price times another, which is its size."""
    for size in sizes:
        for paid in sizes:
            rows = [
                abs(p * s - q) <= 1e-3 * abs(q)
                for p, s, q in zip(numeric[price], numeric[size], numeric[paid], strict=True)
                if q
            ]
            if paid != size and len(rows) >= _FEWEST and sum(rows) >= 0.98 * len(rows):
                return [size]
    return sizes
