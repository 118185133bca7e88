import asyncio
import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import structlog
from prometheus_client import REGISTRY

from common.refusal_tally import MOST_LINES
from cottage.errors import UnusableSource
from cottage.snapshot import MarketSnapshot
from services.market.settings import MarketSettings
from services.market.simulate import DEFAULT_SYMBOLS, Simulation
from services.market.sources import Replayed, Simulated, Source, source_of
from tests.cottage.record.ticks import record, row
from tests.services.market.clocks import FastClock
from tests.support import eventually

HEADER = "timestamp,symbol,price,size\n"


def recorded(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "trades.csv.gz"
    path.write_bytes(gzip.compress((header + "\n".join(rows)).encode()))
    return path


class Emitted:
    """What a source emitted; `enough` says when to cancel it."""

    def __init__(self, enough: Callable[[list[list[MarketSnapshot]]], bool] = lambda _batches: False) -> None:
        self.batches: list[list[MarketSnapshot]] = []
        self._enough = enough
        self._done = asyncio.Event()

    def __call__(self, snapshots: Sequence[MarketSnapshot]) -> None:
        self.batches.append(list(snapshots))
        if self._enough(self.batches):
            self._done.set()

    async def taken(self, _symbols: Sequence[str], _windows: str | None = None) -> bool:
        """As of a feynman that ticks at once."""
        return True

    async def of(self, source: Source) -> list[list[MarketSnapshot]]:
        try:
            await source.prepare()
            await self._run(source)
        finally:
            source.close()
        return self.batches

    async def _run(self, source: Source) -> None:
        running = asyncio.create_task(source.run(self, self.taken))
        done = asyncio.create_task(self._done.wait())
        await asyncio.wait((running, done), return_when=asyncio.FIRST_COMPLETED, timeout=30)
        done.cancel()
        if not running.done():
            running.cancel()
            await asyncio.wait((running,))
        elif not running.cancelled():
            running.result()


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_simulated_a_step_at_each_tick() -> None:
    clock = FastClock()
    batches = await Emitted(lambda seen: len(seen) >= 5).of(Simulated(("SPY", "QQQ"), 3, 0.5, clock))
    assert [batch[0].timestamp for batch in batches[:5]] == [clock.started + 0.5 * i for i in range(5)]
    expected = Simulation(("SPY", "QQQ"), 3, 0.5)
    for batch in batches[:5]:
        assert batch == expected.step(batch[0].timestamp)


async def test_simulated_says_what_it_is() -> None:
    source = Simulated(DEFAULT_SYMBOLS, 3, 1.0, FastClock())
    about = source.about()
    assert (about["source"], about["symbols"], about["seed"]) == ("simulate", list(DEFAULT_SYMBOLS), 3)
    many = Simulated([f"S{i}" for i in range(500)], 3, 1.0, FastClock()).about()
    assert (len(many["symbols"]), many["symbol_count"], many["complete"]) == (500, 500, True)


async def test_replayed_to_its_end(tmp_path: Path) -> None:
    clock = FastClock()
    source = Replayed(recorded(tmp_path, "100,ES,10,1", "101,ES,11,2", "103.05,NQ,20,4"), 10.0, clock=clock)
    batches = await Emitted().of(source)
    snapshots = [snapshot for batch in batches for snapshot in batch]
    assert [(s.symbol, s.price, s.volume, s.timestamp - clock.started) for s in snapshots] == [
        ("ES", 10.0, 1.0, 0.0),
        ("ES", 11.0, 3.0, pytest.approx(0.1)),
        ("NQ", 20.0, 4.0, pytest.approx(0.305)),
    ]
    assert source.progress() == {
        "place": "00:01:43 of 3 s, 100 %",
        "rows": 3,
        "used": 3,
        "bad": {},
        "bad_lines": {},
        "quotes_left_out": 0,
        "filtered": 0,
        "left_out": {},
        "share": 1.0,
        "recorded": "1970-01-01T00:01:43.050Z",
        "passes": 1,
    }


async def test_replayed_says_how_its_times_are_mapped(tmp_path: Path) -> None:
    clock = FastClock()
    source = Replayed(recorded(tmp_path, "100.25,ES,10,1", "101,ES,11,2"), 2.0, clock=clock)
    assert source.about()["symbols"] == []
    await Emitted().of(source)
    assert source.about() == {
        "source": "replay",
        "venue": None,
        "symbols": ["ES"],
        "symbol_count": 1,
        "file": "trades.csv.gz",
        "recorded_from": 100.25,
        "started_at": clock.started,
        "speed": 2.0,
    }


async def test_a_doubtful_quote_is_left_out_of_its_row_and_counted(tmp_path: Path) -> None:
    before = count("cottage_market_quotes_left_out_total", field="bid")
    header = "timestamp,symbol,price,size,bid,ask\n"
    path = recorded(tmp_path, "100,ES,10,1,-5,11", "101,ES,11,2,10.5,11.5", header=header)
    source = Replayed(path, 10.0, clock=FastClock())
    snapshots = [snapshot for batch in await Emitted().of(source) for snapshot in batch]
    assert [(s.price, s.bid, s.ask) for s in snapshots] == [(10.0, None, 11.0), (11.0, 10.5, 11.5)]
    assert source.progress()["quotes_left_out"] == 1
    assert count("cottage_market_quotes_left_out_total", field="bid") == before + 1


async def test_replayed_over_and_over_is_a_new_session_each_time(tmp_path: Path) -> None:
    clock = FastClock()
    source = Replayed(recorded(tmp_path, "100,ES,10,1", "101,ES,11,2"), loop=True, clock=clock)
    batches = await Emitted(lambda seen: len(seen) >= 6).of(source)
    assert [(batch[0].price, batch[0].volume, batch[0].trades) for batch in batches[:6]] == [
        (10, 1, 1),
        (11, 3, 2),
    ] * 3
    times = [batch[0].timestamp for batch in batches[:6]]
    assert times == sorted(set(times)), "time goes on across the seam"


async def test_bad_rows_are_counted_by_reason_and_logged_with_their_line(tmp_path: Path) -> None:
    bad = {reason: count("cottage_market_rows_dropped_total", reason=reason) for reason in ("price", "fields")}
    read = count("cottage_market_rows_read_total")
    path = recorded(tmp_path, "100,ES,ten,1", "100,ES,10,1", "100,ES", "101,ES,0,1", "102,ES,11,1")
    source = Replayed(path, clock=FastClock())
    with structlog.testing.capture_logs() as logs:
        batches = await Emitted().of(source)
    assert [batch[0].price for batch in batches] == [10.0, 11.0]
    assert source.progress()["bad"] == {"price": 2, "fields": 1}
    assert count("cottage_market_rows_dropped_total", reason="price") == bad["price"] + 2
    assert count("cottage_market_rows_dropped_total", reason="fields") == bad["fields"] + 1
    assert count("cottage_market_rows_read_total") == read + 5
    lines = [(line["line"], line["reason"]) for line in logs if line["event"] == "row_dropped"]
    assert lines == [(2, "price"), (4, "fields"), (5, "price")]
    (summary,) = [line for line in logs if line["event"] == "rows_dropped"]
    assert (summary["rows"], summary["reasons"]) == (3, {"price": 2, "fields": 1})
    assert summary["lines"] == source.progress()["bad_lines"] == {"price": [2, 5], "fields": [4]}
    finished = next(line for line in logs if line["event"] == "replay_finished")
    assert (finished["rows"], finished["used"]) == (5, 2)


async def test_of_a_file_full_of_bad_rows_the_first_are_told_and_all_are_counted(tmp_path: Path) -> None:
    path = recorded(tmp_path, "100,ES,10,1", *["101,ES,eleven,1"] * 5000, "102,ES,12,1")
    with structlog.testing.capture_logs() as logs:
        await Emitted().of(Replayed(path, clock=FastClock()))
    told = [line for line in logs if line["event"] == "row_dropped"]
    assert [line["line"] for line in told] == list(range(3, 3 + MOST_LINES))
    assert told[0]["error"] == "'eleven' is not a number"
    (summary,) = [line for line in logs if line["event"] == "rows_dropped"]
    assert (summary["rows"], summary["reasons"]) == (5000, {"price": 5000})
    assert summary["lines"] == {"price": list(range(3, 13))}


async def test_a_long_wait_is_said(tmp_path: Path) -> None:
    source = Replayed(recorded(tmp_path, "100,ES,10,1", "36100,ES,11,1"), 100.0, clock=FastClock())
    with structlog.testing.capture_logs() as logs:
        await Emitted().of(source)
    assert [line["seconds"] for line in logs if line["event"] == "replay_waits"] == [360]


async def test_only_some_symbols(tmp_path: Path) -> None:
    path = recorded(tmp_path, "100,ES,10,1", "100,NQ,20,1", "100,BTC/USD,30,1")
    batches = await Emitted().of(Replayed(path, symbols=("NQ", "BTC-USD"), clock=FastClock()))
    assert [s.symbol for batch in batches for s in batch] == ["NQ", "BTC-USD"]


@pytest.mark.parametrize(
    ("rows", "symbols", "words"),
    [
        (["1,ES,ten,1"], (), "1 refused for their price in lines 2"),
        (
            ["1,ES,ten,1", "2,ES,-1,1", "3,ES"],
            (),
            "2 refused for their price in lines 2, 3; 1 refused for their fields in lines 4",
        ),
        (["1,ES,10,1"], ("NQ",), "1 of other symbols than MARKET_SYMBOLS"),
    ],
)
async def test_no_usable_row(tmp_path: Path, rows: list[str], symbols: tuple[str, ...], words: str) -> None:
    emitted = Emitted()
    with pytest.raises(UnusableSource, match=f"no usable row.*{words}"):
        await emitted.of(Replayed(recorded(tmp_path, *rows), symbols=symbols, clock=FastClock()))
    assert emitted.batches == []


async def test_a_file_that_breaks_off_ends_the_replay(tmp_path: Path) -> None:
    path = recorded(tmp_path, *(f"{100 + i},ES,{10 + i * 7 % 13},1" for i in range(50_000)))
    path.write_bytes(path.read_bytes()[:20_000])
    emitted = Emitted()
    with pytest.raises(UnusableSource, match="broken or cut short"):
        await emitted.of(Replayed(path, 100_000.0, clock=FastClock()))


async def test_cancelled_while_it_reads(tmp_path: Path) -> None:
    # A million bad rows, and the first usable one after them: seconds of reading.
    path = tmp_path / "long.csv"
    path.write_text(HEADER + "1,ES,ten,1\n" * 1_000_000 + "1,ES,10,1\n")
    source = Replayed(path, clock=FastClock())
    read = count("cottage_market_rows_dropped_total", reason="price")
    preparing = asyncio.create_task(source.prepare())
    await eventually(lambda: count("cottage_market_rows_dropped_total", reason="price") >= read + 100)
    preparing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await preparing
    assert count("cottage_market_rows_dropped_total", reason="price") < read + 1_000_000
    source.close()


def test_the_source_that_the_settings_ask_for(tmp_path: Path) -> None:
    simulated = source_of(MarketSettings(), FastClock())
    assert simulated.name == "simulate"
    assert simulated.about()["symbols"] == list(DEFAULT_SYMBOLS)
    assert source_of(MarketSettings(symbols=("A", "B")), FastClock()).about()["symbols"] == ["A", "B"]
    replayed = source_of(MarketSettings(source="replay", file=str(recorded(tmp_path))), FastClock())
    assert replayed.name == "replay"


async def test_a_record_is_replayed_as_it_was_taken(tmp_path: Path) -> None:
    """Feynman is told of windows before it is given samples for them."""
    rows = [row(symbol, 7, seq) for seq in (1, 2) for symbol in ("ES", "NQ")]
    again = row("ES", 8, 1, reissued=True)
    told: list[tuple[Sequence[str], str | None]] = []

    class Feynman(Emitted):
        async def taken(self, symbols: Sequence[str], windows: str | None = None) -> bool:
            told.append((symbols, windows))
            return len(told) != 1  # so the first is told once more

    source = Replayed(record(tmp_path / "record", [*rows, again]), "max", clock=FastClock())
    batches = await Feynman().of(source)
    assert told == [(("ES", "NQ"), "")] * 2 + [(["ES", "NQ"], None)] * 2
    assert [[(each.symbol, each.price, each.number) for each in batch] for batch in batches] == [
        [("ES", 101.0, 1), ("NQ", 101.0, 1)],
        [("ES", 102.0, 2), ("NQ", 102.0, 2)],
    ]
    assert source.about()["recorded_sources"] == ["live"]
    assert source.progress()["left_out"] == {"issued again": 1}
    assert (source.progress()["rows"], source.progress()["share"]) == (5, 1.0)
