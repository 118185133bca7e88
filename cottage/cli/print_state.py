"""`cottage state`: prints the states of symbols that are stored in Redis. `make state` uses `print_stored` too."""

from collections.abc import Iterable, Sequence

import orjson

from cottage import keys
from cottage.errors import NoSuchState, RedisUnavailable, StateUnavailable
from cottage.reader.physics_reader import BlockingPhysicsReader
from cottage.reader.reading import Reading
from cottage.redis import connect_asking


def print_stored(url: str, symbols: Sequence[str]) -> None:
    """Print the stored values unchanged. Raises StateUnavailable if some are missing, after printing the others."""
    names = [keys.physics_state(symbol) for symbol in symbols]
    client = connect_asking(url)
    try:
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.execute_command("GET", name)
        values: list[bytes | None] = pipeline.execute()
    finally:
        client.close()
    for value in values:
        if value is not None:
            print(value.decode(errors="backslashreplace"))
    _refuse(f"there is no {name}" for name, value in zip(names, values, strict=True) if value is None)


def print_states(url: str, symbols: Sequence[str], max_age: float | None) -> None:
    """Print each state, validated, with its freshness. Raises StateUnavailable if some are missing, invalid or older
    than `max_age` seconds, after printing the others; raises RedisUnavailable if Redis does not answer."""
    refusals = []
    with BlockingPhysicsReader.connect(url) as reader:
        for symbol in symbols:
            try:
                reading = _read(reader, symbol, max_age)
            except StateUnavailable as refused:
                refusals.append(str(refused))
            else:
                print(orjson.dumps({"symbol": symbol, **reading.as_dict()}).decode())
    _refuse(refusals)


def _read(reader: BlockingPhysicsReader, symbol: str, max_age: float | None) -> Reading:
    distrusted = reader.counts.bad_states.copy()
    reading = reader.get(symbol)
    if reader.problem is not None:
        raise RedisUnavailable(reader.problem)
    if reading is None:
        raise NoSuchState(f"{symbol}: Redis has no state of it")
    if reading.origin == "fallback":
        reasons = ", ".join(reader.counts.bad_states - distrusted)
        raise StateUnavailable(f"{symbol}: what Redis has of it cannot be trusted ({reasons}); --stored shows it")
    return reading if max_age is None else reader.get(symbol, max_age=max_age)


def _refuse(reasons: Iterable[str]) -> None:
    if text := "; ".join(reasons):
        raise StateUnavailable(text)
