"""What a person sees of a history."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from cottage.cli.history_view import render
from tests.cottage.record.recorded_answers import empty, history, point


def shown(*histories: Mapping[str, Any], width: int = 120, height: int = 40) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(render(histories, width, height))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def of(points: Sequence[Mapping[str, Any]], **fields: Any) -> dict[str, Any]:
    return {**history("SPY"), "points": points, **fields}


def test_of_one_symbol_there_are_charts_with_regimes_and_gaps_beneath() -> None:
    lines = shown(history("SPY"))
    assert lines[:2] == ["SPY  simulate  2025-12-21 12:00:00 – 12:00:10 UTC  10 points", "up to version 7-42"]
    assert lines[2:8] == [
        "    459.50 ┤        ▄█",
        "           ┤      ▄█▀",
        "           ┤      ▀",
        "     price ┤   ▄",
        "           ┤ ▄█▀",
        "    449.50 ┤█▀",
    ]
    assert lines[8:12] == [
        "      4.50 ┤████  ████",
        "           ┤████  ████",
        "    α 90 % ┤████  ████",
        "      2.00 ┤████  ████",
    ]
    assert lines[12:17] == [
        "           ┤  ▾   ▾▾",
        "    regime ┤··──  ▒███",
        "      gaps ┤    ××",
        "            12:00:00 12:00:09",
        "            · WAIT  ─ Gaussian  ▒ Lévy Stable  █ Critical",
    ]


def test_its_points_are_listed_without_those_of_which_nothing_is_known() -> None:
    lines = shown(history("SPY"))
    head = next(number for number, line in enumerate(lines) if line.startswith("time"))
    rows = [line.split() for line in lines[head + 2 :]]
    assert " ".join(lines[head].split()) == "time count price low high α α 90 % regime freshness gaps"
    assert rows[0] == ["12:00:00", "3", "450.25", "449.50", "450.50", "3.00", "≥", "2.00", "WAIT", "live"]
    assert rows[-1][0] == "12:00:09…", "it is still running"
    assert [row[0] for row in rows] == [
        f"12:00:0{second}{'…' * (second == 9)}" for second in (0, 1, 2, 3, 6, 7, 8, 9)
    ]


def test_a_low_terminal_shows_the_newest_ones() -> None:
    lines = shown(history("SPY"), height=10)
    assert lines[-1] == "and 3 earlier: --csv and --json print all"
    assert lines[-2].startswith("12:00:09…")
    assert lines[-6].startswith("12:00:03")


def test_more_points_than_columns_are_drawn_together() -> None:
    points = [point(second) for second in (0, 1, 2, 3, 6, 7, 8, 9)]
    regime = next(line for line in shown(of(points), width=16) if "regime" in line)
    assert regime == "    regime ┤·─██", "the last one of each column"


def test_points_of_several_days_have_their_days() -> None:
    later = {**point(1), "time": "2025-12-22T12:00:01.500Z"}
    lines = shown(of([point(0), later], to="2025-12-22T12:00:02.000Z"))
    assert "2025-12-21 12:00:00 – 2025-12-22 12:00:02 UTC" in lines[0]
    assert lines[-1].startswith("2025-12-22 12:00:01.500 ")


def test_of_what_was_not_asked_for_there_is_no_chart() -> None:
    names = ("time", "partial", "count", "gaps")
    points = [{**{name: value for name, value in point(second).items() if name in names}} for second in (0, 1)]
    momentum = {"momentum": -0.25, "momentum_min": -0.5, "momentum_max": 0.0, "momentum_mean": -0.3}
    lines = shown(of([{**points[0], **momentum}, {**points[1], **dict.fromkeys(momentum)}]))
    assert not any("┤" in line for line in lines)
    assert lines[3].split()[-2:] == ["momentum", "gaps"]
    assert lines[5].split() == ["12:00:00", "3", "-0.25"]
    assert lines[6].split() == ["12:00:01", "3"]


def test_times_of_redis_are_said_to_be_such() -> None:
    assert "12:00:10 UTC, as Redis wrote  1 points" in shown(of([point(0)], by="written"))[0]


def test_an_interval_from_bound_to_bound_says_nothing() -> None:
    waiting = {**point(0), "alpha_low": 0.5, "alpha_high": 10.0}
    lines = shown(of([waiting, waiting]))
    assert not any("α 90 % ┤" in line for line in lines)
    assert lines[-1].split()[5:] == ["3.00", "WAIT", "live"]
    assert "      4.50 ┤ █" in shown(of([waiting, point(6)]))


def test_where_nothing_was_recorded_it_says_so() -> None:
    lines = shown(of([empty(0), empty(1)], until=None))
    assert lines[1] == "nothing in that time"
    assert not any("┤" in line for line in lines)


def test_a_source_from_outside_cannot_steer_the_terminal() -> None:
    assert "�[2J" in shown(of([point(0)], source="\x1b[2J"))[0]
    assert "no source" in shown(of([point(0)], source=None))[0]


def test_of_several_each_has_a_line_with_the_price_as_a_sparkline() -> None:
    quiet = {**history("QUIET"), "points": [empty(second) for second in range(10)]}
    head, _rule, spy, nothing, legend = shown(history("SPY"), quiet)
    assert head.endswith("price, 2025-12-21 12:00:00 – 12:00:10 UTC")
    assert spy.split() == ["SPY", "459.25", "3.00", "2.00–4.50", "Critical", "live", "▁▁▂▃", "▆▇██"]
    assert nothing == "QUIET"
    assert legend == "WAIT  Gaussian  Lévy Stable  Critical"
