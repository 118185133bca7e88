"""Rows of the table `samples` as points, one for each bucket of time. Pure, with pyarrow.

A point is made of the samples in its bucket and of nothing else: where there is none, all of it is null. A sample
counts where it was recorded first, not where it was only issued again.
"""

import functools
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from cottage.freshness import STATUSES
from cottage.record.arrow_schema import matching, pyarrow
from cottage.record.history_span import BucketGrid
from cottage.state import PILLARS, REGIMES

By = Literal["at", "written"]
"""By which time rows fall into buckets: the market's, or Redis's when it wrote the version."""

COUNTED = ("volume", "trades", "bid", "ask", "samples", "nonzero", "holes", "snapped", "lag_ms", "step", "grid")
NUMBERS = (*PILLARS, *COUNTED)
"""Fields that are numbers: a point has the last, and as NAME_min, NAME_max and NAME_mean those of its samples."""
FIELDS = ("price", "alpha", "regime", "freshness", *NUMBERS)
USUAL_FIELDS = ("price", "alpha", "regime", "freshness")

SHARES = {regime: f"share_{regime.lower().replace('é', 'e').replace(' ', '_')}" for regime in sorted(REGIMES)}
"""The columns with the shares of time of the regimes, such as `share_levy_stable`."""
HELD_STEPS = 60
"""A state is counted for so many steps after its sample at most: beyond that there is a gap."""

_ORDER = ("epoch", "seq", "number")
_LAST_MIN_MAX_MEAN = (("", "last"), ("_min", "min"), ("_max", "max"), ("_mean", "mean"))
_OHLC = (("open", "first"), ("high", "max"), ("low", "min"), ("close", "last"), ("price_mean", "mean"))
_EVERY = 1_000_000
_WALL = {"first_recorded": ("recorded", "min"), "last_recorded": ("recorded", "max"), "last_time": ("time", "max")}


def columns_read(fields: Sequence[str], by: By) -> list[str]:
    """The columns of `samples` that `bucketed` needs for these fields."""
    return sorted({"symbol", "source", "run", "reissued", by, *_ORDER, *_needed(fields)})


def _needed(fields: Sequence[str]) -> set[str]:
    """The columns of `samples` that points with these fields are made of."""
    names = {"recorded", *fields} - {"freshness"}
    if "alpha" in fields:
        names |= {"alpha_low", "alpha_high"}
    if "regime" in fields:
        names.add("step")
    if names.intersection(PILLARS):
        names.add("void")
    return names


def bucketed(rows: Any, symbols: Sequence[str], grid: BucketGrid, by: By, fields: Sequence[str], newest: int) -> Any:
    """The points of these symbols as a pyarrow.Table: `grid.count` rows for each, in their order.

    rows: a table with `columns_read`, each symbol's of one source and run. newest: the time of the source's newest
    event; what ends later is `partial`. Its columns: symbol, time (the bucket's start), partial, count, those of the
    fields without `freshness`, and for `worst_freshness` first_recorded, last_recorded and last_time.
    """
    pa = pyarrow()
    pc = pa.compute
    inside = _inside(rows, symbols, grid, by, _needed(fields))
    for name in PILLARS:
        if name in fields:  # what a state says of a void pillar is 0, and means nothing
            inside = _replaced(inside, name, pc.if_else(_says(inside["void"], name), None, inside[name]))
    wanted = _aggregates(fields)
    laid = _laid(inside, [*wanted.values(), ("time", "count")], len(symbols) * grid.count)
    begins = range(grid.begin, grid.end, grid.step)
    columns = {
        "symbol": pa.array([symbol for symbol in symbols for _ in begins], pa.string()),
        "time": pa.array([*begins] * len(symbols), pa.timestamp("us", "UTC")),
        "partial": pa.array([begin + grid.step > newest for begin in begins] * len(symbols)),
        "count": pc.fill_null(laid["time_count"], 0),
    }
    columns |= {name: laid[f"{column}_{how}"] for name, (column, how) in wanted.items()}
    if "regime" in fields:
        columns |= _shares(inside, grid, newest, len(symbols) * grid.count)
    return pa.table(columns)


def _aggregates(fields: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The columns of points, each with the column of rows and the aggregate that make it."""
    wanted: dict[str, tuple[str, str]] = {}
    for field in fields:
        if field == "price":
            wanted |= {name: ("price", how) for name, how in _OHLC}
        elif field == "regime":
            wanted["regime"] = ("regime", "last")
        elif field != "freshness":
            wanted |= {field + suffix: (field, how) for suffix, how in _LAST_MIN_MAX_MEAN}
        if field == "alpha":
            wanted |= {"alpha_low": ("alpha_low", "min"), "alpha_high": ("alpha_high", "max")}
    return wanted | _WALL


def _inside(rows: Any, symbols: Sequence[str], grid: BucketGrid, by: By, needed: Iterable[str]) -> Any:
    """The needed columns of the rows that fall into the grid's buckets, in order, with the number of each one's
    bucket as `key` and its time as `time`."""
    pa = pyarrow()
    pc = pa.compute
    time = rows[by]
    code = pc.index_in(rows["symbol"], pa.array(symbols, pa.string()))
    bucket = pc.divide(pc.subtract(time, grid.begin), grid.step)
    key = pc.add(pc.multiply(pc.cast(code, pa.int64()), grid.count), bucket)
    inside = pc.and_(pc.greater_equal(time, grid.begin), pc.less(time, grid.end))
    mask = pc.and_(pc.and_(inside, pc.is_valid(code)), pc.invert(rows["reissued"]))
    rows = rows.select(sorted({*needed, *_ORDER})).append_column("key", key).append_column("time", time)
    rows = matching(rows, mask).combine_chunks()
    order = pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in ("key", "time", *_ORDER)])
    return rows.select([*needed, "key", "time"]).take(order)


def _laid(rows: Any, aggregates: Sequence[tuple[str, str]], size: int) -> Any:
    """The aggregates of the rows of each key from 0 to `size` - 1, in that order; null where there is no row."""
    pa = pyarrow()
    groups = rows.group_by("key", use_threads=False).aggregate(list(dict.fromkeys(aggregates)))
    keys = pa.compute.subtract(pa.compute.cumulative_sum(pa.repeat(1, size)), 1)
    return groups.take(pa.compute.index_in(keys, groups["key"]))


def _shares(inside: Any, grid: BucketGrid, newest: int, size: int) -> dict[str, Any]:
    """The columns of SHARES: for which part of the time that states held in a bucket each regime did."""
    pa = pyarrow()
    pc = pa.compute
    states = matching(inside, pc.is_valid(inside["regime"]))
    others = len(SHARES)  # the place behind the known regimes, for what a later version may say
    regime = pc.fill_null(pc.index_in(states["regime"], pa.array([*SHARES], pa.string())), others)
    key = pc.add(states["key"], pc.multiply(pc.cast(regime, pa.int64()), size))
    states = pa.table({"key": key, "held": _held(states, grid, newest)})
    by_regime = _laid(states, [("held", "sum")], (others + 1) * size)
    held = pc.fill_null(by_regime["held_sum"], 0).combine_chunks()
    parts = [held.slice(place * size, size) for place in range(others + 1)]
    whole = functools.reduce(pc.add, parts)
    whole = pc.cast(pc.if_else(pc.equal(whole, 0), None, whole), "float64")
    return {name: pc.divide(part, whole) for name, part in zip(SHARES.values(), parts, strict=False)}


def _held(states: Any, grid: BucketGrid, newest: int) -> Any:
    """For how many microseconds, at least 1, each state held: until the next one in its bucket, or its bucket's end,
    or the newest event of all; and no longer than HELD_STEPS."""
    pa = pyarrow()
    pc = pa.compute
    key, time, step = (states[name].combine_chunks() for name in ("key", "time", "step"))
    begin = pc.add(grid.begin, pc.multiply(pc.divide(pc.subtract(time, grid.begin), grid.step), grid.step))
    end = pc.min_element_wise(pc.add(begin, grid.step), max(newest, grid.begin))
    if len(time) > 1:
        is_followed = pa.concat_arrays([pc.equal(key[1:], key[:-1]), pa.array([False])])
        end = pc.if_else(is_followed, pa.concat_arrays([time[1:], time[-1:]]), end)
    longest = pc.cast(pc.multiply(pc.fill_null(step, 1.0), HELD_STEPS * 1e6), pa.int64(), safe=False)
    return pc.max_element_wise(pc.min_element_wise(pc.subtract(end, time), longest), 1)


def _says(words: Any, word: str) -> Any:
    """Of a column of lists of words, whether each has this one."""
    pa = pyarrow()
    pc = pa.compute
    words = words.combine_chunks()
    lists = pc.filter(pc.list_parent_indices(words), pc.equal(pc.list_flatten(words), word))
    return pc.is_in(pa.array(range(len(words)), pa.int64()), pc.cast(lists, pa.int64()))


def _replaced(table: Any, name: str, column: Any) -> Any:
    return table.set_column(table.schema.get_field_index(name), name, column)


class FreshnessTimeline:
    """What was stated about the freshness of one symbol: its own rows of the table `freshness`, and those of `*`,
    which replace what was said of single symbols before. A symbol that comes again after it was removed is as all
    are."""

    def __init__(self, statements: Iterable[Mapping[str, Any]]) -> None:
        ordered = sorted(statements, key=lambda each: each["recorded"])
        self._times = [each["recorded"] for each in ordered]
        self._statuses = [each["status"] for each in ordered]
        self._held: list[str] = []
        """What holds after each of them."""
        overall = "live"
        for each in ordered:
            if each["symbol"] == "*":
                overall = each["status"]
            self._held.append(overall if each["status"] == "removed" else each["status"])

    def worst(self, begin: int, end: int) -> str:
        """The worst status that held from `begin` until `end`, exclusive. Without a statement it is live."""
        first, behind = bisect_right(self._times, begin), bisect_right(self._times, end - 1)
        held = self._held[first - 1] if first else "live"
        if first == behind:
            return held
        worst: str = max([held, *self._statuses[first:behind]], key=_rank)
        return worst


def _rank(status: str) -> int:
    """From the best to the worst; what a later version may say beside the known ones counts as worse."""
    return STATUSES.index(status) if status in STATUSES else len(STATUSES)
