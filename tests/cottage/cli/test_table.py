"""What the table looks like, by what a client was told."""

import io
from typing import Any

import orjson
import pytest
from rich.console import Console

from cottage.cli.table import render
from cottage.cli.view import View
from cottage.client.state_client import StateClient
from cottage.clock import SystemClock, from_iso, iso_millis
from cottage.freshness import USUAL, Freshness
from cottage.protocol import heartbeat
from tests.common.fanout import wires
from tests.common.fanout.wires import snapshot, update

NOW = from_iso(wires.NOW)


class StandingClock(SystemClock):
    seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def time(self) -> float:
        return NOW + self.seconds


class Watched:
    """A client whose messages come from the test, at the time of `clock`."""

    def __init__(self, *wanted: str) -> None:
        self.clock = StandingClock()
        self.client = StateClient("ws://user:secret@h/ws", wanted or None, 0, USUAL, self.clock)
        self.client._replica.connected(self.clock.seconds)
        self.view = View(self.client, wanted)

    def hears(self, *messages: bytes) -> None:
        for message in messages:
            self.client._replica.take(orjson.loads(message), self.clock.seconds)

    def waits(self, seconds: float) -> None:
        """Let time pass, in which it looks at its clock as often as it does while it runs."""
        for _half in range(round(2 * seconds)):
            self.clock.seconds += 0.5
            self.client.freshness("SPY")

    def live(self) -> None:
        self.hears(snapshot(), heartbeat(iso_millis(NOW), Freshness("live", None, 0.1), None))

    def holds(self, symbol: str, seq: int = 1, age: float = 0.5, **data: Any) -> None:
        fields = orjson.loads(update(symbol, 1, seq, **data))
        self.hears(orjson.dumps({**fields, "timestamp": iso_millis(NOW - age)}))

    def shown(self, width: int = 200, height: int | None = None) -> list[str]:
        out = io.StringIO()
        Console(file=out, width=width).print(render(self.view, width, height))
        return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.fixture
def watched() -> Watched:
    watched = Watched()
    watched.live()
    return watched


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (450.0, "450.00"),
        (1_234_567.891, "1,234,567.89"),
        (1.23456, "1.2346"),
        (0.000012345678, "1.23457e-05"),
        (0.5, "0.5"),
        (None, ""),
        ("450", ""),
        (True, ""),
    ],
)
def test_prices(watched: Watched, price: object, text: str) -> None:
    watched.holds("SPY", price=price)
    assert watched.shown()[4].split()[:2] == (["SPY", text] if text else ["SPY", "0.5"])


@pytest.mark.parametrize(
    ("age", "text", "freshness"),
    [
        (0.04, "0.0 s", "live"),
        (9.9, "9.9 s", "live"),
        (59.94, "59.9 s", "stale: market quiet"),
        (100.0, "1 min", "expired: market quiet"),
        (5999.0, "99 min", "expired: market quiet"),
        (6000.0, "1 h", "expired: market quiet"),
        (200_000.0, "2 d", "expired: market quiet"),
    ],
)
def test_ages_and_what_they_mean(watched: Watched, age: float, text: str, freshness: str) -> None:
    watched.holds("SPY", age=age, price=1.0)
    assert f"{text}  {freshness} " in watched.shown()[4]


def test_ages_grow_and_silence_is_told_though_nothing_comes(watched: Watched) -> None:
    watched.holds("SPY")
    assert "0.5 s  live" in watched.shown()[4]
    watched.waits(2.5)
    assert "3.0 s  live" in watched.shown()[4]
    watched.waits(1)
    assert "4.0 s  stale: server down" in watched.shown()[4]
    assert watched.shown()[:2] == ["● connected ws://user:***@h/ws  1 symbol: 1 stale", "the server is silent"]


@pytest.mark.parametrize(
    ("cause", "problem", "words"),
    [
        ("bridge_down", "the bridge is down: the broadcaster has lost its source", "stale: bridge down"),
        ("redis_down", "Redis is down: the bridge cannot read it", "stale: Redis down"),
        ("writer_down", "the writer is down: feynman has stopped writing states", "stale: writer down"),
    ],
)
def test_a_problem_upstream_is_said_in_words(watched: Watched, cause: Any, problem: str, words: str) -> None:
    watched.holds("SPY")
    watched.hears(heartbeat(iso_millis(NOW), Freshness("stale", cause, 4.0), None))
    assert watched.shown()[1] == problem
    assert words in watched.shown()[4]


def test_what_means_nothing_is_a_dash_and_notes_say_what_the_numbers_stand_on(watched: Watched) -> None:
    watched.holds("SPY", mass=0.0, momentum=0.0, void=["mass", "momentum"], notes=["gap", "no_volume"])
    watched.holds("QQQ", mass=0.0, momentum=0.0)
    head, qqq, spy = watched.shown()[2], *watched.shown()[4:]
    assert spy.count("–") == 2
    for pillar in ("mass", "momentum"):
        end = head.index(pillar) + len(pillar)
        assert spy[end - 1] == "–"
        assert qqq[end - 1] == "0"
    assert spy.endswith("gap, no volume")
    assert head.split()[-1] == "notes"


@pytest.mark.parametrize(
    ("told", "alpha", "interval"),
    [
        ({"alpha": 3.2}, "3.20", None),  # an older feynman's
        ({"alpha": 10.0}, "10.00", None),
        ({"alpha": 3.2, "alpha_low": 2.4, "alpha_high": 4.9}, "3.20", "2.40–4.90"),
        ({"alpha": 4.67, "alpha_low": 2.9, "alpha_high": 10.0}, "4.67", "≥ 2.90"),
        ({"alpha": 10.0, "alpha_low": 2.71, "alpha_high": 10.0}, "–", "≥ 2.71"),
        ({"alpha": 10, "alpha_low": 2, "alpha_high": 10, "regime": "WAIT", "nonzero": 64}, "–", "≥ 2.00"),
        ({"alpha": 2.5, "alpha_low": 0.5, "alpha_high": 10.0, "regime": "WAIT", "nonzero": 63}, "2.50", None),
        ({"alpha": 3.2, "alpha_low": "2", "alpha_high": None}, "3.20", None),
    ],
)
def test_alpha_and_its_interval(watched: Watched, told: dict[str, Any], alpha: str, interval: str | None) -> None:
    watched.holds("SPY", **told)
    head, row = watched.shown()[2], watched.shown()[4]
    assert row[: head.index("α") + 1].split()[-1] == alpha
    assert row[head.index("α") + 1 : head.index("90 %") + len("90 %")].strip() == (interval or "")


@pytest.mark.parametrize(
    ("told", "seconds", "held"),
    [
        ({}, None, ""),  # an older feynman's
        ({}, 99.6, "100 s"),
        ({}, 2820.0, "47 min"),
        ({}, -3.0, "0 s"),
        ({"regime": "WAIT"}, 47.0, ""),
        ({"regime": "WAIT", "nonzero": 812}, 47.0, "47 s"),  # too few large moves
    ],
)
@pytest.mark.parametrize(
    ("feed", "market"), [(None, None), (NOW - 60, None), (None, NOW - 1e8), (NOW - 60, NOW - 1e8)]
)
def test_how_long_a_regime_has_held(
    watched: Watched,
    told: dict[str, Any],
    seconds: float | None,
    held: str,
    feed: float | None,
    market: float | None,
) -> None:
    """By the market's own time: a recording's is years away."""
    sampled = market or feed or NOW - 0.5
    data = {} if seconds is None else {"regime_since": iso_millis(sampled - seconds)}
    data |= {} if market is None else {"event_time": iso_millis(market)}
    message = orjson.loads(update("SPY", 1, 1, **told, **data))
    times = {"timestamp": iso_millis(NOW - 0.5)} | ({} if feed is None else {"feed_time": iso_millis(feed)})
    watched.hears(orjson.dumps({**message, **times}))
    head, row = watched.shown()[2], watched.shown()[4]
    assert row[head.index("source") + len("source") : head.index("held") + len("held")].strip() == held


@pytest.mark.parametrize("bad", [5, "mass", [1], None, {"mass": 1}])
def test_void_and_notes_of_another_kind_are_passed_over(watched: Watched, bad: object) -> None:
    watched.holds("SPY", void=bad, notes=bad)
    assert "–" not in watched.shown()[4]


def test_a_feed_that_is_late_by_nature_is_said_in_words(watched: Watched) -> None:
    watched.holds("SPY", age=905.0, lag_ms=900_000)
    assert "15 min  stale: feed late" in watched.shown()[4]


def test_regimes(watched: Watched) -> None:
    watched.holds("A", regime="WAIT", nonzero=23)
    watched.holds("B", regime="WAIT")
    watched.holds("C", regime="Lévy Stable", alpha=1.5)
    watched.holds("D", regime="WAIT", nonzero=812)  # too few large moves
    shown = watched.shown()
    assert "WAIT 23 of 64" in shown[4]
    assert " of 64" not in shown[5]
    assert "Lévy Stable     1.50" in shown[6]
    assert "WAIT" in shown[7]
    assert " of 64" not in shown[7]


def test_those_asked_for_come_in_their_order_with_what_is_missing() -> None:
    watched = Watched("QQQ", "AAA")
    watched.hears(snapshot(missing=("AAA",)), heartbeat(iso_millis(NOW), Freshness("live", None, 0.1), None))
    watched.holds("QQQ")
    shown = watched.shown()
    assert shown[0].endswith("2 symbols: 1 live, 1 missing")
    assert [line.split()[0] for line in shown[4:]] == ["QQQ", "AAA"]
    assert shown[5].split() == ["AAA", "no", "state"]


def test_what_came_from_elsewhere_commands_no_terminal(watched: Watched) -> None:
    watched.holds("SPY", source="\x1b[2Jevil\u202e", regime="\x07", alpha="[red]1", mass=float("1e300"))
    text = "\n".join(watched.shown(300))
    assert "�[2Jevil�" in text
    assert not any(bad in text for bad in ("\x1b", "\x07", "\u202e"))


@pytest.mark.parametrize("width", [24, 43, 60, 80, 100, 133, 134, 135, 136, 147, 148, 200])
@pytest.mark.parametrize("height", [3, 6, 10, 24])
def test_it_never_exceeds_the_terminal(watched: Watched, width: int, height: int) -> None:
    for number in range(9):
        watched.holds(f"SYMBOL-{number}", price=100.0, source="simulate")
    shown = watched.shown(width, height)
    assert len(shown) <= max(height, 6), "one row at least"
    assert max(map(len, shown)) <= width
    rows = [line for line in shown if line.startswith("SYMBOL-")]
    assert len(rows) == min(9, max(1, height - 5))
    told = shown[-1]
    assert told.startswith(f"and {9 - len(rows)} more") == (len(rows) < 9)
    assert ("source" in shown[2]) == (width >= 148), "columns are left out whole"


def test_before_there_is_anything() -> None:
    watched = Watched()
    assert watched.shown()[0] == "● connecting ws://user:***@h/ws  0 symbols"
    assert watched.shown()[-1] == "waiting for the server"
    watched.live()
    assert watched.shown()[-1] == "no states yet"
