"""The bytes are those of PhysicsState, whatever is in them."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cottage.clock import LATEST_SECONDS, iso_micros, iso_millis
from cottage.notes import BITS, NOTES
from cottage.state import PILLARS, PhysicsState, TakenSample
from cottage.version import Version
from services.feynman.regime import REGIMES
from services.feynman.sample_columns import SampleColumns
from services.feynman.standing_texts import StandingText, StandingTexts
from services.feynman.states import at, ending, texts, times
from services.feynman.vector import Vectors
from services.feynman.windows import FloatArray
from tests.cottage.strategies import numbers, taken_samples, whole

TAIL = ("alpha_coefficient", "alpha_low", "alpha_high")
known = st.floats(min_value=5e-324, allow_infinity=False)
_symbols = st.from_regex(r"[A-Z0-9][A-Z0-9._-]{0,31}", fullmatch=True)
_sources = st.text(st.characters(codec="utf-8"), max_size=32)
_entries = st.fixed_dictionaries(
    {
        "symbol": _symbols,
        **dict.fromkeys((*PILLARS, *TAIL, "price"), numbers),
        "code": st.integers(0, len(REGIMES) - 1),
        "samples": whole,
        "nonzero": whole,
        "step": numbers,
        "holes": whole,
        "snapped": st.just(0) | st.integers(0, 10**6),
        "source": _sources,
        "timestamp": st.floats(0, LATEST_SECONDS),
        "since": st.floats(0, LATEST_SECONDS),
        "event_time": st.none() | st.floats(0, LATEST_SECONDS),
        "received": st.none() | st.floats(0, LATEST_SECONDS),
        **dict.fromkeys(("volume", "trades", "bid", "ask", "tick", "interval", "grid"), st.none() | known),
        "session": st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=32),
        "votes": st.just(0) | st.integers(0, 10**6),
        "said": st.sets(st.sampled_from([*BITS])),
        "lost": st.booleans(),
        "taken": st.just(()) | st.lists(taken_samples(), max_size=3).map(tuple),
        "ahead": st.just(0.0) | st.floats(0, 60),
        "late": st.just(0) | st.integers(1000, 10**7),
        "version": st.builds(Version, whole, whole),
        "noted": st.sets(st.sampled_from([*BITS])),
        "other_notes": st.lists(st.sampled_from(["late", "x1"]), unique=True).map(tuple),
        "void": st.sets(st.sampled_from(PILLARS)),
        "feed": st.none() | st.sampled_from(["SIM", "LIVE-1"]),
        "native": st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=64),
    }
)


Taken = dict[int, tuple[TakenSample, ...]]
Arguments = tuple[list[str], Vectors, SampleColumns, FloatArray, list[int], list[StandingText], Taken]


def columns(entries: list[dict[str, Any]]) -> Arguments:
    def column(name: str, kind: type = np.float64) -> Any:
        return np.array([entry.get(name) for entry in entries], kind)  # None is nan

    vectors = Vectors(
        **{name: column(name) for name in (*PILLARS, *TAIL)},
        regime=column("code", np.int8),
        samples=column("samples", np.int64),
        nonzero=column("nonzero", np.int64),
        step=column("step"),
        holes=column("holes", np.int64),
        snapped=column("snapped", np.int64),
        void=np.array([sum(1 << PILLARS.index(name) for name in entry.get("void", ())) for entry in entries]),
        notes=np.array([sum(BITS[word] for word in entry.get("noted", ())) for entry in entries]),
    )
    none = np.zeros(len(entries))
    sources, marks = [entry["source"] for entry in entries], [entry.get("session") for entry in entries]
    feed_time = np.minimum(column("timestamp") + column("ahead"), LATEST_SECONDS)
    event_time = column("event_time")  # nan for None
    samples = SampleColumns(
        np.arange(len(entries)),
        column("price"),
        feed_time,
        **{name: column(name) for name in ("volume", "trades", "bid", "ask", "received", "interval", "tick")},
        session=np.array([hash(mark) % 2**32 for mark in marks]),
        notes=np.array([sum(BITS[word] for word in entry.get("said", ())) for entry in entries]),
        source=sources,
        other_notes=[entry.get("other_notes", ()) for entry in entries],
        feed=[entry.get("feed") for entry in entries],
        rival_until=none,
        native=[entry.get("native") for entry in entries],
        event_time=np.where(np.isnan(event_time), feed_time, event_time),
        mark=marks,
        fill=none.astype(np.int64),
        lost=np.array([entry.get("lost", False) for entry in entries]),
    )
    lags = [entry["late"] for entry in entries]
    votes = np.array([entry.get("votes", 0) for entry in entries])
    standing = StandingTexts().of(np.arange(len(entries)), vectors, samples, column("grid"), votes, column("since"))
    taken = {i: entry["taken"] for i, entry in enumerate(entries) if entry.get("taken")}
    return [entry["symbol"] for entry in entries], vectors, samples, column("timestamp"), lags, standing, taken


def as_object(entry: dict[str, Any]) -> PhysicsState:
    apart = (
        "symbol",
        "code",
        "since",
        "event_time",
        "received",
        "timestamp",
        "ahead",
        "late",
        "noted",
        "other_notes",
        "void",
    )
    left = {name: value for name, value in entry.items() if name not in (*apart, "snapped", "votes", "said")}
    timestamp = iso_millis(entry["timestamp"])
    feeds_own = min(entry["timestamp"] + entry["ahead"], LATEST_SECONDS)
    feed_time, event_time = iso_millis(feeds_own), entry["event_time"]
    return PhysicsState(
        **left,
        regime=REGIMES[entry["code"]],
        regime_since=iso_millis(entry["since"]),
        event_time=None if event_time in (None, feeds_own) else iso_micros(event_time),
        received=None if entry["received"] is None else iso_micros(entry["received"]),
        timestamp=timestamp,
        feed_time=None if feed_time == timestamp else feed_time,
        lag_ms=entry["late"] or None,
        snapped=entry["snapped"] or None,
        votes=entry["votes"] or None,
        said=(*(word for word in NOTES if word in entry["said"]), *entry["other_notes"])[:8],
        notes=(*(word for word in NOTES if word in entry["noted"]), *entry["other_notes"])[:8],
        void=tuple(name for name in PILLARS if name in entry["void"]),
    )


@given(st.lists(_entries, min_size=1, max_size=5), st.integers(0, 15))
def test_a_text_and_its_ending_are_the_states_and_the_updates_own_bytes(
    entries: list[dict[str, Any]], database: int
) -> None:
    arguments = columns(entries)
    made = list(texts(*arguments))
    assert len(made) == len(entries)
    for entry, (state, update) in zip(entries, made, strict=True):
        expected = as_object(entry)
        assert state + ending(entry["version"]) + b"}" == expected.to_bytes()
        assert update + ending(entry["version"], database) + b"}" == expected.update(entry["symbol"], database)


@given(st.lists(_entries, min_size=1, max_size=5), st.floats(0, LATEST_SECONDS))
def test_a_text_at_another_time_differs_in_that_alone(entries: list[dict[str, Any]], timestamp: float) -> None:
    symbols, vectors, samples, old, lags, standing, taken = columns(entries)
    new = np.full(len(entries), timestamp)
    before, after = (list(texts(symbols, vectors, samples, each, lags, standing, taken)) for each in (old, new))
    for pair, time, expected in zip(before, times(new, samples.timestamp), after, strict=True):
        assert (at(pair[0], time), at(pair[1], time)) == expected


@given(st.lists(st.floats(0, LATEST_SECONDS) | st.integers(0, 10**13).map(lambda n: n / 2000), min_size=1))
def test_times_are_rounded_as_everywhere(moments: list[float]) -> None:
    entry: dict[str, Any] = dict.fromkeys((*PILLARS, *TAIL, "price", "since"), 1.0)
    entry |= {
        "symbol": "SPY",
        "source": "live",
        "code": 0,
        "samples": 1,
        "nonzero": 0,
        "ahead": 0.0,
        "late": 0,
        "event_time": None,
    }
    entry |= {"step": 1.0, "holes": 0, "snapped": 0}
    for moment, (state, _update) in zip(
        moments, texts(*columns([entry | {"timestamp": moment} for moment in moments])), strict=True
    ):
        assert f'"timestamp":"{iso_millis(moment)}"'.encode() in state
