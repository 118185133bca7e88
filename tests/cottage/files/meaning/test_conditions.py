"""Which prints set a price, which count for the volume, and which are an auction's."""

import pytest

from cottage.files.meaning.conditions import Verdict, look_like_tapes, verdicts


@pytest.mark.parametrize(
    ("table", "cell", "verdict"),
    [
        ("tapes", "@", (True, True, False)),
        ("tapes", "@ TI", (True, True, False)),
        ("tapes", "@,I", (True, True, False)),
        ("tapes", "@  W", (False, True, False)),
        ("tapes", "@ Z ", (False, True, False)),
        ("tapes", "@  M", (False, False, False)),
        ("tapes", "@  9", (True, False, False)),
        ("tapes", "@O X", (True, True, True)),
        ("tapes", "@6", (True, True, True)),
        ("polygon", "", (True, True, False)),
        ("polygon", "12,37", (True, True, False)),
        ("polygon", "2", (False, True, False)),
        ("polygon", "15", (False, False, False)),
        ("polygon", "8,41", (True, True, True)),
    ],
)
def test_what_counts(table: str, cell: str, verdict: tuple[bool, bool, bool]) -> None:
    assert verdicts(table, "")(cell) == Verdict(*verdict)


def test_the_rule_of_the_tape_and_all() -> None:
    assert verdicts("tapes", "tape")("@ TI") == Verdict(price=False, volume=True, auction=False)
    assert verdicts("polygon", "tape")("37") == Verdict(price=False, volume=True, auction=False)
    assert verdicts("tapes", "all")("@  W") == Verdict(price=True, volume=True, auction=False)


def test_conditions_of_the_tapes_are_known_by_their_looks() -> None:
    assert look_like_tapes(["@ TI", "", "@,I", "@O X"])
    assert not look_like_tapes(["80000001"])
    assert not look_like_tapes(["", ""])
