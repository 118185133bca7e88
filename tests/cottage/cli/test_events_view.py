"""What a person sees of changes and gaps."""

import io
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from cottage.cli.events_view import render
from tests.cottage.record.recorded_answers import CHANGES, FRESHNESS_CHANGE, GAPS, MISSED, OUTAGE, REGIME_CHANGE


def shown(rows: list[dict[str, Any]], answer: Mapping[str, Any]) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=140).print(render(rows, answer))
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_changes() -> None:
    head, _rule, freshness, regime, last = shown([FRESHNESS_CHANGE, REGIME_CHANGE], CHANGES)
    assert head == "recorded symbol kind α 90 % cause"
    assert freshness == "2025-12-21 12:00:05 * freshness stale feed down"
    assert regime == "2025-12-21 12:00:07.250 SPY regime Lévy Stable → Critical 1.20–1.90"
    assert last == "2 2025-12-21 12:00:00 – 12:00:10 UTC"


def test_gaps_and_outages() -> None:
    lasting = {**OUTAGE, "until": None, "cause": None}
    _head, _rule, outage, still, missed, _last = shown(
        [{"kind": "outage", **OUTAGE}, {"kind": "outage", **lasting}, MISSED], GAPS
    )
    assert outage == "2025-12-21 12:00:06 market outage 2025-12-21 12:00:04 – 12:00:06 feed down"
    assert still == "2025-12-21 12:00:06 market outage since 2025-12-21 12:00:04"
    assert missed == "2025-12-21 12:00:06.500 SPY missed until 2025-12-21 12:00:06 recorder down"


def test_none_is_said_with_its_time() -> None:
    assert shown([], GAPS) == ["none 2025-12-21 12:00:00 – 12:00:10 UTC"]
