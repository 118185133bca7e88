import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cottage.state import PILLARS
from services.feynman.vector import compute
from services.feynman.windows import Windows
from tests.bench import plain
from tests.bench.market import Market


def test_what_it_is_compared_with_computes_the_same_pillars_and_tail_indices() -> None:
    market, window = Market(6), 100
    windows = Windows(window, capacity=6)
    rows = np.array([windows.add() for _ in range(6)])
    windows.restore(rows, market.history(rows, window))
    for moves in ({}, {"rising": True}, {"scale": 5.0}):
        price, volume, trades, timestamp = market.step(**moves)
        windows.append(rows, price, volume, trades, timestamp)
        vectors = compute(windows, rows)
        for row in rows:
            rings = (windows.price, windows.volume, windows.trades, windows.log_return)
            in_time = [np.roll(ring[row], -1 - windows.newest[row]) for ring in rings]
            *pillars, hill = plain.vector(*in_time)
            assert pillars == pytest.approx([getattr(vectors, name)[row] for name in PILLARS], rel=1e-9, abs=1e-14)
            assert vectors.alpha_low[row] < hill < vectors.alpha_high[row]
            tail = vectors.alpha_coefficient[row], vectors.alpha_low[row], vectors.alpha_high[row]
            assert plain.tail(in_time[0], in_time[3], float(windows.tick(rows)[row])) == pytest.approx(tail, rel=1e-5)


def test_it_times_an_older_kernel_in_turn() -> None:
    arguments = ["--symbols", "2", "--windows", "70", "--ticks", "2", "--beside", "HEAD", "--pairs", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.feynman", *arguments], check=True, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    begin = lines.index("CPU ms a tick, HEAD and here, in turn")
    assert [line.count(" → ") for line in lines[begin + 2 : begin + 6]] == [3] * 4


def test_its_rally_is_one_and_its_histories_fill_the_windows() -> None:
    market = Market(3)
    history = market.history(np.arange(3), 50)
    assert history["price"].shape == (3, 50)
    highest = history["price"].max(axis=1)
    for _ in range(3):
        price = market.step(rising=True)[0]
        assert (price > highest).all()
        highest = price


def test_the_bench_prints_its_tables_and_draws(tmp_path: Path) -> None:
    drawing = tmp_path / "cost.svg"
    arguments = ["--symbols", "2,3", "--windows", "70,1000", "--ticks", "2", "--plot", str(drawing)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.feynman", *arguments], check=True, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "3 symbols × 1,000 samples: append and compute, on one core"
    assert [line.split(":")[0].split()[0] for line in lines[2:8]] == [
        *("steady", "rally", "burst", "first"),
        *("plain", "plain"),
    ]
    assert sum(line.count("×)") for line in lines) == 4  # cells of the growth, each with its ratio
    assert "plain numpy</text>" in drawing.read_text()
