import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage.notes import BITS, MOST_NOTES, NOTES, OF_A_TICK, parse, words
from tests.support import ROOT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, []),
        (b"", []),
        (b" , ", []),
        ("auction", ["auction"]),
        (b"mid,jump", ["jump", "mid"]),
        (b"late  auction,\tlate", ["auction", "late"]),
        (b"Auction 1st _x <b> caf\xc3\xa9 \xff ok", ["ok"]),
        ("a" * 24 + " " + "b" * 25, ["a" * 24]),
        (" ".join(f"w{i}" for i in range(20)), [f"w{i}" for i in range(8)]),
        ("x " * 10_000, []),
    ],
)
def test_words_are_read_from_a_snapshot(text: str | bytes | None, expected: list[str]) -> None:
    assert words(*parse(text)) == expected


@given(st.text() | st.binary())
def test_whatever_a_feed_writes_there_are_few_words(text: str | bytes) -> None:
    found = words(*parse(text))
    assert len(found) == len(set(found)) <= MOST_NOTES
    assert all(re.fullmatch("[a-z][a-z0-9_]{0,23}", word, re.ASCII) for word in found)


def test_bits_and_words_are_one_table() -> None:
    for word in NOTES:
        assert words(BITS[word]) == [word]
    assert len(words(sum(BITS.values()), ("more",))) == MOST_NOTES
    assert set(NOTES) > OF_A_TICK


def test_the_protocol_has_the_same_table() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text()
    table = text.split("### Notes", 1)[1].split("\n#", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|$", table, re.MULTILINE)
    assert dict(rows) == NOTES
