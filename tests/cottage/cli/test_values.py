"""Values of options; those of whole command lines are in test_arguments.py."""

import argparse
from collections.abc import Callable

import pytest

from cottage.cli.values import names, seconds, symbols


def test_lists_have_commas() -> None:
    assert symbols("SPY, QQQ,") == ["SPY", "QQQ"]
    assert names("price, alpha,") == ["price", "alpha"]
    assert seconds("1.5") == 1.5


@pytest.mark.parametrize(
    ("kind", "text"), [(symbols, "spy"), (names, ""), (names, "Price"), (names, "a b"), (seconds, "inf")]
)
def test_anything_else_is_refused(kind: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        kind(text)
