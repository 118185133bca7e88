"""Values of options as the commands take them. Each raises ArgumentTypeError. Pure."""

import argparse
import math
import re
from contextlib import suppress

from cottage import keys
from cottage.errors import InvalidName
from cottage.record.manifest import as_head

_FIELD = re.compile(r"[a-z_]{1,32}")


def symbols(text: str) -> list[str]:
    """The symbols of a list with commas."""
    return [symbol(name) for name in text.split(",") if name.strip()]


def symbol(text: str) -> str:
    """One symbol."""
    try:
        return keys.symbol(text.strip())
    except InvalidName as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def chain_head(text: str) -> str:
    """A head of a record's chain."""
    try:
        return as_head(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def names(text: str) -> list[str]:
    """The names of fields in a list with commas."""
    named = [name.strip() for name in text.split(",") if name.strip()]
    if not named or any(_FIELD.fullmatch(name) is None for name in named):
        raise argparse.ArgumentTypeError("must be names of fields with commas between them, such as price,alpha")
    return named


def seconds(text: str) -> float:
    """A finite number of seconds from 0."""
    with suppress(ValueError):
        if 0 <= (value := float(text)) < math.inf:  # written so that NaN is refused as well
            return value
    raise argparse.ArgumentTypeError("must be seconds from 0")
