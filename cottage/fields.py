"""Reads fields of untrusted JSON: each function checks one field and returns its value.

The parsers of states, of messages of the channel and of frames of `cottage.v1` use them. An invalid field raises
InvalidMessage with one of a few words as its reason, by which it is counted.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import orjson

from cottage import keys
from cottage.clock import from_iso
from cottage.errors import InvalidMessage, InvalidName
from cottage.version import Version

_LARGEST = 2**53 - 1  # a browser holds no greater whole number exactly

Fields = Mapping[str, Any]
Word = TypeVar("Word", bound=str)


def load_object(payload: bytes | str) -> dict[str, Any]:
    """The JSON object in `payload`. Raises InvalidMessage("json") or ("object")."""
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise InvalidMessage("json", str(error)) from error
    if not isinstance(value, dict):
        raise InvalidMessage("object", f"a JSON {type(value).__name__}, not an object")
    return value


def version(fields: Fields) -> Version | None:
    """(epoch, seq); None where it has neither. Raises InvalidMessage("version") for half of it."""
    epoch, seq = fields.get("epoch"), fields.get("seq")
    if epoch is None and seq is None:
        return None
    return _version(epoch, seq)


def previous(fields: Fields) -> Version | None:
    """The version that this one replaced, `prev`; None where it says none. Raises InvalidMessage("version")."""
    value = fields.get("prev")
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise InvalidMessage("version", "prev is no pair of epoch and seq")
    return _version(*value)


def _version(epoch: object, seq: object) -> Version:
    # `type() is int`, since True is an int to isinstance
    if type(epoch) is not int or type(seq) is not int or not (0 <= epoch <= _LARGEST and 0 <= seq <= _LARGEST):
        raise InvalidMessage("version", "epoch and seq must both be whole numbers from 0 to 2^53 - 1")
    return Version(epoch, seq)


def check_database(fields: Fields, number: int) -> None:
    """Raises InvalidMessage("db") for a message that was published from another database than `number`.

    A channel of Redis does not belong to a database, so a message says it itself: absent means 0."""
    value = fields.get("db", 0)
    if type(value) is not int or value != number:
        raise InvalidMessage("db", f"published from database {value!r:.20}, and this is {number}")


def optional_time(fields: Fields, name: str) -> str | None:
    """A time as RFC 3339 text, or None. Raises InvalidMessage("timestamp")."""
    value = fields.get(name)
    if value is not None:
        from_iso(value)
    return value


def with_database(message: dict[str, Any], number: int) -> dict[str, Any]:
    """A message that is published from this database: it says so last, unless it is 0."""
    return {**message, "db": number} if number else message


def words(fields: Fields, name: str) -> tuple[str, ...]:
    """A list of words, empty if it is not there. Raises InvalidMessage with the field's name as its reason."""
    value = fields.get(name)
    if value is None:
        return ()
    if not (isinstance(value, list) and all(isinstance(word, str) for word in value)):
        raise InvalidMessage(name, "not a list of words")
    return tuple(value)


def objects(fields: Fields, name: str) -> list[Fields]:
    """A list of objects, empty if it is not there. Raises InvalidMessage with the field's name as its reason."""
    value = fields.get(name)
    if value is None:
        return []
    if not (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
        raise InvalidMessage(name, "not a list of objects")
    return value


def flag(fields: Fields, name: str) -> bool:
    """True or false, which it is if it is not there. Raises InvalidMessage with the field's name as its reason."""
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise InvalidMessage(name, "neither true nor false")
    return value


def symbol(fields: Fields) -> str:
    """Raises InvalidMessage("symbol")."""
    value = fields.get("symbol")
    if not keys.is_symbol(value):
        raise InvalidMessage("symbol", "missing or not a symbol")
    return str(value)


def agent_id(fields: Fields) -> str:
    """Raises InvalidMessage("agent_id")."""
    try:
        return keys.agent_id(fields.get("agent_id"))
    except InvalidName as error:
        raise InvalidMessage("agent_id", str(error)) from error


def shard(fields: Fields) -> str:
    """The name of a shard, such as 0/1. Raises InvalidMessage("shard")."""
    try:
        keys.shard(text(fields, "shard"))
    except InvalidName as error:
        raise InvalidMessage("shard", str(error)) from error
    return text(fields, "shard")


def one_of(fields: Fields, name: str, words: Collection[Word]) -> Word:
    """One of the words that are allowed there. Raises InvalidMessage with the field's name as its reason."""
    value = fields.get(name)
    if not isinstance(value, str) or value not in words:
        raise InvalidMessage(name, "none of " + ", ".join(sorted(words)))
    return value  # type: ignore[return-value]  # it is one of them


def finite(value: object) -> bool:
    """Whether it is a finite JSON number (true and false are none)."""
    return type(value) in (float, int) and math.isfinite(value)  # type: ignore[arg-type]


def number(fields: Fields, name: str) -> float:
    """Raises InvalidMessage("number")."""
    value: Any = fields.get(name)
    if not finite(value):
        raise InvalidMessage("number", f"{name} is not a finite number")
    return float(value)


def optional_number(fields: Fields, name: str) -> float | None:
    return None if fields.get(name) is None else number(fields, name)


def whole(fields: Fields, name: str) -> int:
    """A whole number. Raises InvalidMessage("type")."""
    value = fields.get(name)
    if type(value) is not int:
        raise InvalidMessage("type", f"{name} is not a whole number")
    return value


def optional_count(fields: Fields, name: str) -> int | None:
    """A whole number from 0 on, or None. Raises InvalidMessage("number")."""
    value = fields.get(name)
    if value is None or (type(value) is int and value >= 0):
        return value
    raise InvalidMessage("number", f"{name} is not a whole number from 0")


def text(fields: Fields, name: str) -> str:
    """Raises InvalidMessage("type")."""
    value = fields.get(name)
    if not isinstance(value, str):
        raise InvalidMessage("type", f"{name} is not text")
    return value


def optional_text(fields: Fields, name: str) -> str | None:
    return None if fields.get(name) is None else text(fields, name)


def mapping(fields: Fields, name: str) -> dict[str, Any]:
    """A JSON object within the object. Raises InvalidMessage("type")."""
    value = fields.get(name)
    if not isinstance(value, dict):
        raise InvalidMessage("type", f"{name} is not an object")
    return value
