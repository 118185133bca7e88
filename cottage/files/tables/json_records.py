"""Where the rows are in a JSON value, as exchanges, vendors and pandas wrap them."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cottage.files.cell_table import SYMBOL_NAMES
from cottage.files.cells.numbers import is_number
from cottage.files.cells.times import is_time

Record = dict[str, str] | list[str]
"""A row: cells by name, or in order where they have no names."""
_FEWEST_COLUMNS = 3
_MOST_AROUND = 5
_WORDS = frozenset(
    ("DATA", "RESULT", "RESULTS", "ROWS", "ITEMS", "RECORDS", "BARS", "TRADES", "QUOTES", "OHLC", "OHLCV")
)
"""Names in capitals that are no symbols."""
_BETWEEN = re.compile(r"[\s,]*")
_CONTAINERS = (dict, list)
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)


class NoRecords(Exception):
    """Raised for a value that holds no rows, or several kinds of them. The text says why."""


def decoded(text: str) -> Iterator[Any]:
    """The JSON values in a text, one after the other, their numbers as text. Raises ValueError, or RecursionError."""
    place = 0
    while (place := _BETWEEN.match(text, place).end()) < len(text):  # type: ignore[union-attr]
        value, place = _DECODER.raw_decode(text, place)
        yield value


def records(value: Any, is_message: bool, around: Mapping[str, str] | None = None) -> Iterator[Record]:
    """The rows in a value. Words that an envelope says beside them are columns of theirs; if it is one of many
    messages, so are times. Its other numbers are counts, and no row's. Raises NoRecords."""
    around = around or {}
    if isinstance(value, dict):
        yield from _of_object(value, is_message, around)
    elif isinstance(value, list):
        yield from _of_list(value, is_message, around)
    else:
        raise NoRecords(f"{_text(value)!r} is no row")


def _of_list(value: list[Any], is_message: bool, around: Mapping[str, str]) -> Iterator[Record]:
    inner = [each for each in value if isinstance(each, _CONTAINERS)]
    if value and not inner:
        symbol = next(([cell] for name, cell in around.items() if name.lower() in SYMBOL_NAMES), [])
        yield symbol + [_text(each) for each in value]
    elif len(inner) != len(value):
        raise NoRecords("rows and single values stand beside each other in a list")
    for each in inner:
        yield from records(each, is_message, around)


def _of_object(value: dict[str, Any], is_message: bool, around: Mapping[str, str]) -> Iterator[Record]:
    held = [each for each in value.values() if isinstance(each, _CONTAINERS)]
    if len(held) < _FEWEST_COLUMNS and all(map(_is_list_of_scalars, held)):
        yield {**around, **_flat(value)}
        return
    scalars = {name: _text(each) for name, each in value.items() if not isinstance(each, _CONTAINERS)}
    objects = [each for each in value.values() if isinstance(each, dict) and each]
    inner = {name: each for name, each in value.items() if _holds_rows(each)}
    if (columns := _parallel(value)) is not None:
        said = _shortened(_said(value, is_message))
        for cells in zip(*_shortened(columns).values(), strict=True):
            row = dict(zip(_shortened(columns), map(_text, cells), strict=True))
            yield {**around, **said, **row}
    elif inner and sum(map(_cells, inner.values())) >= len(scalars):
        yield from _of_envelope(value, inner, is_message, around)
    elif _is_by_time(value):
        for time, each in value.items():
            yield {**around, "time": time, **_flat(each)}
    elif not scalars and (rows := _by_index(value)):
        yield from ({**around, **row} for row in rows)
    elif len(objects) == 1 and len(scalars) <= min(_MOST_AROUND, _cells(objects[0])):
        yield from _of_object(objects[0], is_message, {**around, **scalars})
    else:
        yield {**around, **_flat(value)}


def _of_envelope(
    value: dict[str, Any], inner: dict[str, Any], is_message: bool, around: Mapping[str, str]
) -> Iterator[Record]:
    """The rows of an object that holds them below some of its names, which are symbols if they are in capitals."""
    if len(inner) > 1 and (timed := _by_equal_times(inner)):
        yield from ({**around, **row} for row in timed)
        return
    if len(inner) > 1 and not all(map(_is_symbol, inner)):
        raise NoRecords("several lists stand beside each other: " + ", ".join(inner))
    said = _said({name: each for name, each in value.items() if name not in inner}, is_message)
    said = {**around, **_shortened(said)}
    for name, rows in inner.items():
        named = {**said, "symbol": name} if _is_symbol(name) else said
        found = records(rows, is_message, named)
        yield from _named(found, value, rows) if isinstance(rows, list) else found


def _by_equal_times(inner: dict[str, Any]) -> list[dict[str, str]]:
    """The rows of lists that stand beside each other, each of times and values, where the times are the same; none
    where they are no such lists."""
    if not all(_is_table(each) and all(len(pair) == 2 for pair in each) for each in inner.values()):
        return []
    columns = list(inner.values())
    times = [pair[0] for pair in columns[0]] if isinstance(columns[0][0], list) else []
    if not all(map(is_time, times)) or any([pair[0] for pair in each] != times for each in columns):
        return []
    values = zip(*([_text(pair[1]) for pair in each] for each in columns), strict=True)
    return [{"time": time, **dict(zip(inner, row, strict=True))} for time, row in zip(times, values, strict=True)]


def _named(found: Iterator[Record], value: dict[str, Any], rows: list[Any]) -> Iterator[Record]:
    """Rows without names under those that a list beside them has, as pandas and Nasdaq write them."""
    lists = [each for each in value.values() if isinstance(each, list) and each is not rows]
    for number, record in enumerate(found):
        width = len(rows[0])
        names = next((each for each in lists if len(each) == width and all(map(_is_name, each))), None)
        index = next((each for each in lists if len(each) == len(rows) and each is not names), None)
        if names is None or isinstance(record, dict):
            yield record
        else:
            row = dict(zip(names, record[-width:], strict=True))
            yield row if index is None else {"": _text(index[number]), **row}


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and not is_number(value)


def _is_symbol(name: str) -> bool:
    return name == name.upper() and any(map(str.isalpha, name)) and len(name) > 1 and name not in _WORDS


def _is_table(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(each, dict) for each in value) or all(isinstance(each, list) for each in value)


def _is_list_of_scalars(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(each, _CONTAINERS) for each in value)


def _holds_rows(value: Any) -> bool:
    if isinstance(value, dict):
        return _is_by_time(value) or _parallel(value) is not None or any(map(_holds_rows, value.values()))
    return _is_table(value)


def _is_by_time(value: dict[str, Any]) -> bool:
    return bool(value) and all(isinstance(each, dict) and is_time(name) for name, each in value.items())


def _by_index(value: dict[str, Any]) -> list[dict[str, str]]:
    """The rows of columns whose cells are by the index, as pandas writes them; none where it is no such table."""
    columns = list(value.values())
    if len(columns) < 2 or not all(isinstance(each, dict) and each.keys() == columns[0].keys() for each in columns):
        return []
    if any(isinstance(cell, _CONTAINERS) for each in columns for cell in each.values()):
        return []
    return [{"": index, **{name: _text(each[index]) for name, each in value.items()}} for index in columns[0]]


def _parallel(value: dict[str, Any]) -> dict[str, list[Any]] | None:
    """The columns of an object that holds each as a list, under their nested names; None where it does not. Raises
    NoRecords if one is longer than others."""
    lists = dict(_lists(value, ""))
    if len(lists) < _FEWEST_COLUMNS:
        return None
    length, number = Counter(map(len, lists.values())).most_common(1)[0]
    if number < _FEWEST_COLUMNS:
        return None
    columns = {name: each for name, each in lists.items() if len(each) == length}
    homes = {name.rpartition(".")[0] for name in columns}
    for name, each in lists.items():
        if len(each) != length and name.rpartition(".")[0] in homes:
            raise NoRecords(f"its columns are of different lengths: {name} has {len(each)} cells, others {length}")
    return columns


def _lists(value: Any, name: str) -> Iterator[tuple[str, list[Any]]]:
    """The lists of single values in an object, also below objects and below lists of one object."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]
    if isinstance(value, dict):
        for inner, each in value.items():
            yield from _lists(each, f"{name}.{inner}" if name else inner)
    elif value and _is_list_of_scalars(value):
        yield name, value


def _said(value: Any, is_message: bool, name: str = "") -> dict[str, str]:
    """What an envelope says beside rows, under nested names."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        said: dict[str, str] = {}
        for inner, each in value.items():
            said |= _said(each, is_message, f"{name}.{inner}" if name else inner)
        return said
    if isinstance(value, list | bool) or value in (None, ""):
        return {}
    is_said = is_message if is_time(value) else not is_number(value)
    return {name: value} if is_said else {}


def _shortened(cells: dict[str, Any]) -> dict[str, Any]:
    """Under the last parts of their nested names, where no two are the same."""
    lasts = {name: name.rpartition(".")[2].strip() for name in cells}
    numbers = Counter(lasts.values())
    return {lasts[name] if numbers[lasts[name]] == 1 else name: each for name, each in cells.items()}


def _cells(value: Any) -> int:
    """How many single values there are in a value."""
    if isinstance(value, _CONTAINERS):
        return sum(map(_cells, value.values() if isinstance(value, dict) else value))
    return 1


def _flat(value: dict[str, Any], name: str = "") -> dict[str, str]:
    """The cells of a row, nested names joined by a dot."""
    flat: dict[str, str] = {}
    for inner, each in value.items():
        if isinstance(each, dict):
            flat |= _flat(each, f"{name}{inner}.")
        else:
            flat[name + inner] = each if isinstance(each, str) else _text(each)
    return flat


def _text(value: Any) -> str:
    """The cell that a value is; of several single values one with commas."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if _is_list_of_scalars(value):
        return ",".join(map(_text, value))
    return json.dumps(value, separators=(",", ":"))


def widths(rows: Sequence[Record]) -> int:
    """How many cells most rows without names have; 0 if most have names."""
    return Counter(0 if isinstance(row, dict) else len(row) for row in rows).most_common(1)[0][0]
