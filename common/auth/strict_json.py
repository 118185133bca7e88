"""Reads JSON that strangers wrote about themselves: one text has one meaning, or it is refused. Pure.

Two members of the same name mean one thing to one reader and another to the next, so there are none here.
"""

import json
from collections.abc import Iterable
from typing import Any


def strict_object(text: bytes) -> dict[str, Any]:
    """The JSON object that `text` is. Raises ValueError for anything else: also for what is no UTF-8, has a member
    twice, NaN or infinity, or is nested too deeply."""
    try:
        value = _decoder.decode(text.decode())
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("is no JSON object")
    return value


def _members(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError("has a member twice")
        members[name] = value
    return members


def _no_number(_text: str) -> Any:
    raise ValueError("has a number that JSON has not")


_decoder = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_number)
