"""Values that hypothesis draws for the tests of messages and states."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from cottage.clock import LATEST_SECONDS, iso_millis
from cottage.state import PILLARS, REGIMES, PhysicsState, TakenSample
from cottage.version import Version

numbers = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(0, 2**53 - 1)
texts = st.text(st.characters(codec="utf-8"))
versions = st.builds(Version, whole, whole)
timestamps = st.floats(0, LATEST_SECONDS).map(iso_millis)


def json_values() -> st.SearchStrategy[Any]:
    """What orjson writes: any JSON value, nested a little."""
    leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | numbers | texts
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=10)


def taken_samples() -> st.SearchStrategy[TakenSample]:
    """Any that a state may have."""
    return st.builds(
        TakenSample,
        numbers,
        timestamps,
        **dict.fromkeys(("volume", "trades", "bid", "ask"), st.none() | numbers),
        **dict.fromkeys(("event_time", "received"), st.none() | timestamps),
        session=st.none() | texts,
        notes=st.lists(texts).map(tuple),
        lost=st.booleans(),
    )


def states() -> st.SearchStrategy[PhysicsState]:
    """Any state that may be written."""
    stamps = st.tuples(st.none() | versions, whole) | st.just((None, None))
    return st.builds(lambda state, stamp: replace(state, prev=stamp[0], written=stamp[1]), _unstamped(), stamps)


def _unstamped() -> st.SearchStrategy[PhysicsState]:
    return st.builds(
        PhysicsState,
        mass=numbers,
        momentum=numbers,
        friction=numbers,
        entropy=numbers,
        nash_dist=numbers,
        regime=st.sampled_from(sorted(REGIMES)),
        alpha_coefficient=numbers,
        alpha_low=st.none() | numbers,
        alpha_high=st.none() | numbers,
        price=st.none() | numbers,
        samples=st.none() | whole,
        nonzero=st.none() | whole,
        source=st.none() | st.text(st.characters(codec="utf-8")),
        regime_since=st.none() | timestamps,
        event_time=st.none() | timestamps,
        received=st.none() | timestamps,
        **dict.fromkeys(("volume", "trades", "bid", "ask", "tick", "interval", "grid"), st.none() | numbers),
        session=st.none() | texts,
        votes=st.none() | whole,
        said=st.lists(texts).map(tuple),
        lost=st.booleans(),
        taken=st.lists(taken_samples(), max_size=3).map(tuple),
        step=st.none() | numbers,
        holes=st.none() | whole,
        snapped=st.none() | whole,
        timestamp=st.none() | timestamps,
        feed_time=st.none() | timestamps,
        lag_ms=st.none() | whole,
        notes=st.lists(st.text(st.characters(codec="utf-8"))).map(tuple),
        void=st.lists(st.sampled_from(PILLARS)).map(tuple),
        native=st.none() | st.text(st.characters(codec="utf-8")),
        feed=st.none() | st.text(st.characters(codec="utf-8")),
        version=st.none() | versions,
    )
