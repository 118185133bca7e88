"""`cottage history`, `changes` and `gaps`, and their functions in Python, with the real physics service."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

import cottage
from cottage.cli import main
from cottage.errors import ApiRefused
from deploy.redis_server import free_port
from tests.cottage.record.recorded_history import BEGIN, EPOCH, RUN, freshness, gap, outage, regime, sample, write
from tests.packaging.environments import snippets
from tests.support import service

START = datetime.fromtimestamp(BEGIN / 1e6, UTC)


@pytest.fixture(scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The URL of the physics service beside a record of a minute of two symbols; its Redis is not there."""
    folder, port = tmp_path_factory.mktemp("record"), free_port()
    samples = [
        sample(second, symbol, price=100.0 + second, regime="Gaussian" if second < 30 else "Critical")
        for symbol in ("SPY", "QQQ")
        for second in range(60)
        if not 40 <= second < 50
    ]
    write(
        folder,
        samples=samples,
        regimes=[regime(0, None, "Gaussian"), regime(30, "Gaussian", "Critical")],
        freshness=[freshness(45, "stale", "feed_down", "*"), freshness(50, "live", None, "*")],
        gaps=[gap(39, 50, "gap")],
        outages=[outage("market", 40, 50, 50)],
    )
    redis_url = f"redis://127.0.0.1:{free_port()}"
    async with service(
        "physics", {"PHYSICS_PORT": str(port), "RECORDER_DIR": str(folder), "REDIS_URL": redis_url}
    ) as running:
        await running.logged("listening")
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(autouse=True)
def environment(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COTTAGE_API_URL", served)


async def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What `cottage ARGUMENTS` prints."""
    status = await asyncio.to_thread(main, arguments)
    said = capsys.readouterr()
    assert (status, said.err) == (0, "")
    return said.out


async def test_a_history_as_a_table() -> None:
    table = await asyncio.to_thread(cottage.history, "SPY", last="1m", step="10s", source="simulate", run=RUN)
    rows = table.to_arrow().to_pylist()
    assert [row["count"] for row in rows] == [10, 10, 10, 10, 0, 10]
    assert [row["close"] for row in rows] == [109.0, 119.0, 129.0, 139.0, None, 159.0]
    assert rows[0]["time"] == START
    assert rows[4]["gaps"] == ["gap"]
    assert [row["regime"] for row in rows] == ["Gaussian"] * 3 + ["Critical", None, "Critical"]
    assert (table.about["source"], table.about["run"], table.about["step"]) == ("simulate", RUN, 10.0)
    assert table.about["until"] == [EPOCH, 600]


async def test_a_history_by_datetimes_of_several_symbols() -> None:
    table = await asyncio.to_thread(
        cottage.history,
        ["SPY", "QQQ", "NONE"],
        start=START,
        end=START.replace(minute=1),
        points=6,
        fields=["price", "momentum"],
    )
    arrow = table.to_arrow()
    assert arrow["symbol"].to_pylist() == ["SPY"] * 6 + ["QQQ"] * 6
    assert {"momentum", "momentum_mean", "close"} <= set(arrow.column_names)
    assert "regime" not in arrow.column_names
    assert table.about["missing"] == ["NONE"]


async def test_changes_and_gaps_as_tables() -> None:
    changes = (await asyncio.to_thread(cottage.changes, last="1m")).to_arrow()
    assert changes["kind"].to_pylist() == ["freshness", "freshness", "regime"]
    assert changes["regime"].to_pylist() == [None, None, "Critical"]
    gaps = await asyncio.to_thread(cottage.gaps, last="1m", symbols="SPY")
    assert gaps.to_arrow()["kind"].to_pylist() == ["gap"]
    assert [each["hop"] for each in gaps.about["outages"]] == ["market"]


async def test_the_commands_print_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = await ran(capsys, "history", "SPY", "--last", "1m", "--step", "10s", "--csv")
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [row["close"] for row in rows] == ["109.0", "119.0", "129.0", "139.0", "", "159.0"]
    file = tmp_path / "both.arrow"
    assert await ran(capsys, "history", "SPY,QQQ", "--last", "1m", "--step", "10s", "--arrow", str(file)) == ""
    with pa.ipc.open_stream(file.read_bytes()) as stream:
        assert len(stream.read_all()) == 12
    changes = await ran(capsys, "changes", "--last", "1m")
    assert [json.loads(line)["kind"] for line in changes.splitlines()] == ["regime", "freshness", "freshness"]
    gaps = await ran(capsys, "gaps", "SPY", "--last", "1m")
    assert [json.loads(line)["kind"] for line in gaps.splitlines()] == ["gap", "outage"]


async def test_the_program_of_the_document_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pandas")
    (program,) = (each for each in snippets("docs/record.md") if "cottage.history" in each)
    await asyncio.to_thread(exec, program, {})
    assert "simulate" in capsys.readouterr().out


async def test_what_cannot_be_answered_is_told_by_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    for given, code, said in (
        ({"symbols": "NONE"}, "no_such_symbol", "NONE"),
        ({"symbols": "SPY", "start": datetime(2020, 1, 1)}, "bad_parameter", "with its zone"),
        ({"symbols": "SPY", "fields": ["colour"]}, "bad_parameter", "no field 'colour'"),
        ({"symbols": "SPY", "source": "live"}, "not_recorded", "its sources: simulate"),
        ({"symbols": "SPY", "last": "1h", "step": "10ms"}, "too_many_points", "at most 5,000"),
    ):
        with pytest.raises(ApiRefused, match=said) as error:
            await asyncio.to_thread(cottage.history, **given)
        assert error.value.code == code
    assert await asyncio.to_thread(main, ["history", "NONE"]) == 1
    assert await asyncio.to_thread(main, ["history", "SPY", "--fields", "colour"]) == 2
    assert capsys.readouterr().err.count("\n") == 2
