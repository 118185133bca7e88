"""Mutations of inputs: of any bytes, of JSON, and of lines of cells. Pure, but for the passed generator."""

import json
import random
from collections.abc import Sequence
from typing import Any

NUMBERS = (
    *(b"0", b"-0", b"1", b"-1", b"63", b"64", b"65", b"127", b"128", b"255", b"256", b"65535", b"65536"),
    *(b"2147483647", b"2147483648", b"4294967295", b"4294967296", b"9007199254740991", b"9007199254740992"),
    *(b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"1e308", b"1e309", b"-1e309"),
    *(b"NaN", b"nan", b"Infinity", b"-inf", b"1e-320", b"0.1", b"1_000", b"1,5", b"0x10", b"\xd9\xa1", b"1" * 400),
)
MOST_REPEATED = 256 * 1024
"""Letters that come of what is repeated in a list."""
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, 2**53 - 1, 2**53, 2**63, 2**64, 10**30, float("nan")),
    *(
        "",
        "*",
        "SPY",
        "spy",
        "A" * 300,
        "\x00",
        "\ud800",
        "é",
        "\u202e",
        "2026-11-26T12:00:00Z",
        "9999-12-31T23:59:60Z",
    ),
    *([], {}, [[]], ["SPY"], ["*"], [None], [1, 2], [0, 2**60], {"a": 1}, [{}], "0/1", "1/0", "0/9999999999", "NaN"),
)


def mutated(data: bytes, pool: Sequence[bytes], words: Sequence[bytes], source: random.Random, longest: int) -> bytes:
    """`data` with one to some changes; `pool`: other inputs, of which parts may come."""
    for _ in range(1 << source.randrange(4)):
        data = _of_bytes(data, pool, words, source)
    return data[:longest]


def _of_bytes(data: bytes, pool: Sequence[bytes], words: Sequence[bytes], source: random.Random) -> bytes:
    size = len(data)
    at = source.randrange(size + 1)
    end = min(size, at + source.choice((1, 1, 2, 4, 8, 32, 256)))
    match source.randrange(10):
        case 0 if at < size:
            return data[:at] + bytes([data[at] ^ 1 << source.randrange(8)]) + data[at + 1 :]
        case 1 if at < size:
            return data[:at] + source.randbytes(1) + data[at + 1 :]
        case 2:
            return data[:at] + data[end:]
        case 3:
            return data[:at] + data[at:end] * source.choice((2, 3, 10, 100)) + data[end:]
        case 4:
            return data[:at] + source.randbytes(source.choice((1, 2, 4, 8))) + data[at:]
        case 5 if words:
            return data[:at] + source.choice(words) + data[source.choice((at, end)) :]
        case 6:
            return data[:at] + source.choice(NUMBERS) + data[end:]
        case 7 if pool:
            other = source.choice(pool)
            cut = source.randrange(len(other) + 1)
            return data[:at] + other[cut : cut + source.choice((8, 64, 1024, 1 << 20))] + data[end:]
        case 8 if size >= 4:
            width = source.choice((1, 2, 4, 8))
            value = source.choice((0, 1, -1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 62))
            order = source.choice(("little", "big"))
            packed = (value & (1 << 8 * width) - 1).to_bytes(width, order)  # type: ignore[arg-type]
            return data[:at] + packed + data[at + width :]
        case 9:
            return data[:at]
    return data


def of_json(data: bytes, source: random.Random) -> bytes:
    """`data` with some value or name in it changed, where it is JSON; as it is where it is not."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return data
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        value = _changed(value, source)
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=source.random() < 0.9).encode(
            errors=source.choice(("replace", "surrogatepass"))
        )
    except (ValueError, RecursionError):
        return data


def _changed(value: Any, source: random.Random) -> Any:
    if isinstance(value, dict) and value and source.random() < 0.85:
        name = source.choice(list(value))
        match source.randrange(8):
            case 0:
                return {key: each for key, each in value.items() if key != name}
            case 1:
                return {source.choice((name + "x", "", "symbol", "epoch")): value[name], **value}
            case 2:
                other = source.choice(list(value))
                return {**value, name: value[other]}
            case _:
                return {**value, name: _changed(value[name], source)}
    if isinstance(value, list) and value and source.random() < 0.85:
        at = source.randrange(len(value))
        match source.randrange(6):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                times = source.choice((2, 70, 5000))
                if type(value[at]) in (list, dict) or len(str(value[at])) * times > MOST_REPEATED:
                    times = 2  # or the search itself would fill memory
                return value[:at] + [value[at]] * times + value[at + 1 :]
            case _:
                return [*value[:at], _changed(value[at], source), *value[at + 1 :]]
    if type(value) in (int, float) and source.random() < 0.4:
        return source.choice((value + 1, value - 1, -value, value * 2**20, float(value), str(value)))
    if source.random() < 0.02:
        nested: Any = value
        for _ in range(source.choice((10, 130, 1500))):
            nested = [nested] if source.random() < 0.5 else {"a": nested}
        return nested
    return source.choice(VALUES)


def of_lines(data: bytes, source: random.Random) -> bytes:
    """`data` with lines or their cells changed, doubled, moved or left out."""
    lines = data.split(b"\n")
    at = source.randrange(len(lines))
    match source.randrange(6):
        case 0:
            lines[at : at + 1] = []
        case 1:
            lines[at:at] = [lines[at]] * source.choice((1, 2, 300))
        case 2:
            other = source.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            mark = source.choice((b",", b",", b";", b"\t", b"=", b"|"))
            cells = lines[at].split(mark)
            cell = source.randrange(len(cells))
            match source.randrange(4):
                case 0:
                    cells[cell : cell + 1] = []
                case 1:
                    cells[cell:cell] = [cells[cell]]
                case 2:
                    cells[cell] = source.choice(NUMBERS)
                case _:
                    cells[cell] = source.choice((b"", b'"', b"SPY", b"2026-11-26", b"12:00", b"price", b"#", b"None"))
            lines[at] = mark.join(cells)
    return b"\n".join(lines)
