"""What a key of warm samples may say, and what is refused."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from cottage.errors import InvalidMessage
from cottage.warm import WarmSamples, joined

NOW = 1_766_318_400.0
TIMES = [round((NOW - 4 + i) * 1e6) for i in range(3)]
SAMPLES = WarmSamples(
    source="live",
    price=[100.0, 100.5, 99.75],
    sampled=TIMES,
    feed="FEED-1",
    native="spy",
    event_time=[None, TIMES[1], TIMES[2]],
    volume=[1.0, None, 3.0],
    trades=[1, 2, 3],
    session=((0, "a"), (2, "b")),
    notes=((1, "auction mid"), (2, "")),
    tick=((0, 0.25),),
    interval=((0, 60.0),),
    lost=(1,),
    step=2.0,
    grid=0.25,
    votes=3,
    regime="Gaussian",
    regime_since=TIMES[0],
)


def test_it_comes_back_as_it_was() -> None:
    assert WarmSamples.from_bytes(SAMPLES.to_bytes(), NOW) == SAMPLES
    least = WarmSamples("live", [1.0], [TIMES[0]])
    assert orjson.loads(least.to_bytes()) == {"version": 1, "source": "live", "price": [1.0], "sampled": TIMES[:1]}
    assert WarmSamples.from_bytes(least.to_bytes(), NOW) == least


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("version", 2, "version"),
        ("source", "", "source"),
        ("source", 7, "type"),
        ("feed", "no feed", "feed"),
        ("native", "x" * 65, "native"),
        ("price", [], "price"),
        ("price", None, "price"),
        ("price", [1.0, 2.0, "3"], "price"),
        ("price", [1.0, 2.0, True], "price"),
        ("price", [1.0, 2.0, None], "price"),
        ("price", [1.0, 2.0, 0.0], "price"),
        ("price", [1.0, 2.0, -1.0], "price"),
        ("price", [1.0, 2.0], "sampled"),
        ("price", [1.0] * 200_000, "sampled"),
        ("sampled", [0.5, 1.5, 2.5], "sampled"),
        ("sampled", [*TIMES[:2], 10**18], "sampled"),
        ("sampled", TIMES[::-1], "order"),
        ("sampled", [TIMES[0], TIMES[0], TIMES[2]], "order"),
        ("event_time", [TIMES[1], TIMES[0], TIMES[2]], "order"),
        ("event_time", [0.5, None, None], "event_time"),
        ("sampled", [*TIMES[:2], round((NOW + 1) * 1e6)], "timestamp"),
        ("volume", [1.0, -1.0, 1.0], "volume"),
        ("trades", {"0": 1}, "trades"),
        ("session", [[0, "x" * 33]], "session"),
        ("session", [[0, None]], "session"),
        ("session", [[3, "a"]], "session"),
        ("session", [[1, "a"], [1, "b"]], "session"),
        ("session", [[True, "a"]], "session"),
        ("session", ["0a"], "session"),
        ("notes", [[0, ["mid"]]], "notes"),
        ("tick", [[0, 0.0]], "tick"),
        ("interval", [[0, "60"]], "interval"),
        ("lost", [-1], "lost"),
        ("lost", "all", "lost"),
        ("step", 0.0, "step"),
        ("grid", -0.25, "grid"),
        ("votes", -1, "number"),
        ("votes", 1.5, "number"),
        ("regime", "Levy", "regime"),
        ("regime_since", "today", "number"),
    ],
)
def test_what_cannot_be_is_refused(field: str, value: Any, reason: str) -> None:
    told = {**orjson.loads(SAMPLES.to_bytes()), field: value}
    if field == "sampled":
        del told["event_time"]
    with pytest.raises(InvalidMessage) as error:
        WarmSamples.from_bytes(orjson.dumps(told), NOW)
    assert error.value.reason == reason


def test_another_session_may_begin_at_an_earlier_event_time() -> None:
    earlier = replace(SAMPLES, event_time=[TIMES[0], TIMES[1], TIMES[0] - 10**9])
    assert WarmSamples.from_bytes(earlier.to_bytes(), NOW) == earlier
    with pytest.raises(InvalidMessage, match="order"):
        WarmSamples.from_bytes(replace(earlier, session=()).to_bytes(), NOW)


def test_what_mostly_stays_is_told_where_it_changes() -> None:
    assert joined([None, "a", "a", None, "b"]) == ((1, "a"), (4, "b"))
    assert joined([None, None]) == ()


def rows(**columns: list[Any]) -> dict[str, list[Any]]:
    """Columns of a record with two rows."""
    empty = ("feed", "native", "notes", "said", "lost", "event_time", "volume", "trades", "session", "tick")
    return {
        **{name: [None, None] for name in (*empty, "interval", "step", "grid", "votes", "regime", "regime_since")},
        "source": ["live"] * 2,
        "price": [1.0, 2.0],
        "sampled": TIMES[:2],
        "reissued": [False] * 2,
        "last": [False, True],
        **columns,
    }


def test_the_rows_of_a_record_become_samples() -> None:
    found = WarmSamples.recorded(
        rows(
            notes=[["auction"], ["jump", "mid"]],
            said=[None, ["mid"]],
            lost=[True, None],
            volume=[1.0, 2.0],
            session=["a", "a"],
            step=[None, 2.0],
            regime=[None, "WAIT"],
        )
    )
    assert found == WarmSamples(
        "live",
        [1.0, 2.0],
        TIMES[:2],
        volume=[1.0, 2.0],
        session=((0, "a"),),
        notes=((0, "auction"), (1, "mid")),
        lost=(0,),
        step=2.0,
        regime="WAIT",
    )


def test_a_sample_that_was_issued_again_is_one() -> None:
    found = WarmSamples.recorded(rows(reissued=[False, True], last=[True, True], votes=[1, 2]))
    assert found == WarmSamples("live", [1.0], TIMES[:1], votes=2, notes=((0, ""),))
    assert WarmSamples.recorded(rows(reissued=[True, True])) is None
