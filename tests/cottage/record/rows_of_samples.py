"""Rows of `samples` as a recorder has them, made up, for tests of the record."""

from collections.abc import Sequence
from typing import Any

HOUR = 490_045
"""In hours since 1970: 2025-11-26 13:00 UTC."""
BEGIN = HOUR * 3_600_000_000
SECOND = 1_000_000


def samples(symbols: Sequence[str] = ("SPY", "QQQ"), seqs: Sequence[int] = (1,), *, begin: int = BEGIN) -> Any:
    """Columns of one row for each symbol and seq, a second a seq from `begin` (µs since 1970) on."""
    keys = [(symbol, seq) for seq in seqs for symbol in symbols]
    times = [begin + seq * SECOND for _, seq in keys]
    count = len(keys)
    return {
        "symbol": [symbol for symbol, _ in keys],
        "source": ["simulate"] * count,
        "run": [begin] * count,
        "epoch": [7] * count,
        "seq": [seq for _, seq in keys],
        "number": [0] * count,
        "last": [True] * count,
        "reissued": [False] * count,
        "healed": [False] * count,
        "at": times,
        "sampled": times,
        "written": [time + 2_000 for time in times],
        "recorded": [time + 5_000 for time in times],
        "price": [100.0 + seq / 8 for _, seq in keys],
        "notes": [["gap"] if seq % 7 == 0 else [] for _, seq in keys],
        "alpha": [1.5 if seq % 2 else None for _, seq in keys],
        "regime": ["Gaussian" if seq % 2 else None for _, seq in keys],
    }


def keys_of(rows: Any) -> list[tuple[str, int]]:
    """Symbol and seq of a scan's rows, sorted."""
    return sorted(zip(rows["symbol"].to_pylist(), rows["seq"].to_pylist(), strict=True))
