"""Fields of JSON that somebody else wrote: each is read by its rule, or refused with its reason."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cottage import fields
from cottage.errors import InvalidMessage

Reader = Callable[[Any, str], Any]


def each(read: Reader, reason: str, *values: Any) -> Iterator[tuple[Reader, Any, str]]:
    return ((read, value, reason) for value in values)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (fields.number, 1),
        (fields.number, -2.5),
        (fields.optional_number, None),
        (fields.optional_number, 0.0),
        (fields.whole, -3),
        (fields.optional_count, 0),
        (fields.optional_count, None),
        (fields.text, ""),
        (fields.optional_text, None),
        (fields.mapping, {"a": 1}),
    ],
)
def test_what_may_be_there(read: Reader, value: Any) -> None:
    assert read({"field": value}, "field") == value


@pytest.mark.parametrize(
    ("read", "value", "reason"),
    [
        *each(fields.number, "number", None, True, "1", float("nan"), float("inf"), []),
        *each(fields.optional_number, "number", False, "1", float("nan")),
        *each(fields.whole, "type", None, True, 1.0, "1"),
        *each(fields.optional_count, "number", -1, True, 1.0, "1"),
        *each(fields.text, "type", None, 1, []),
        *each(fields.optional_text, "type", 1, []),
        *each(fields.mapping, "type", None, [], "{}"),
    ],
)
def test_what_may_not(read: Reader, value: Any, reason: str) -> None:
    with pytest.raises(InvalidMessage, match="field") as refusal:
        read({"field": value}, "field")
    assert refusal.value.reason == reason


def test_words_and_names() -> None:
    assert fields.one_of({"status": "live"}, "status", ("live", "stale")) == "live"
    assert fields.agent_id({"agent_id": "analyst_001"}) == "analyst_001"
    assert fields.symbol({"symbol": "BRK.B"}) == "BRK.B"
    words: list[Any] = [None, "dead", ["live"]]
    for word in words:
        with pytest.raises(InvalidMessage) as refusal:
            fields.one_of({"status": word}, "status", ("live", "stale"))
        assert refusal.value.reason == "status"
    for read, name in ((fields.agent_id, "agent_id"), (fields.symbol, "symbol")):
        for value in (None, "a b", 7):
            with pytest.raises(InvalidMessage) as refusal:
                read({name: value})
            assert refusal.value.reason == name
