"""What `cottage history` shows on a terminal, made with rich from the API's answers and a size. Pure.

Of one symbol charts of the price and of α's interval, with the regimes and gaps beneath, and its newest points; of
several a line each, with the price as a sparkline in the regimes' colours.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cottage.cli.table import LABELS, REGIMES, bare_table
from cottage.cli.text_chart import Number, band, columns, span, sparkline, squeezed
from cottage.cli.texts import interval_text, is_unbounded, moment_text, price_text, printable, span_text
from cottage.fields import finite
from cottage.state import ALPHA_MOST, CRITICAL, GAUSSIAN, LEVY_STABLE, WAIT

Point = Mapping[str, Any]
History = Mapping[str, Any]
"""What the API answers for one symbol."""

PRICE_ROWS, ALPHA_ROWS = 6, 4
MARGIN = 12
"""The width of what stands left of a chart."""
AROUND_TABLE = 4
"""Its head and rule, the line beneath it, and the prompt."""
LEAST_ROWS = 5
"""So many points are listed in a low terminal too."""
AROUND_SPARK = 75
"""The width of the columns beside a sparkline, of long symbols and prices too."""
LEAST_SPARK = 20
STRIP = {WAIT: "·", GAUSSIAN: "─", LEVY_STABLE: "▒", CRITICAL: "█"}
CHANGE, GAP = "▾", "×"


def render(histories: Sequence[History], width: int, height: int) -> RenderableType:
    """The histories for a terminal of that size."""
    return _one(histories[0], width, height) if len(histories) == 1 else _several(histories, width)


def _one(history: History, width: int, height: int) -> Group:
    points, across = history["points"], max(width - MARGIN, 1)
    lines = [*_head(history), *_charts(points, across), *_strips(points, across), _times(points, across)]
    if any(point.get("regime") for point in points):
        lines.append(_legend(points))
    known = [point for point in points if point["count"]]
    fitting = max(LEAST_ROWS, height - len(lines) - AROUND_TABLE)
    left = len(known) - fitting
    last = [Text(f"and {left:,} earlier: --csv and --json print all", "dim")] if left > 0 else []
    return Group(*lines, _table(known[-fitting:], _stamp(points)), *last)


def _head(history: History) -> Iterator[Text]:
    until, clock = history["until"], ", as Redis wrote" if history["by"] == "written" else ""
    yield Text.assemble(
        (history["symbol"], "bold"),
        f"  {printable(history['source']) or 'no source'}",
        (f"  {span_text(history['from'], history['to'])} UTC{clock}  {len(history['points']):,} points", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )
    yield Text("nothing in that time" if until is None else f"up to version {until[0]}-{until[1]}", "dim")


def _charts(points: Sequence[Point], across: int) -> Iterator[Text]:
    lows, highs = squeezed(_all(points, "low"), across, min), squeezed(_all(points, "high"), across, max)
    yield from _chart("price", lows, highs, span(lows, highs), PRICE_ROWS, price_text)
    intervals = list(map(_interval, points))
    lows = squeezed([low for low, _high in intervals], across, min)
    highs = squeezed([high for _low, high in intervals], across, max)
    # An interval without an upper end reaches to the top, and does not press the others together.
    limits = span(lows, [None if high == ALPHA_MOST else high for high in highs])
    yield from _chart("α 90 %", lows, highs, limits, ALPHA_ROWS, lambda value: f"{value:.2f}")


def _interval(point: Point) -> tuple[Number, Number]:
    """Of α; two times None where it is not known."""
    low: Any = point.get("alpha_low")
    high: Any = point.get("alpha_high")
    return (low, high) if finite(low) and finite(high) and not is_unbounded(low, high) else (None, None)


def _chart(
    name: str,
    lows: Sequence[Number],
    highs: Sequence[Number],
    limits: tuple[float, float] | None,
    rows: int,
    text: Callable[[float], str],
) -> Iterator[Text]:
    """Nothing where nothing is known."""
    if limits is None:
        return
    lines = band(lows, highs, limits, rows)
    labels = [text(limits[1]), *[""] * (rows - 2), text(limits[0])]
    labels[rows // 2] = name
    for label, line in zip(labels, lines, strict=True):
        yield _charted(label, Text(line))


def _strips(points: Sequence[Point], across: int) -> Iterator[Text]:
    """The regimes and the gaps beneath the charts."""
    held = _regimes(points, across)
    if any(held):
        changed = [before is not None and now not in (None, before) for before, now in pairwise([None, *_kept(held)])]
        yield _charted("", Text("".join(CHANGE if change else " " for change in changed).rstrip(), "bold"))
        yield _charted("regime", Text.assemble(*((STRIP.get(each, " "), REGIMES.get(each, "")) for each in held)))
    gaps = "".join(GAP if any(point["gaps"] for point in part) else " " for part in columns(points, across))
    if gaps.strip():
        yield _charted("gaps", Text(gaps, "yellow"))


def _regimes(points: Sequence[Point], across: int) -> list[str]:
    """The last regime of each column of a chart; empty where nothing is known."""
    parts = ([point["regime"] for point in part if point.get("regime")] for part in columns(points, across))
    return [printable(part[-1]) if part else "" for part in parts]


def _kept(held: Sequence[str]) -> Iterator[str | None]:
    """The regime of each column, or else of the one before."""
    kept = None
    for each in held:
        kept = each or kept
        yield kept


def _charted(label: str, line: Text) -> Text:
    return Text.assemble((f"{label:>{MARGIN - 2}} ┤", "dim"), line)


def _times(points: Sequence[Point], across: int) -> Text:
    """The first and the last time beneath a chart."""
    stamp, drawn = _stamp(points), min(across, len(points))
    first, last = stamp(points[0]), stamp(points[-1])
    return Text(f"{'':{MARGIN}}{first}{last:>{max(drawn - len(first), len(last) + 1)}}", "dim", no_wrap=True)


def _legend(points: Sequence[Point]) -> Text:
    """The marks of the regimes that these points have."""
    held = {point.get("regime") for point in points}
    marks = (Text(f"{mark} {regime}", REGIMES.get(regime, "")) for regime, mark in STRIP.items() if regime in held)
    return Text("  ").join([Text(" " * (MARGIN - 2)), *marks])


def _table(points: Sequence[Point], stamp: Callable[[Point], str]) -> Table:
    table = bare_table()
    others = [name for name in points[-1] if f"{name}_mean" in points[-1] and name != "alpha"] if points else []
    headings = ("time", "count", "price", "low", "high", "α", "α 90 %", "regime", "freshness", *others, "gaps")
    for heading in headings:
        left = heading in ("time", "regime", "freshness", "gaps")
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    for point in points:
        table.add_row(
            stamp(point) + ("…" if point["partial"] else ""),
            f"{point['count']:,}",
            *(price_text(point.get(name)) for name in ("close", "low", "high")),
            *_state_cells(point),
            *(f"{value:,.6g}" if finite(value := point[name]) else "" for name in others),
            Text(printable(", ".join(point["gaps"] or ())), "yellow"),
        )
    return table


def _state_cells(point: Point) -> tuple[str, str, Text, Text]:
    alpha, regime, freshness = point.get("alpha"), printable(point.get("regime")), printable(point.get("freshness"))
    return (
        f"{alpha:.2f}" if finite(alpha) and alpha != ALPHA_MOST else "–" if finite(alpha) else "",
        interval_text(point.get("alpha_low"), point.get("alpha_high")),
        Text(regime, REGIMES.get(regime, "")),
        Text(freshness, LABELS.get(freshness, "")),
    )


def _several(histories: Sequence[History], width: int) -> Group:
    table = bare_table()
    for heading in ("symbol", "price", "α", "α 90 %", "regime", "freshness"):
        left = heading in ("symbol", "regime", "freshness")
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    begin, end = min(each["from"] for each in histories), max(each["to"] for each in histories)
    table.add_column(f"price, {span_text(begin, end)} UTC", no_wrap=True)
    for history in histories:
        points = history["points"]
        newest: Point = next((point for point in reversed(points) if point["count"]), {})
        table.add_row(
            Text(history["symbol"], "bold"),
            price_text(newest.get("close")),
            *_state_cells(newest),
            _spark(points, max(LEAST_SPARK, width - AROUND_SPARK)),
        )
    legend = (Text(regime, REGIMES.get(regime, "")) for regime in STRIP)
    return Group(table, Text("  ").join(legend))


def _spark(points: Sequence[Point], across: int) -> Text:
    """The price, in the colours of the regimes."""
    line = sparkline(squeezed(_all(points, "close"), across, lambda values: values[-1]))
    return Text.assemble(
        *((bar, REGIMES.get(held, "")) for bar, held in zip(line, _regimes(points, across), strict=True))
    )


def _all(points: Sequence[Point], name: str) -> list[Number]:
    return [value if finite(value := point.get(name)) else None for point in points]


def _stamp(points: Sequence[Point]) -> Callable[[Point], str]:
    """How the times of these points are shown: with the day where they are of several."""
    of_one_day = len({point["time"][:10] for point in points}) == 1
    return lambda point: moment_text(point["time"][11:] if of_one_day else point["time"])
