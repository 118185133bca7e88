"""Values that hypothesis draws for the tests of messages and states."""

from typing import Any

from hypothesis import strategies as st

from cottage.clock import LATEST_SECONDS, iso_millis
from cottage.state import PILLARS, REGIMES, PhysicsState
from cottage.version import Version

numbers = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(0, 2**53 - 1)
timestamps = st.floats(0, LATEST_SECONDS).map(iso_millis)


def json_values() -> st.SearchStrategy[Any]:
    """What orjson writes: any JSON value, nested a little."""
    texts = st.text(st.characters(codec="utf-8"))
    leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | numbers | texts
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=10)


def states() -> st.SearchStrategy[PhysicsState]:
    """Any state that may be written."""
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
        version=st.none() | st.builds(Version, whole, whole),
    )
