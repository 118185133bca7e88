"""The bytes are those of PhysicsState, whatever is in them."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cottage.clock import LATEST_SECONDS, iso_millis
from cottage.state import PILLARS, PhysicsState
from cottage.version import Version
from services.feynman.sample_columns import SampleColumns
from services.feynman.states import ending, texts
from services.feynman.vector import REGIMES, Vectors
from tests.cottage.strategies import numbers, whole

_symbols = st.from_regex(r"[A-Z0-9][A-Z0-9._-]{0,23}", fullmatch=True)
_sources = st.text(st.characters(codec="utf-8"), max_size=32)
_entries = st.fixed_dictionaries(
    {
        "symbol": _symbols,
        **dict.fromkeys((*PILLARS, "alpha_coefficient", "price"), numbers),
        "code": st.integers(0, len(REGIMES) - 1),
        "samples": whole,
        "nonzero": whole,
        "source": _sources,
        "timestamp": st.floats(0, LATEST_SECONDS),
        "version": st.builds(Version, whole, whole),
    }
)


def columns(entries: list[dict[str, Any]]) -> tuple[list[str], Vectors, SampleColumns]:
    def column(name: str, kind: type = np.float64) -> Any:
        return np.array([entry[name] for entry in entries], kind)

    vectors = Vectors(
        **{name: column(name) for name in (*PILLARS, "alpha_coefficient")},
        regime=column("code", np.int8),
        samples=column("samples", np.int64),
        nonzero=column("nonzero", np.int64),
    )
    none = np.zeros(len(entries))
    sources = [entry["source"] for entry in entries]
    samples = SampleColumns(
        np.arange(len(entries)), column("price"), column("timestamp"), volume=none, trades=none, source=sources
    )
    return [entry["symbol"] for entry in entries], vectors, samples


def as_object(entry: dict[str, Any]) -> PhysicsState:
    left = {name: value for name, value in entry.items() if name not in ("symbol", "code", "timestamp")}
    return PhysicsState(**left, regime=REGIMES[entry["code"]], timestamp=iso_millis(entry["timestamp"]))


@given(st.lists(_entries, min_size=1, max_size=5))
def test_a_text_and_its_ending_are_the_states_and_the_updates_own_bytes(entries: list[dict[str, Any]]) -> None:
    made = list(texts(*columns(entries)))
    assert len(made) == len(entries)
    for entry, (state, update) in zip(entries, made, strict=True):
        expected = as_object(entry)
        assert state + ending(entry["version"]) == expected.to_bytes()
        assert update + ending(entry["version"]) == expected.update(entry["symbol"])


@given(st.lists(st.floats(0, LATEST_SECONDS) | st.integers(0, 10**13).map(lambda n: n / 2000), min_size=1))
def test_times_are_rounded_as_everywhere(moments: list[float]) -> None:
    entry = dict.fromkeys((*PILLARS, "alpha_coefficient", "price"), 1.0) | {"symbol": "SPY", "source": "live"}
    entry |= {"code": 0, "samples": 1, "nonzero": 0}
    for moment, (state, _update) in zip(
        moments, texts(*columns([entry | {"timestamp": moment} for moment in moments])), strict=True
    ):
        assert f'"timestamp":"{iso_millis(moment)}"'.encode() in state
