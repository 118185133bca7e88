"""Numbers and words in cells; those of whole tables are in test_table.py."""

import pytest

from cottage.cli.texts import interval_text, moment_text, price_text, printable, span_text


@pytest.mark.parametrize(
    ("price", "text"), [(450.0, "450.00"), (1.23456, "1.2346"), (12_345.678, "12,345.68"), (0.5, "0.5"), (None, "")]
)
def test_prices(price: object, text: str) -> None:
    assert price_text(price) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(2.4, 4.9, "2.40–4.90"), (2.9, 10.0, "≥ 2.90"), (None, 4.9, ""), (2.4, "4.9", ""), (0.5, 10.0, "")],
)
def test_intervals(low: object, high: object, text: str) -> None:
    assert interval_text(low, high) == text


def test_times_are_shown_as_short_as_they_can_be() -> None:
    assert moment_text("2025-12-21T14:31:07.000Z") == "2025-12-21 14:31:07"
    assert moment_text("2025-12-21T14:31:07.250Z") == "2025-12-21 14:31:07.250"
    begin, end = "2025-12-21T14:31:07.000Z", "2025-12-21T14:31:08.500Z"
    assert span_text(begin, end) == "2025-12-21 14:31:07 – 14:31:08.500"
    assert span_text(begin, "2025-12-22T00:00:00.000Z") == "2025-12-21 14:31:07 – 2025-12-22 00:00:00"


def test_what_a_terminal_would_obey_is_replaced() -> None:
    assert printable("a\x1b[2Jé\n") == "a�[2Jé�"
    assert printable(17) == ""
