"""A recording's prices are sampled, and simulated ones stand still as often."""

from pathlib import Path

import numpy as np
import pytest

from tests.bench import laws, recorded, ticks


def test_prices_are_the_newest_at_each_second(tmp_path: Path) -> None:
    trades = tmp_path / "trades.csv"
    trades.write_text(
        "timestamp,symbol,price,size\n"
        "2024-01-02T10:00:00.2Z,A,10.00,1\n"
        "2024-01-02T10:00:00.9Z,A,10.25,1\n"
        "2024-01-02T10:00:03.5Z,A,10.75,1\n"
        "2024-01-02T10:00:03.6Z,B,7,1\n"
        "2024-01-02T10:00:04.1Z,A,10.50,1\n"
        "2024-01-02T10:00:06.0Z,A,10.00,1\n"
    )
    found = recorded.prices(trades, 1)
    assert found["A"].tolist() == [10.25, 10.25, 10.25, 10.75, 10.5]
    assert recorded.moves_of(found["A"]).tolist() == [0, 0, 2, 1]
    assert recorded.prices(trades, 2)["A"].tolist() == [10.25, 10.25, 10.5]


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_simulated_prices_stand_still_as_often(share: float) -> None:
    generator = np.random.default_rng(2)
    exact = laws.student(4)(generator, (20, 2000))
    scale = recorded.standing_still(generator, exact, share)
    assert np.mean(ticks.of_path(generator, scale * exact) == 0) == pytest.approx(share, abs=0.02)


@pytest.mark.slow
def test_its_table_has_the_recording_beside_the_laws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(4)
    prices = 100 + 0.25 * np.rint(np.cumsum(laws.student(3)(generator, (1300,))))  # type: ignore[arg-type]
    rows = (f"2024-01-02T10:{s // 60:02}:{s % 60:02}Z,A,{price:.2f},1\n" for s, price in enumerate(prices))
    trades, drawn = tmp_path / "trades.csv", []
    trades.write_text("timestamp,symbol,price,size\n" + "".join(rows))
    recorded.recorded(generator, trades, lambda name, *_what: drawn.append(name))
    told = [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert told == ["| prices", "| ---", "| A", "| normal", "| t(4)", "| Pareto(2)"]
    assert drawn == ["recorded"]
