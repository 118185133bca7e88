"""`cottage inspect`: what it says of recordings, to a person and as JSON."""

import json
from pathlib import Path

import pytest

from cottage.cli import main
from cottage.files.report import duration

KLINES = "".join(
    f"{1735689600000 + minute * 60_000},{100 + minute % 7}.5,{110 + minute % 7}.0,{90 + minute % 7}.0,"
    f"{100 + (minute + 1) % 7}.5,2.5,{1735689659999 + minute * 60_000},255.1,12,1.0,101.0,0\n"
    for minute in range(50)
)


def inspect(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = main(["inspect", *map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_what_was_understood_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "BTCUSDT-1m-2025-01-01.csv"
    path.write_text(KLINES)
    status, out, _ = inspect(capsys, path, "--json")
    assert status == 0
    told = json.loads(out)
    assert told["kind"] == "bars"
    assert told["symbols"] == ["BTCUSDT"]
    assert told["rows"] == 50
    assert told["first_time"] == "2025-01-01T00:00:00.000Z"
    assert told["span_seconds"] == 49 * 60
    assert (told["first_price"], told["last_price"]) == (101.5, 101.5)
    assert told["volume"] == 125.0
    assert told["left_out"] == {}
    assert told["whole"] is True


def test_the_report_says_what_each_column_is_and_when_a_close_is_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "BTCUSDT-1m-2025-01-01.csv"
    path.write_text(KLINES)
    status, out, _ = inspect(capsys, path)
    assert status == 0
    for said in (
        "bars of 1 minute, as Binance klines",
        "milliseconds since 1970",
        "stamped at a bar's open",
        "the first close is published at 2025-01-01T00:01:00.000Z",
        "tick 0.5;",
        "time 2025-01-01T00:01:00.000Z  symbol BTCUSDT  price 101.5",
    ):
        assert said in out


def test_a_guess_names_the_option_that_says_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "SPY.csv"
    path.write_text("time,price,size\n" + "".join(f"01/02/2025 09:30:{second:02},100.5,3\n" for second in range(30)))
    status, out, _ = inspect(capsys, path, "--json")
    assert status == 0
    assert "ORDER=day-first" in [guess["option"] for guess in json.loads(out)["guesses"]]
    status, out, _ = inspect(capsys, path, "--json", "--order", "day-first")
    assert json.loads(out)["first_time"] == "2025-02-01T09:30:00.000Z"


def test_bad_rows_are_counted_with_their_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "trades.csv"
    rows = [f"2025-01-02T09:30:{second:02}Z,SPY,100.5,3" for second in range(40)]
    rows[7] = "2025-01-02T09:30:07Z,SPY,abc,3"
    path.write_text("timestamp,symbol,price,size\n" + "\n".join(rows) + "\n")
    status, out, _ = inspect(capsys, path, "--all")
    assert status == 0
    assert "1 price (lines 9)" in out
    assert "rows      39, all" in out


def test_a_refusal_shows_both_readings_and_how_the_file_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "candles.csv"
    path.write_text(
        "time,low,high,open,close,volume\n" + "".join(f"{1735689600 + 60 * n},1,3,2,2,5\n" for n in range(9))
    )
    status, out, err = inspect(capsys, path)
    assert status == 2
    assert "SYMBOL=" in err
    assert "low" in out
    assert "1735689600" in out
    assert next(line for line in out.splitlines() if "1735689600" in line).split()[:2] == ["time", "time"]
    status, out, err = inspect(capsys, path, "--json")
    assert status == 2
    told = json.loads(out)
    assert told["columns"] == ["time", "low", "high", "open", "close", "volume"]
    assert told["fields"]["close"] == "close"
    assert told["guesses"][0]["option"].startswith("SYMBOL=")
    assert told["refused"] in err


@pytest.mark.parametrize("whole", [(), ("--all",)])
def test_order_places_repeated_rows_and_quotes_that_are_missing_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], whole: tuple[str, ...]
) -> None:
    path = tmp_path / "trades.csv"
    rows = [f"2025-01-02 09:30:{second:02},SPY,{100 + second % 3}.5,3,100.25,105.75" for second in range(40)]
    rows[20] = "2025-01-02 09:30:20,SPY,150.5,3,100.25,105.75"
    rows[10] = "2025-01-02 09:30:10,SPY,101.5,3,-1,105.75"
    del rows[30:34]
    rows.insert(5, rows[5])
    path.write_text("timestamp,symbol,price,size,bid,ask\n" + "\n".join(reversed(rows)) + "\n")
    status, out, _ = inspect(capsys, path, *whole)
    assert status == 0
    for said in (
        "rows come newest first",
        "UTC (the file states none)",
        "5 s at most without a row, before row 32 at 2025-01-02T09:30:34.000Z",
        "largest |log return| 40.381%, 4.3 sigma, to 100.5 in row 23 at 2025-01-02T09:30:21.000Z",
        "left out of rows that are used: 1 bid",
        "rows that are used, though the same as the row before in all that is read: 1",
    ):
        assert said in out, out


def test_a_volume_beside_one_in_money_is_of_what_is_traded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "BTCUSDT.csv"
    rows = "".join(
        f"2025-01-02 09:{minute:02}:00,100.{minute % 7},101,100,100.{minute % 9},{minute + 1}.5,{minute + 1}50.7\n"
        for minute in range(40)
    )
    path.write_text("Date,Open,High,Low,Close,Volume BTC,Volume USDT\n" + rows)
    status, out, _ = inspect(capsys, path)
    assert status == 0
    assert "volume in what is traded, not money" in out


@pytest.mark.parametrize(
    ("micros", "told"),
    [(1, "1 µs"), (250_000, "0.25 s"), (86_400e6, "1 day"), (90_000e6, "1 day 1 h"), (172_800e6, "2 days")],
)
def test_lengths_of_time_are_in_words(micros: float, told: str) -> None:
    assert duration(micros) == told


@pytest.mark.parametrize("option", [("--stamp", "noon"), ("--order", "backwards"), ("--conditions", "some")])
def test_an_option_that_cannot_be_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    path = tmp_path / "BTCUSDT-1m.csv"
    path.write_text(KLINES)
    status, _, err = inspect(capsys, path, *option)
    assert status == 2
    assert option[1] in err


def test_what_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = inspect(capsys, tmp_path / "none.csv")
    assert (status, out) == (2, "")
    assert "none.csv" in err
    assert err.count("\n") == 1


def test_only_the_first_rows_of_a_long_file_are_read_without_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ES.csv"
    with path.open("w") as file:
        file.write("timestamp,symbol,price,size\n")
        file.writelines(f"{1735689600 + number / 10:.1f},ES,{5000 + number % 9},1\n" for number in range(120_000))
    _, out, _ = inspect(capsys, path, "--json")
    assert (json.loads(out)["rows"], json.loads(out)["whole"]) == (100_000, False)
    _, out, _ = inspect(capsys, path, "--json", "--all")
    assert (json.loads(out)["rows"], json.loads(out)["whole"]) == (120_000, True)
