"""What α is worth where prices move by ticks: errors of the old one and the new, steps, and the interval.

`make estimators` prints the tables. Increments of a price are drawn from a law and added up, the path is rounded to
a grid, and its moves are what an estimator sees. Old is Hill's of the rounded moves, new the likelihood of
`services/feynman/tail_index.py`, and beside them stands Hill's of the moves before they were rounded.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cottage.state import ALPHA_MOST, WAIT_RETURNS
from services.feynman.tail_index import LEAST_MOVES, TailIndex
from services.feynman.tails import order_statistics
from tests.bench import laws, ticks
from tests.bench.chart import Axis, Line
from tests.bench.laws import Floats, Law
from tests.bench.tables import percent, table

SCALES = (0.2, 0.35, 0.5, 1.0, 3.0, 10.0, 30.0)
"""In ticks: of σ of the normal law and of GARCH, of the least move of Pareto's, and of the others' usual scale."""
NUMBERS = (100, 200, 500, 1000, 5000)
WINDOW, HOUR = 1000, 3600
LEAST_TELLING = 0.05
"""Where a smaller share of the windows tells of a tail, nothing is said of them."""

AT_ONCE = 1000
"""So many windows are drawn together, so that they fit into memory."""

LAWS: Mapping[str, Law] = {
    **{f"Pareto({index:g})": laws.pareto(index) for index in (1.5, 2.0, 3.0)},
    **{f"t({degrees:g})": laws.student(degrees) for degrees in (2.0, 3.0, 4.0)},
    **{f"stable({index:g})": laws.stable(index) for index in (1.3, 1.5, 1.7, 1.9)},
    "GARCH": laws.garch,
    "normal": laws.normal,
}

HEADS = (
    *("law", "index", "of the largest", "scale", "telling", "α: old", "new", "unrounded"),
    *("error: old", "new", "unrounded", "apart: old", "new"),
    *("holds the largest's", "the index", "open above", "widening"),
)

Draw = Callable[[str, str, Axis, Axis, Sequence[Line]], None]


@dataclass(frozen=True, slots=True)
class Cell:
    """What came of many windows of one law, length and scale.

    `telling` is the share of windows with 64 moves, of which 10 are of two ticks or more. All else is of those, nan
    where they are next to none, and what is by the law's index nan where it has none.
    """

    telling: float
    old: float = math.nan  # mean α
    new: float = math.nan
    unrounded: float = math.nan
    old_error: float = math.nan  # root mean square, against the law's index
    new_error: float = math.nan
    unrounded_error: float = math.nan
    old_apart: float = math.nan  # the same, against unrounded
    new_apart: float = math.nan
    covered: float = math.nan  # how often the interval holds the exponent of the largest k of n
    covered_index: float = math.nan  # how often it holds the law's index
    open_above: float = math.nan
    widening: float = math.nan  # by how much wider it would hold that exponent in 90 % of windows


def cell(generator: np.random.Generator, exact: Floats, exponent: float, index: float) -> Cell:
    """`exact`: moves in ticks before the path is rounded, a window each row. `exponent`: of the largest k of n."""
    x = ticks.of_path(generator, exact)
    telling = (np.count_nonzero(x, axis=1) >= WAIT_RETURNS) & (np.count_nonzero(x >= 2.0, axis=1) >= LEAST_MOVES)
    if telling.mean() < LEAST_TELLING:
        return Cell(float(telling.mean()))
    moves = ticks.moves_of(generator, x[telling])
    k = order_statistics(np.full(len(moves.k), x.shape[1]))
    unrounded = ticks.hill(ticks.largest_of(np.abs(exact[telling]), int(k[0]) + 1), k).alpha
    old, found = ticks.hill_on_ticks(moves).alpha, ticks.fit(moves)
    return Cell(
        telling=float(telling.mean()),
        old=float(old.mean()),
        new=float(found.alpha.mean()),
        unrounded=float(unrounded.mean()),
        old_error=_error(old, index),
        new_error=_error(found.alpha, index),
        unrounded_error=_error(unrounded, index),
        old_apart=_error(old, unrounded),
        new_apart=_error(found.alpha, unrounded),
        covered=_covered(found, exponent),
        covered_index=_covered(found, index) if math.isfinite(index) else math.nan,
        open_above=float(np.mean(found.high >= ALPHA_MOST)),
        widening=widening(moves, exponent),
    )


def widening(moves: ticks.Moves, exponent: float) -> float:
    """By how much wider the interval holds `exponent` in 90 % of windows, from a third to three times."""
    least, most = 1 / 3, 3.0
    for _ in range(9):
        middle = math.sqrt(least * most)
        least, most = (middle, most) if _covered(ticks.fit(moves, middle), exponent) < 0.9 else (least, middle)
    return math.sqrt(least * most)


def _error(alpha: Floats, true: Floats | float) -> float:
    return float(np.sqrt(np.mean(np.square(alpha - true))))


def _covered(found: TailIndex, true: float) -> float:
    return float(np.mean((found.low <= true) & (true <= found.high)))


def index_of(name: str, generator: np.random.Generator) -> float:
    """The tail index of one of LAWS, nan where it has none."""
    if name == "GARCH":
        return laws.kesten(generator)
    return math.nan if name == "normal" else float(name.partition("(")[2].rstrip(")"))


def errors(generator: np.random.Generator, replications: int, draw: Draw) -> None:
    """α against the law's index and against Hill's of unrounded moves; and how often its interval holds both."""
    indices = {name: index_of(name, generator) for name in LAWS}
    cells: dict[tuple[str, int, float], Cell] = {}
    most = order_statistics(np.array(NUMBERS))
    shares = most / np.array(NUMBERS)
    exponents = {name: laws.exponents_of_largest(generator, law, shares) for name, law in LAWS.items()}
    for place, number in enumerate(NUMBERS):
        rows = []
        for name, law in LAWS.items():
            exponent = exponents[name][place]
            exact = law(generator, (min(replications, replications * 2 * WINDOW // number), number))
            for scale in SCALES:
                found = cell(generator, scale * exact, exponent, indices[name])
                cells[name, number, scale] = found
                rows.append(_row(name, indices[name], exponent, scale, found))
        table(f"α of prices in ticks, n = {number:,}, k = {most[place]}", HEADS, rows)
    _matrices(cells)
    _plots(cells, indices, draw)


def _row(name: str, index: float, exponent: float, scale: float, c: Cell) -> list[object]:
    figures = (c.old, c.new, c.unrounded, c.old_error, c.new_error, c.unrounded_error, c.old_apart, c.new_apart)
    shares = (c.covered, c.covered_index, c.open_above)
    told = [*map(_figure, figures), *map(_share, shares), _figure(c.widening)]
    return [name, _figure(index), _figure(exponent), f"{scale:g}", percent(c.telling), *told]


def _figure(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"


def _share(value: float) -> str:
    return percent(value) if math.isfinite(value) else "–"


def _matrices(cells: Mapping[tuple[str, int, float], Cell]) -> None:
    """The figures that matter most, law by scale."""
    forms: dict[str, Callable[[Cell], Sequence[str]]] = {
        "Error of α against the law's index: new (old), unrounded": (
            lambda c: ("{} ({}), {}", *map(_figure, (c.new_error, c.old_error, c.unrounded_error)))
        ),
        "Apart from Hill's of unrounded moves: new (old)": (
            lambda c: ("{} ({})", *map(_figure, (c.new_apart, c.old_apart)))
        ),
        "How often the 90 % interval holds the exponent of the largest (the law's index)": (
            lambda c: ("{} ({})", *map(_share, (c.covered, c.covered_index)))
        ),
        "Widening with which it holds the former in 90 %": lambda c: ("{}", _figure(c.widening)),
    }
    for what, form in forms.items():
        for number in NUMBERS:
            rows = []
            for name in LAWS:
                told = [form(cells[name, number, scale]) for scale in SCALES]
                if any(figures[0] != "–" for _text, *figures in told):
                    rows.append([name, *(t.format(*f) if f[0] != "–" else "–" for t, *f in told)])
            table(
                f"{what}, n = {number:,}", ("law, at a scale in ticks of", *(f"{scale:g}" for scale in SCALES)), rows
            )


def _plots(cells: Mapping[tuple[str, int, float], Cell], indices: Mapping[str, float], draw: Draw) -> None:
    def line(name: str, law: str, figure: str, by: float = 1.0, *, dashed: bool = False) -> Line:
        values = [(scale, by * getattr(cells[law, WINDOW, scale], figure)) for scale in SCALES]
        return Line(name, [point for point in values if math.isfinite(point[1])], dashed=dashed)

    across = Axis("scale of a move, in ticks", log=True)
    means = [
        line(law + add, law, figure, dashed=bool(add))
        for law in ("normal", "t(3)", "stable(1.7)")
        for add, figure in (("", "new"), (", old", "old"))
    ]
    draw(
        "grid", "Mean α where prices move by whole ticks (n = 1,000)", across, Axis("α", least=0.0, most=10.0), means
    )
    off = [
        line(law + add, law, figure, 100 / indices[law], dashed=bool(add))
        for law in ("Pareto(2)", "t(3)")
        for add, figure in (("", "new_error"), (", old", "old_error"), (", unrounded", "unrounded_error"))
    ]
    draw("error", "Error of α against the law's index (n = 1,000)", across, Axis("%", least=0.0, most=120.0), off)
    held = [line(law, law, "covered", 100.0) for law in ("Pareto(2)", "t(3)", "stable(1.7)", "GARCH")]
    axis = Axis("%", least=0.0, most=100.0)
    draw("coverage", "How often the 90 % interval holds the exponent of the largest 5 %", across, axis, held)


def alternatives(generator: np.random.Generator, replications: int) -> None:
    """Other estimators on the same rounded paths."""
    tables: dict[str, list[list[object]]] = {"mean": [], "root mean square error": [], "covered": []}
    k = np.full(replications, WINDOW // 20)
    for name, law in LAWS.items():
        true = index_of(name, generator)
        for scale in SCALES:
            x, exact = ticks.rounded(generator, law, scale, (replications, WINDOW))
            telling = np.count_nonzero(x >= 2.0, axis=1) >= LEAST_MOVES
            head = [name, f"{scale:g}", percent(telling.mean())]
            if telling.mean() < LEAST_TELLING:
                continue
            moves = ticks.moves_of(generator, x)
            found = [estimator(moves) for estimator in ticks.ESTIMATORS.values()]
            found.append(ticks.hill(ticks.largest_of(exact, int(k[0]) + 1), k))
            tables["mean"].append([*head, *(float(e.alpha[telling].mean()) for e in found)])
            if math.isfinite(true):
                tables["root mean square error"].append([*head, *(_error(e.alpha[telling], true) for e in found)])
                tables["covered"].append([*head, *(percent(e.covers(true)[telling].mean()) for e in found)])
    heads = ("law", "scale", "telling", *ticks.ESTIMATORS, "Hill, unrounded")
    for what, rows in tables.items():
        table(f"Estimators of α side by side, n = 1,000: {what}", heads, rows)


def coverage(generator: np.random.Generator, replications: int) -> None:
    """How often the interval holds the index of Pareto's law, over windows with enough moves."""
    scales = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 5.0, 30.0)
    rows = [
        (
            f"{window:,}",
            f"{index:g}",
            *(_coverage(generator, index, scale, 2 * replications, window) for scale in scales),
        )
        for window in (200, 500, 1000, 5000)
        for index in (1.5, 2.0, 3.0, 4.0)
    ]
    heads = ("n", "Pareto's index, at a scale in ticks of", *(f"{scale:g}" for scale in scales))
    table("How often the 90 % interval holds it, of those windows that tell of a tail", heads, rows)


def _coverage(generator: np.random.Generator, index: float, scale: float, windows: int, window: int) -> str:
    held: list[bool] = []
    for begin in range(0, windows, AT_ONCE):
        x, _ = ticks.rounded(generator, laws.pareto(index), scale, (min(AT_ONCE, windows - begin), window))
        moves = ticks.moves_of(generator, x)
        held += list(ticks.whole_tick(moves).covers(index)[moves.number >= LEAST_MOVES])
    telling = len(held) / windows
    if telling < LEAST_TELLING:
        return "–"
    return percent(float(np.mean(held)), 1) + (f" of {percent(telling)}" if telling < 0.995 else "")


def light(generator: np.random.Generator, replications: int) -> None:
    """What all windows of a normal law read, which has no tail index: not 2 or less, and on a coarse grid no end."""
    rows = []
    for window in (200, 1000, 5000):
        for scale in SCALES:
            x, _ = ticks.rounded(generator, laws.normal, scale, (min(replications, 2_000_000 // window), window))
            found = ticks.fit(ticks.moves_of(generator, x))
            shares = (np.mean(found.alpha <= 2.0), np.mean(found.high >= ALPHA_MOST))
            low = map(float, np.quantile(found.low, (0.05, 0.5, 0.95)))
            rows.append((f"{window:,}", f"{scale:g}", *(percent(float(s), 1) for s in shares), *low))
    heads = ("n", "scale", "α ≤ 2", "`high` is 10", "`low`: 5 %", "median", "95 %")
    table("α of the normal law, in all windows", heads, rows)


def steps(generator: np.random.Generator, replications: int) -> None:
    """By how much one sample moves α, as a window slides for an hour, against the width of its interval."""
    number = max(2, replications // 200)
    rows = []
    for name, law in LAWS.items():
        for scale in SCALES:
            x, _ = ticks.rounded(generator, law, scale, (number, WINDOW + HOUR))
            read = ticks.readings(x, WINDOW)
            step, width = np.abs(np.diff(read.new, axis=1)), read.high - read.low
            by_width = step / np.maximum(np.maximum(width[:, 1:], width[:, :-1]), 1e-9)
            old = np.abs(np.diff(read.old, axis=1))
            figures = [read.new.std(), np.quantile(step, 0.999), step.max(), by_width.max()]
            figures += [read.old.std(), np.quantile(old, 0.999), old.max()]
            rows.append((name, f"{scale:g}", *map(float, figures)))
    of_each = ("std. deviation", "99.9 % of steps", "largest")
    heads = (
        "law",
        "scale",
        *(f"new: {what}" for what in of_each),
        "by interval",
        *(f"old: {what}" for what in of_each),
    )
    table("Steps of α from one sample to the next, n = 1,000", heads, rows)


def memory(generator: np.random.Generator, replications: int) -> None:
    """The autocorrelation of α of moves that are independent: a window slides, and keeps most of what it had."""
    number = max(4, replications // 25)
    rows = []
    for name in ("Pareto(2)", "t(3)", "normal"):
        for scale in (0.5, 1.0, 3.0, 30.0):
            x, _ = ticks.rounded(generator, LAWS[name], scale, (number, WINDOW + 4 * HOUR))
            read = ticks.readings(x, WINDOW, 60)
            correlations = (
                float(np.corrcoef(alpha[:, :-lag].ravel(), alpha[:, lag:].ravel())[0, 1])
                for alpha in (read.new, read.old)
                for lag in (1, 15)
            )
            rows.append((name, f"{scale:g}", *correlations))
    heads = ("law", "scale", "new: after 1 min", "15 min", "old: after 1 min", "15 min")
    table("Autocorrelation of α of independent moves, n = 1,000, one sample a second", heads, rows)
