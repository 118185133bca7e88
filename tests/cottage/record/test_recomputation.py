import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from cottage.record.evidence import Evidence
from cottage.record.recomputation import Recomputation, recompute
from cottage.record.state_rows import version_of
from cottage.record.takeovers import held_by_the_last, taken_once
from cottage.reference import PlainSample
from tests.cottage.record.feynman_rows import feynman_rows
from tests.cottage.record.kernel_rows import eventful_history, kernel_rows
from tests.services.feynman import test_warming as warming
from tests.services.feynman.histories import histories
from tests.services.feynman.test_symbol_table import table_of


def again(rows: Sequence[dict[str, Any]]) -> Recomputation:
    return recompute(Evidence.of([list(each) for _, each in groupby(rows, version_of)]))


def obeys_by_a_digit(sample: PlainSample) -> bool:
    """Whether floats cannot tell whether the price obeys the tick."""
    ticks = 0.0 if sample.tick is None else sample.price / sample.tick
    return sample.tick is not None and abs(abs(ticks - round(ticks)) / (5e-12 * ticks) - 1) < 1e-4


@pytest.mark.parametrize("seed", range(6))
def test_states_in_the_middle_come_out_again(seed: int) -> None:
    """The record begins in the middle, with two windows and what counters need before each of these states."""
    every = kernel_rows(eventful_history(seed, 900), 100, lambda place: place % 7 in (2, 3))
    rows = [row for row in every if row["seq"] > 150]
    for end in range(360, len(rows), 11):
        upto = rows[:end]
        if upto[-1]["last"]:
            found = again(upto)
            assert found.window.settled
            assert found.fields is not None
            assert found.differences == [], end


@settings(deadline=None, max_examples=150, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(histories(min_size=2, max_size=20), st.sampled_from([2, 5, 50]), st.data())
def test_states_of_short_windows_come_out_again(history: list[PlainSample], length: int, data: st.DataObject) -> None:
    # A list of samples has no counter that is too great.
    listed = [place for place, sample in enumerate(history) if math.inf not in (sample.volume, sample.trades)]
    together = data.draw(st.sets(st.sampled_from(listed))) if listed else set()
    # What a state says of one behind a missing one, it says of a missing one too.
    pairs = [(getattr(a, name), getattr(b, name)) for a, b in pairwise(history) for name in ("volume", "trades")]
    assume((None, math.inf) not in pairs)
    assume(not any(obeys_by_a_digit(sample) for sample in history))
    rows = kernel_rows(history, length, lambda place: place in together)
    found = again(rows)
    assert found.fields is not None
    assert found.differences == []


@pytest.mark.parametrize("seed", range(4))
def test_states_that_feynman_writes_come_out_again(seed: int) -> None:
    """With lists of samples, versions of 64, clocks that are set, and snapshots that are no samples."""
    every = feynman_rows(eventful_history(seed, 900), 100, seed)
    ends = [place + 1 for place, row in enumerate(every) if row["last"]]
    for end in ends[::9]:
        found = again(every[:end])
        assert found.differences == [], end
        assert found.fields is not None


@pytest.mark.parametrize("kind", ["trades", "bars", "quotes"])
@pytest.mark.parametrize(("own", "again_taken"), [(1, 0), (5, 0), (80, 0), (5, 3), (80, 30)])
def test_states_of_windows_that_were_filled_from_the_record_come_out_again(
    kind: str, own: int, again_taken: int
) -> None:
    """Also where some samples were still in the feed's list, and were taken again with the first new one."""
    market = warming.market(330, kind)
    _table, recorded = warming.live(market[: -own - 20 + again_taken])
    table = table_of("SPY", window=warming.WINDOW)
    after = []
    for place, fields in enumerate(market[-own - 20 :]):
        if place == own:
            assert warming.warmed(table, recorded[-warming.WINDOW - 64 :]) is None
        warming.take(table, fields)
        after.append(warming.record_row(table))
    numbered = [row | {"epoch": 1, "seq": place} for place, row in enumerate(recorded)]
    for place, row in enumerate(after):
        own_place = max(place, again_taken)
        numbered.append(row | {"epoch": 2, "seq": own_place, "number": place if own_place == again_taken else 0})
        if place < again_taken:
            numbered[-1] |= {"last": False, "reissued": True, "notes": row["said"]}
    assert numbered[-20]["samples"] == warming.WINDOW > own
    for end in (*range(len(numbered) - 20, len(numbered) + 1, 3), len(recorded) + own):
        versions = [list(each) for _, each in groupby(numbered[:end], version_of)]
        held = held_by_the_last(versions, {2: None}) if end == len(recorded) + own else taken_once(versions)
        assert recompute(Evidence.of(held)).differences == [], end
