"""Which silences are unusual of a source."""

import random

from services.bridge.silent_sources import SilentSources


def silences(samples: list[float], until: float) -> list[float]:
    """When it begins to be called silent, by a look each second. `samples`: when its samples come."""
    sources, begun, was = SilentSources(10.0), [], False
    for now in range(1, round(until)):
        came = [at for at in samples if at <= now]
        is_silent = bool(came) and "myfeed" in sources.look({"myfeed": came[-1]}, float(now))
        if is_silent and not was:
            begun.append(float(now))
        was = is_silent
    return begun


def test_a_busy_source_that_falls_silent() -> None:
    assert silences([0.9 * number for number in range(100)], 300) == [100.0]


def test_one_of_minute_bars_is_silent_for_a_minute_by_nature() -> None:
    bars = [60.0 * number for number in range(30)]
    assert silences(bars, 30 * 60 + 300) == [10.0, 30 * 60 - 60 + 120]


def test_one_that_trades_now_and_then_is_called_silent_a_few_times_at_most() -> None:
    chance, now, samples = random.Random(7), 0.0, []
    while now < 3600:
        now += chance.expovariate(1 / 6)
        samples.append(now)
    assert len(silences(samples, 3600)) <= 3


def test_an_outage_is_not_what_is_usual_for_long() -> None:
    before, after = [float(at) for at in range(100)], [float(at) for at in range(700, 800)]
    assert silences(before + after, 1000) == [109.0, 809.0]


def test_a_source_that_is_gone_is_forgotten() -> None:
    sources = SilentSources(10.0)
    assert sources.look({"myfeed": 0.0}, 20.0) == {"myfeed": 20.0}
    assert sources.look({}, 21.0) == {}
    assert sources._heard == sources._silences == {}
