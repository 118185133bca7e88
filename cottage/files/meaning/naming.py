"""Where a file's symbols are from: a column, the names of its columns, its own name, or SYMBOL=."""

from itertools import repeat

from cottage.errors import UnusableSource
from cottage.files.cell_table import Ambiguous, Guess
from cottage.files.columns import keys_of, words
from cottage.files.meaning.case import Case

_STATUSES = words("ok success error no_data")
"""What an answer says of itself, beside its rows: `"s": "ok"`."""
_SEVERAL = 0.2
"""The share of bars with the time of another that shows several markets; a repeated page or hour has fewer."""


def find_symbol(case: Case) -> None:
    """Where symbols are from: the option, a column, the file's name."""
    roles, stated = case.roles, case.options.symbol
    names = [name.strip().lower() for name in case.sample.names or ()]
    if stated and stated.lower() in names:
        roles["symbol"] = names.index(stated.lower())
    elif stated:
        roles.pop("symbol", None)
        _same_symbol(case, stated, "SYMBOL=")
        return
    place = roles.get("symbol")
    if place is not None and not (case.sample.is_empty(place) or set(case.sample.columns[place]) <= _STATUSES):
        read = case.symbols.read
        case.parts.symbol = lambda cells: read(cells[place])
        case.symbols_from = f"column {case.sample.label(place)}"
        return
    roles.pop("symbol", None)
    if case.symbol_in_names:
        _same_symbol(case, case.symbol_in_names, "the columns' names")
        return
    named, others = case.named.symbol, case.named.others
    if named is None:
        likely = others[0] if others else "BTC-USD"
        maybe = f" (is it one of {', '.join(others)}?)" if others else ""
        raise Ambiguous(
            Guess(
                f"{case.sample.name}: no column and no file's name tells the symbol{maybe}",
                likely,
                "any other",
                f"SYMBOL={likely}",
            )
        )
    _same_symbol(case, named, "the file's name")
    if others or case.sample.names is not None or case.vendor is None:
        other = " or ".join(others) or "any other"
        case.guesses.append(Guess("the symbol, from the file's name", case.symbols.read(named)[0], other, "SYMBOL="))


def refuse_several_classes(case: Case) -> None:
    """Refuse a file of TAQ's with classes of one share, `BRK A` and `BRK B`, whose symbols are the same but for a
    column of suffixes: they would be taken for one."""
    names = keys_of(case.sample.names or ())
    if "symsuffix" not in names or "symbol" not in case.roles:
        return
    symbols, suffixes = (case.sample.columns[place] for place in (case.roles["symbol"], names.index("symsuffix")))
    classes: dict[str, str] = {}
    for symbol, suffix in zip(symbols, suffixes, strict=True):
        if (other := classes.setdefault(symbol, suffix)) != suffix:
            raise UnusableSource(
                f"{case.sample.name}: {symbol} {other} and {symbol} {suffix} are two shares, which the column "
                f"{case.sample.label(case.roles['symbol'])} does not tell apart: split the file by its suffixes"
            )


def refuse_several_markets(case: Case) -> None:
    """Refuse bars of which many have the time of another of their symbol and a different open: they are of several
    markets, and would be taken for one."""
    place = case.roles.get("open")
    if case.kind != "bars" or place is None:
        return
    first: dict[tuple[str, int | None], str] = {}
    opens = case.sample.columns[place]
    symbols = case.sample.columns[case.roles["symbol"]] if "symbol" in case.roles else repeat("")
    bars = zip(symbols, case.stamps, opens, strict=False)
    others = sum(first.setdefault((symbol, stamp), opened) != opened for symbol, stamp, opened in bars)
    if others > _SEVERAL * len(opens):
        raise UnusableSource(
            f"{case.sample.name}: {others} of its first {len(opens)} bars have the time of another and a different "
            f"open, such as {case.sample.first_line()}: it holds several markets, and {case.symbols_from} does not "
            "tell which; SYMBOL= names the column that does"
        )


def _same_symbol(case: Case, text: str, source: str) -> None:
    found = case.symbols.read(text)
    case.parts.symbol = lambda _cells: found
    case.symbols_from = source
