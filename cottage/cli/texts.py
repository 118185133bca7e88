"""Numbers and words as cells of a terminal's tables show them. Pure."""

from typing import Any

from cottage.fields import finite
from cottage.state import ALPHA_LEAST, ALPHA_MOST


def price_text(price: Any) -> str:
    """With at least two decimals and at most six digits or four decimals, as many as it takes. Empty for anything but
    a number."""
    if not finite(price):
        return ""
    if abs(price) < 1:
        return f"{price:.6g}"
    if abs(price) >= 10_000:
        return f"{price:,.2f}"
    whole, _, decimals = f"{price:,.4f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"


def interval_text(low: Any, high: Any) -> str:
    """The interval of a tail index: `2.40–4.90`, or `≥ 2.90` where it has no upper end. Empty where it is not known,
    which is also one from bound to bound."""
    if not (finite(low) and finite(high)) or is_unbounded(low, high):
        return ""
    return f"{low:.2f}–{high:.2f}" if high < ALPHA_MOST else f"≥ {low:.2f}"


def is_unbounded(low: float, high: float) -> bool:
    """Whether an interval of a tail index says nothing, as that of a state without enough returns."""
    return low <= ALPHA_LEAST and high >= ALPHA_MOST


def moment_text(text: str) -> str:
    """A time of RFC 3339 in UTC without its T and Z, and without milliseconds that are 0."""
    return text.replace("T", " ").removesuffix("Z").removesuffix(".000")


def span_text(begin: str, end: str) -> str:
    """Two times of RFC 3339 in UTC; the day of the second one only where it is another."""
    is_one_day = begin[:10] == end[:10]
    return f"{moment_text(begin)} – {moment_text(end[11:] if is_one_day else end)}"


def printable(value: object) -> str:
    """Text from outside, without the control characters that a terminal would obey. Anything but text is empty."""
    return "".join(each if each.isprintable() else "�" for each in value) if isinstance(value, str) else ""
