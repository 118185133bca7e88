"""What is said of a text that is no number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage.plain_numbers import not_a_number, not_a_time, too_far

INSTEAD = {
    "1,234.5": "1234.5",
    "12,345,678": "12345678",
    "12,34,567.5": "1234567.5",
    "1.234.567": "1234567",
    "1 234": "1234",
    "1_000": "1000",
    "1'234.50": "1234.50",
    "450,32": "450.32",
    "1.234,56": "1234.56",
    "1 234,5": "1234.5",
    "$450.32": "450.32",
    "-$5.00": "-5.00",
    "450.32 USD": "450.32",
    "HK$450": "450",
    "€ 1.234,50": "1234.50",
    "12.5%": "12.5",
    '"450.32"': "450.32",
    "b'450.32'": "450.32",
    "٣٤": "34",
    "４５０": "450",
    "\N{MINUS SIGN}5": "-5",
}


@pytest.mark.parametrize("text", INSTEAD)
def test_the_number_to_write_is_told(text: str) -> None:
    said = not_a_number(text)
    assert said.startswith(repr(text))
    assert said.endswith(f" write {INSTEAD[text]}")


def test_a_comma_that_may_be_either_is_told_as_either() -> None:
    assert not_a_number("1,234").endswith("write 1234, or 1.234 if the comma is a decimal one")


@pytest.mark.parametrize("text", ["109'16", "450'32", "4 50", "1,234,56", "12_34"])
def test_a_number_is_not_guessed_from_groups_of_two_digits(text: str) -> None:
    """109'16 is 109 and 16 thirty-seconds of a bond."""
    assert "write" not in not_a_number(text)


@pytest.mark.parametrize("text", ["", "  ", "None", "null", "NaN", "N/A", "-", "undefined"])
def test_what_stands_for_no_value_is_to_be_left_out(text: str) -> None:
    assert "leave the field out" in not_a_number(text)


@pytest.mark.parametrize("text", ["1.5K", "89M", "450.32f"])
def test_a_unit_is_to_be_left_out(text: str) -> None:
    assert not_a_number(text).endswith("write the number alone, in full")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("2023-12-21T16:00:00.25Z", "1703174400.25"),
        ("2023-12-21T18:00:00+02:00", "1703174400"),
        ("2023-12-21 16:00", "1703174400 if it is UTC"),
        ("12/21/2023 4pm", "such as 1703174400.25"),
        ("Thu, 21 Dec 2023", "such as 1703174400.25"),
    ],
)
def test_of_a_date_the_seconds_since_1970_are_told(text: str, advice: str) -> None:
    assert not_a_time(text).endswith(f"write the seconds since 1970, {advice}")


@pytest.mark.parametrize(
    ("ahead", "local"),
    [(61.0, False), (3600.3, True), (-3600.0, False), (19_790.0, True), (1000.0, False), (1e6, False)],
)
def test_a_time_that_is_ahead_by_a_zone_looks_like_local_time(ahead: float, local: bool) -> None:
    assert ("local time" in too_far(1.7e9 + ahead, ahead)) is local


def test_a_date_in_digits_is_no_unit() -> None:
    assert too_far(20231221160000.0, 2e13).endswith("write the seconds since 1970, 1703174400 if it is UTC")
    assert too_far(17031744002500.0, 1e13).endswith("divide by 1,000"), "there is no month 17"


@given(st.text(max_size=200))
def test_whatever_comes_gives_one_short_line(text: str) -> None:
    for said in (not_a_number(text), not_a_time(text)):
        assert said.isprintable()
        assert len(said) < 300
