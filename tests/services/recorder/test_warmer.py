"""What the recorder offers from its record for windows that have just begun, on a real Redis."""

from pathlib import Path
from typing import Any

import pytest

from cottage import keys
from cottage.messages import Heartbeat
from cottage.record.record_writer import RecordWriter
from cottage.redis import Client
from cottage.store import WarmStarts
from cottage.version import Version
from cottage.warm import LEAD, WarmSamples
from services.recorder.warmer import Warmer
from tests.one_kind import on_one_kind

pytestmark = pytest.mark.usefixtures("no_debug")
pytest_generate_tests = on_one_kind

NOW = 1_766_318_400
WINDOW = 50
RUN = 1
FIRST = NOW - 1000


def row(symbol: str, second: int, **fields: Any) -> dict[str, Any]:
    """A version that the recorder wrote: that of a second."""
    at = (FIRST + second) * 1_000_000
    return {
        "symbol": symbol,
        "source": "live",
        "run": RUN,
        "feed": "FEED",
        "native": None,
        "epoch": 1,
        "seq": second,
        "number": 0,
        "last": True,
        "reissued": False,
        "healed": False,
        "at": at,
        "sampled": at,
        "recorded": at,
        "written": at,
        "event_time": None,
        "price": 100.0 + second,
        "volume": float(second),
        "trades": None,
        "samples": min(second, WINDOW),
        "said": None,
        "step": 1.0,
        "grid": 0.01,
        "votes": 2,
        "regime": "Gaussian",
        "regime_since": at,
        **fields,
    }


OTHERS: dict[str, dict[str, Any]] = {
    "SOURCE": {"source": "simulate"},
    "FEED": {"feed": "OTHER"},
    "NO-FEED": {"feed": None},
    "NATIVE": {"native": "spy"},
    "RUN": {"run": 2},
}
"""Of these symbols the record has a row that is of another window in one way."""
SEVERAL = [f"S{i}" for i in range(5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of all that these tests need: closing one takes seconds."""
    rows = [row("SPY", second) for second in range(200)] + [row("SPY", 200, epoch=2, seq=0, samples=1)]
    rows += [row(symbol, 10, **other) for symbol, other in OTHERS.items()]
    rows += [row(name, second) for name in SEVERAL for second in range(100, 200)]
    rows += [row("BACK", i, sampled=(FIRST + i - 60 * (i >= 150)) * 10**6) for i in range(100, 200)]
    rows += [row("AFTER", i, samples=min(i, 60) if i < 170 else i - 169) for i in range(200)]
    rows += [row("ONLY", i, samples=i - 169) for i in range(170, 200)]
    path = tmp_path_factory.mktemp("record")
    with RecordWriter(path) as writer:
        writer.append("samples", {name: [each[name] for each in rows] for name in rows[0]})
        writer.flush()
    return path


class Recorder:
    """A Warmer with a record, its clock, and the states that it sees."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.now = 0.0
        self.warmer = Warmer(folder, lambda: self.now)
        self.starts = WarmStarts(client)
        self._client = client

    def heard(self, cold: int = 1, window: int | None = WINDOW) -> None:
        heartbeat = Heartbeat(Version(1, 1), NOW, "0/1", 1, 1, 1, window, cold)
        self.warmer.heartbeat(heartbeat.to_bytes("2025-12-21T12:00:00.000Z"), self._client.database)

    def saw(self, symbol: str, second: int, samples: int, **fields: Any) -> None:
        said = {"source": "live", "feed": "FEED", "samples": samples, "step": 1.0, **fields}
        run = said.pop("run", RUN)
        self.warmer.saw(symbol, said, (FIRST + second) * 1_000_000, run)

    async def offered(self, *symbols: str) -> dict[str, WarmSamples]:
        await self.warmer.turn(self._client)
        sizes = {name: size for name, size in (await self.starts.sizes(symbols)).items() if isinstance(size, int)}
        payloads = await self.starts.read(sizes)
        return {name: WarmSamples.from_bytes(each, NOW) for name, each in payloads.items()}


async def test_the_rows_before_a_young_window_are_offered(client: Client, folder: Path) -> None:
    recorder = Recorder(client, folder)
    recorder.heard()
    recorder.saw("SPY", 200, samples=1)
    recorder.saw("SPY", 201, samples=2)
    found = (await recorder.offered("SPY"))["SPY"]
    expected = range(200 - WINDOW - LEAD, 200)
    assert found.price == [100.0 + second for second in expected]
    assert found.sampled == [(FIRST + second) * 1_000_000 for second in expected]
    assert (found.source, found.feed, found.native) == ("live", "FEED", None)
    assert (found.step, found.grid, found.votes, found.regime) == (1.0, 0.01, 2, "Gaussian")
    assert 0 < await client.ttl(keys.market_warm("SPY")) <= keys.WARM_TTL_SECONDS


@pytest.mark.parametrize("symbol", OTHERS)
async def test_what_is_of_another_source_feed_spelling_or_run_is_not(
    client: Client, folder: Path, symbol: str
) -> None:
    recorder = Recorder(client, folder)
    recorder.heard()
    recorder.saw(symbol, 200, samples=1)
    recorder.saw("SPY", 200, samples=1)
    assert list(await recorder.offered(symbol, "SPY")) == ["SPY"]


@pytest.mark.parametrize("silent", ["no heartbeat", "an old one", "no window that has just begun", "of another form"])
async def test_nothing_is_offered_unless_feynman_asks_for_it(client: Client, folder: Path, silent: str) -> None:
    recorder = Recorder(client, folder)
    if silent == "an old one":
        recorder.heard()
        recorder.now += 11.0
    if silent == "no window that has just begun":
        recorder.heard(cold=0)
    if silent == "of another form":
        recorder.heard(window=None)
        recorder.warmer.heartbeat(b"{", 0)
    recorder.saw("SPY", 200, samples=1)
    assert await recorder.offered("SPY") == {}
    recorder.heard()
    assert list(await recorder.offered("SPY")) == ["SPY"]


async def test_a_full_window_wants_none_until_it_begins_anew(client: Client, folder: Path) -> None:
    recorder = Recorder(client, folder)
    recorder.heard()
    recorder.saw("SPY", 200, samples=WINDOW)
    assert await recorder.offered("SPY") == {}
    recorder.saw("SPY", 201, samples=1)
    assert list(await recorder.offered("SPY")) == ["SPY"]


@pytest.mark.parametrize(("name", "begins"), [("AFTER", 170), ("ONLY", 170)])
async def test_a_recorder_that_starts_again_knows_where_a_window_began(
    client: Client, folder: Path, name: str, begins: int
) -> None:
    """The record has the samples of the window itself, which are not offered to it."""
    recorder = Recorder(client, folder)
    recorder.heard()
    recorder.saw(name, 200, samples=200 - begins + 1)
    recorder.saw("SPY", 200, samples=1)
    found = await recorder.offered(name, "SPY")
    assert "SPY" in found
    if name == "AFTER":
        assert found[name].price == [100.0 + second for second in range(begins - WINDOW - LEAD, begins)]
    else:
        assert name not in found


async def test_a_window_that_runs_already_is_offered_none(client: Client, folder: Path) -> None:
    """Feynman would not take them, and the next ones would have to wait for their room."""
    recorder = Recorder(client, folder)
    recorder.heard(window=1000)
    recorder.saw("SPY", 201, samples=121)
    recorder.saw("BACK", 200, samples=60, step=2.5)
    assert await recorder.offered("SPY", "BACK") == {}
    recorder.saw("SPY", 202, samples=1)
    assert list(await recorder.offered("SPY")) == ["SPY"]


async def test_a_window_is_offered_samples_twice_at_most(client: Client, folder: Path) -> None:
    recorder = Recorder(client, folder)
    for second in range(5):
        recorder.heard()
        recorder.saw("SPY", 200, samples=second)
        await recorder.offered("SPY")
        await recorder.starts.remove(["SPY"])
        recorder.now += 70.0
    assert recorder.warmer.offered == 2


async def test_the_next_are_written_when_those_before_are_deleted(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = SEVERAL
    size = len(WarmSamples("live", [100.0] * 100, [NOW * 10**6] * 100).to_bytes())
    monkeypatch.setattr("services.recorder.warmer.MOST_BYTES_IN_ALL", 4 * size)
    recorder = Recorder(client, folder)
    recorder.heard(cold=len(names))
    for name in names:
        recorder.saw(name, 200, samples=1)
    seen: set[str] = set()
    for _ in range(len(names)):
        found = await recorder.offered(*names)
        assert 0 < len(found) < len(names)
        assert await recorder.offered(*names) == found, "there is no room until feynman has deleted them"
        seen |= set(found)
        await recorder.starts.remove(found)
        if seen == set(names):
            return
    pytest.fail(f"only {seen} were offered")


async def test_a_key_is_renewed_as_long_as_its_window_is_not_full(client: Client, folder: Path) -> None:
    recorder = Recorder(client, folder)
    recorder.heard()
    recorder.saw("SPY", 200, samples=1)
    assert list(await recorder.offered("SPY")) == ["SPY"]
    for samples, lives in ((20, True), (WINDOW, False)):
        await client.expire(keys.market_warm("SPY"), 20)
        recorder.saw("SPY", 201, samples=samples)
        await recorder.offered("SPY")
        assert (await client.ttl(keys.market_warm("SPY")) > 20) == lives


async def test_only_rows_in_order_are_offered(client: Client, folder: Path) -> None:
    """The clock was set back by a minute at the 150th second."""
    recorder = Recorder(client, folder)
    recorder.heard()
    recorder.saw("BACK", 200, samples=1)
    assert (await recorder.offered("BACK"))["BACK"].price == [250.0 + i for i in range(50)]


async def test_no_record_offers_none(client: Client, tmp_path: Path) -> None:
    warmer = Warmer(tmp_path, lambda: 0.0)
    warmer.heartbeat(
        Heartbeat(Version(1, 1), NOW, "0/1", 1, 1, 1, WINDOW, 1).to_bytes("2025-12-21T12:00:00.000Z"), client.database
    )
    warmer.saw("SPY", {"source": "live", "samples": 1}, FIRST * 10**6, RUN)
    await warmer.turn(client)
    assert warmer.offered == 0
