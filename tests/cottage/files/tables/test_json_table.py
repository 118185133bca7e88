import json
import random
from pathlib import Path
from typing import Any

import pytest

from cottage.errors import UnusableSource
from cottage.files.options import ReadOptions
from cottage.files.rows import BadRow
from cottage.files.tables import json_table
from cottage.files.tables.members import members
from cottage.files.tables.open_table import open_table


class Read:
    """All of a table."""

    def __init__(self, folder: Path, content: str | bytes, name: str = "trades.json") -> None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        (member,) = members(folder / name)
        self.table = open_table(member, ReadOptions())
        self.names = self.table.names
        self.complaints: list[tuple[int, str]] = []
        self.numbered = [(number, list(cells)) for number, cells in self.table.rows(self._bad)]
        self.rows = [cells for _, cells in self.numbered]

    def _bad(self, line: int, error: BadRow) -> None:
        self.complaints.append((line, error.reason))


CANDLE = [1735689600000, "42000.0", "42008.39", "41993.57", "41995.28", "3.25295"]
CELLS = ["1735689600000", "42000.0", "42008.39", "41993.57", "41995.28", "3.25295"]


@pytest.mark.parametrize(
    ("value", "cells"),
    [
        ([CANDLE, CANDLE], CELLS),
        ({"code": "0", "msg": "", "data": [CANDLE, CANDLE]}, CELLS),
        ({"error": [], "result": {"XXBTZUSD": [CANDLE, CANDLE], "last": 1735689600}}, ["XXBTZUSD", *CELLS]),
        (
            {
                "retCode": 0,
                "retMsg": "OK",
                "result": {"category": "spot", "symbol": "BTCUSDT", "list": [CANDLE, CANDLE]},
                "time": 1735689600000,
            },
            ["BTCUSDT", *CELLS],
        ),
    ],
)
def test_rows_without_names(tmp_path: Path, value: Any, cells: list[str]) -> None:
    for text in (json.dumps(value), json.dumps(value, indent=2), json.dumps(value).encode("utf-16")):
        read = Read(tmp_path, text)
        assert read.names is None
        assert read.numbered == [(1, cells), (2, cells)]
        assert read.table.spelled == "JSON"
        assert read.table.plain_numbers


BAR = {"t": "2025-01-02T14:30:00Z", "o": 5, "h": 7.0, "l": 4, "c": 6.10, "v": 1000, "n": 12}
NAMES = tuple("tohlcvn")
BAR_CELLS = ["2025-01-02T14:30:00Z", "5", "7.0", "4", "6.1", "1000", "12"]


@pytest.mark.parametrize(
    ("value", "names", "rows"),
    [
        ([BAR, BAR], NAMES, [BAR_CELLS] * 2),
        ({"DATA": [BAR]}, NAMES, [BAR_CELLS]),
        ({"bars": {"AAPL": [BAR], "MSFT": [BAR]}}, ("symbol", *NAMES), [["AAPL", *BAR_CELLS], ["MSFT", *BAR_CELLS]]),
        ({"bars": {"AAPL": [BAR]}, "next_page_token": None}, ("symbol", *NAMES), [["AAPL", *BAR_CELLS]]),
        ({"trades": [BAR], "symbol": "AAPL", "next_page_token": None}, ("symbol", *NAMES), [["AAPL", *BAR_CELLS]]),
        (
            {"ticker": "AAPL", "queryCount": 9, "adjusted": True, "results": [BAR], "status": "OK", "count": 1},
            ("ticker", "status", *NAMES),
            [["AAPL", "OK", *BAR_CELLS]],
        ),
        ({"symbol": "AAPL", "from": "2025-01-01", "candles": [BAR]}, ("symbol", *NAMES), [["AAPL", *BAR_CELLS]]),
        (
            {name: [cell, cell] for name, cell in BAR.items()} | {"s": "ok"},
            ("s", *NAMES),
            [["ok", *BAR_CELLS]] * 2,
        ),
        (
            {"Meta Data": {"2. Symbol": "IBM", "3. Last Refreshed": "2025-01-02 19:59:00"},
             "Time Series (5min)": {"2025-01-02 14:30:00": {"1. open": "5", "4. close": "6"}}},
            ("Symbol", "time", "1. open", "4. close"),
            [["IBM", "2025-01-02 14:30:00", "5", "6"]],
        ),
        (
            {"close": {"1735689600": 5, "1735689660": 6}, "volume": {"1735689600": 7, "1735689660": None}},
            ("", "close", "volume"),
            [["1735689600", "5", "7"], ["1735689660", "6", ""]],
        ),
        (
            {"columns": ["open", "close"], "index": [1735689600, 1735689660, 1735689720], "data": [[1, 2]] * 3},
            ("", "open", "close"),
            [[time, "1", "2"] for time in ("1735689600", "1735689660", "1735689720")],
        ),
        (
            {"dataset": {"dataset_code": "AAPL", "column_names": ["Date", "Close"], "data": [["2025-01-02", 5.0]]}},
            ("Date", "Close"),
            [["2025-01-02", "5.0"]],
        ),
    ],
)  # fmt: skip
def test_rows_with_names(tmp_path: Path, value: Any, names: tuple[str, ...], rows: list[list[str]]) -> None:
    read = Read(tmp_path, json.dumps(value))
    assert read.names == names
    assert read.rows == rows


def test_columns_in_lists_of_their_own(tmp_path: Path) -> None:
    quote = {"open": [5.1, None], "high": [7, 8], "low": [4, 5], "close": [6, 7], "volume": [100, 200]}
    result = {
        "meta": {"currency": "USD", "symbol": "AAPL", "regularMarketPrice": 9, "validRanges": ["1d", "5d", "1mo"]},
        "timestamp": [1735828200, 1735828260],
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": [6, 7]}]},
    }
    read = Read(tmp_path, json.dumps({"chart": {"result": [result], "error": None}}))
    fields = ("timestamp", "open", "high", "low", "close", "volume", "adjclose")
    assert read.names == ("currency", "symbol", *fields)
    assert read.rows == [
        ["USD", "AAPL", "1735828200", "5.1", "7", "4", "6", "100", "6"],
        ["USD", "AAPL", "1735828260", "", "8", "5", "7", "200", "7"],
    ]


def test_an_index_of_dates_is_the_column_time(tmp_path: Path) -> None:
    read = Read(tmp_path, json.dumps({"2025-01-02": {"close": 5}, "2025-01-03": {"close": 6}}))
    assert read.names == ("time", "close")


TRADE = {"e": "trade", "E": 1735689600100, "s": "BTCUSDT", "p": "42000.10", "q": "0.5"}


def test_json_lines_in_an_envelope(tmp_path: Path) -> None:
    wrapped = json.dumps({"stream": "btcusdt@trade", "data": TRADE})
    read = Read(tmp_path, f"{wrapped}\n\n{wrapped}\r\n")
    assert read.names == ("stream", "e", "E", "s", "p", "q")
    cells = ["btcusdt@trade", "trade", "1735689600100", "BTCUSDT", "42000.10", "0.5"]
    assert read.numbered == [(1, cells), (3, cells)]
    assert read.table.spelled == "JSON lines"


def test_messages_with_several_rows(tmp_path: Path) -> None:
    message = json.dumps({"topic": "publicTrade.BTCUSDT", "ts": 1735689600123, "data": [{"T": 1, "p": "5"}] * 2})
    read = Read(tmp_path, f"{message}\n{message}")
    assert read.names == ("topic", "ts", "T", "p")
    assert [number for number, _ in read.numbered] == [1, 1, 2, 2]
    assert read.rows[0] == ["publicTrade.BTCUSDT", "1735689600123", "1", "5"]


def test_objects_one_behind_the_other(tmp_path: Path) -> None:
    text = json.dumps(TRADE)
    for content in (text * 3, f"{text} {text}\n{text}", json.dumps(TRADE, indent=1) * 3):
        assert Read(tmp_path, content).rows == [["trade", "1735689600100", "BTCUSDT", "42000.10", "0.5"]] * 3


def test_lists_a_line(tmp_path: Path) -> None:
    read = Read(tmp_path, "\n".join(json.dumps(CANDLE) for _ in range(3)))
    assert read.names is None
    assert read.rows == [CELLS] * 3


def test_nested_names_and_lists_in_a_row(tmp_path: Path) -> None:
    trade = {
        "id": 7, "price": 5, "amount": 1, "time": 1735689600, "side": "buy", "conditions": ["@", "I"], "info": None,
        "fee": {"cost": 0.1, "currency": {"code": "USD"}}, "fees": [{"cost": 0.1}], "buy": True,
    }  # fmt: skip
    read = Read(tmp_path, json.dumps([trade, trade]))
    assert read.names == (
        "id", "price", "amount", "time", "side", "conditions", "info", "fee.cost", "fee.currency.code", "fees", "buy",
    )  # fmt: skip
    assert read.rows[0][5:] == ["@,I", "", "0.1", "USD", '[{"cost":"0.1"}]', "true"]


def test_a_number_keeps_all_its_digits(tmp_path: Path) -> None:
    assert Read(tmp_path, "[[1735689600123456789, 0.10000000000000000555, 1e-9]]").rows == [
        ["1735689600123456789", "0.10000000000000000555", "1e-9"]
    ]


def test_what_is_wrong_with_a_line_costs_that_line(tmp_path: Path) -> None:
    good = '{"time":1735689600,"price":5}\n'
    bad = [
        '{"time":1735689600,"pri',
        '{"time" 5}',
        "[1735689600,5]",
        "null",
        '{"time":1735689600,"price":5}}',
        "[" * 9_999,
    ]
    read = Read(tmp_path, good * 20 + "".join(f"{line}\n{good}" for line in bad)[:-1])
    assert read.complaints == [(21, "json"), (23, "json"), (25, "fields"), (27, "fields"), (29, "json"), (31, "json")]
    assert len(read.rows) == 27


def test_a_field_that_comes_late_is_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_table, "_SAMPLE", 10)
    read = Read(
        tmp_path, '{"time":1735689600,"price":5}\n' * 20 + '{"time":1735689600,"price":5,"update":"cancel"}\n'
    )
    assert read.complaints == [(21, "fields")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "holds no rows"),
        ('{"bids":[["1","2"]],"asks":[["3","4"]]}', "several lists stand beside each other: bids, asks"),
        ('{"t":[1,2,3],"o":[1,2,3],"c":[1,2,3],"v":[1,2]}', "different lengths: v has 2 cells, others 3"),
        ('[[1735689600,5],[1735689660,6],[1735689', "is broken or cut short"),
        ('[[1735689600,5],7]', "single values stand beside each other"),
        ("[" * 100_000, "is broken or cut short"),
    ],
)  # fmt: skip
def test_a_document_that_is_no_table(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(UnusableSource, match=f"trades.json.*{words}"):
        Read(tmp_path, content)


def test_one_large_document_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_table, "LARGEST_DOCUMENT", 100)
    with pytest.raises(UnusableSource, match="more than 100 bytes: write it as JSON lines"):
        Read(tmp_path, json.dumps([CANDLE] * 10))


def test_lines_beyond_the_first_read(tmp_path: Path) -> None:
    rng = random.Random(1)
    rows = [{"time": 1735689600 + i, "price": rng.random()} for i in range(30_000)]
    read = Read(tmp_path, "".join(json.dumps(row) + "\n" for row in rows))
    assert read.numbered == [(i + 1, [str(row["time"]), str(row["price"])]) for i, row in enumerate(rows)]


def test_lists_of_times_and_values_beside_each_other_are_columns_where_their_times_are_the_same(
    tmp_path: Path,
) -> None:
    chart = {"prices": [[1704067241331, 42261.0], [1704070847420, 42493.2]],
             "market_caps": [[1704067241331, 8.2e11], [1704070847420, 8.3e11]]}  # fmt: skip
    read = Read(tmp_path, json.dumps(chart))
    assert read.names == ("time", "prices", "market_caps")
    assert [row[:2] for row in read.rows] == [["1704067241331", "42261.0"], ["1704070847420", "42493.2"]]
    chart["market_caps"][1][0] += 1
    with pytest.raises(UnusableSource, match="several lists stand beside each other"):
        Read(tmp_path, json.dumps(chart))


@pytest.mark.parametrize("stamp", ["1735689600026000000", "2025-01-01T00:00:00.0260000Z", "2025-01-01 00:00:00.026"])
def test_the_time_before_a_message_is_when_it_was_received(tmp_path: Path, stamp: str) -> None:
    message = (
        '{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","p":"42000.1","q":"0.5","T":1735689600017}}'
    )
    read = Read(tmp_path, f"{stamp} {message}\n" * 3, "recorded.txt")
    assert read.names is not None
    assert dict(zip(read.names, read.rows[0], strict=True)).items() >= {
        "local_timestamp": stamp, "s": "BTCUSDT", "p": "42000.1", "T": "1735689600017"
    }.items()  # fmt: skip
    assert (len(read.rows), read.complaints) == (3, [])
