import io
from pathlib import Path

import pandas as pd  # type: ignore[import-untyped]
import pytest

from cottage.files.cell_table import Table
from cottage.files.options import ReadOptions
from cottage.files.tables.members import members
from cottage.files.tables.open_table import open_table


def opened(folder: Path, content: str | bytes, name: str = "prices.csv", **options: str) -> Table:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (member,) = members(folder / name)
    return open_table(member, ReadOptions(**options))


def read(table: Table) -> list[tuple[int, list[str]]]:
    return [(number, list(cells)) for number, cells in table.rows(lambda _line, _error: None)]


CLOSES = "Date,AAPL,MSFT,7203.T\n2025-01-02,5,,7\n2025-01-03,6,8.5,nan\n"
LONG = [
    (2, ["2025-01-02", "AAPL", "5"]),
    (2, ["2025-01-02", "7203.T", "7"]),
    (3, ["2025-01-03", "AAPL", "6"]),
    (3, ["2025-01-03", "MSFT", "8.5"]),
]


def test_a_column_for_each_symbol(tmp_path: Path) -> None:
    table = opened(tmp_path, CLOSES)
    assert table.names == ("Date", "symbol", "close")
    assert read(table) == LONG
    assert table.guesses[0].what == "what AAPL, MSFT, 7203.T in the columns' names are"
    assert "columns by symbol" in table.spelled
    assert [list(row) for rows in table.places() for row in rows] == [cells for _, cells in LONG]


def test_an_index_without_a_name_and_one_of_numbers(tmp_path: Path) -> None:
    table = opened(tmp_path, CLOSES.replace("Date", ""))
    assert table.names == ("time", "symbol", "close")
    assert read(table) == LONG
    numbered = ",Date,AAPL,MSFT\n0,2025-01-02,5,\n1,2025-01-03,6,8.5\n"
    assert read(opened(tmp_path, numbered)) == [each for each in LONG if each[1][1] != "7203.T"]


@pytest.mark.parametrize(
    ("header", "symbols"),
    [
        ("Date,7203,6758", ["7203", "6758"]),
        ("Date,LOW,AAPL,MSFT", ["LOW", "AAPL", "MSFT"]),
        ("Date,BTC-USD,EURUSD=X,^GSPC,BRK/B", ["BTC-USD", "EURUSD=X", "^GSPC", "BRK/B"]),
        ("observation_date,DEXUSEU", ["DEXUSEU"]),
    ],
)
def test_what_symbols_look_like(tmp_path: Path, header: str, symbols: list[str]) -> None:
    rows = "".join(f"2025-01-0{i},{','.join('5' * len(symbols))}\n" for i in range(1, 5))
    assert [cells[1] for _, cells in read(opened(tmp_path, f"{header}\n{rows}"))] == symbols * 4


@pytest.mark.parametrize(
    "content",
    [
        "DATE,OPEN,HIGH,LOW,CLOSE,VOL\n2025-01-02,5,6,4,5,100\n",
        "Date,Close\n2025-01-02,5\n",
        "DATE,PRICE\n2025-01-02,5\n",
        "time,spread,ofi\n2025-01-02,5,6\n",
        "Date,SYMBOL,RSI\n2025-01-02,SPY,6\n",
        "Date,MKT,SMB\n2025-01-02,0.5,-0.6\n",
        "Unix,Open,High,Low,Close,Volume BTC,Volume USDT\n1735689600,5,6,4,5,100,500\n",
        "time,bid_price,ask_price,bid_size,ask_size\n1735689600,5,6,4,5\n",
        "time,bid_px,bid_sz,ask_px,ask_sz\n1735689600,5,4,6,5\n",
        "time,buy_price,buy_mine,sell_price,sell_mine\n1735689600,5,4,6,5\n",
        "AAPL,MSFT\n5,6\n",
        "날짜,종가,거래량\n2025-01-02,53400,16630538\n",
        "time,price_EUR,volume_shares\n1735689600,5,100\n",
        "DATE,SEQ,NUMBER,PRICE\n2025-01-02,5,6,7\n",
    ],
)
def test_columns_that_are_no_symbols(tmp_path: Path, content: str) -> None:
    assert opened(tmp_path, content).names == tuple(content.split("\n")[0].split(","))


def test_what_a_user_says_of_the_columns_stands(tmp_path: Path) -> None:
    for options in ({"format": "time,price,-,-"}, {"price": "AAPL"}):
        assert opened(tmp_path, CLOSES, **options).names == ("Date", "AAPL", "MSFT", "7203.T")


FIELDS = [
    (4, ["2025-01-02", "AAPL", "5", "6", "100"]),
    (4, ["2025-01-02", "MSFT", "7", "8", "200"]),
    (5, ["2025-01-03", "MSFT", "9", "10", "300"]),
]
ROWS = "2025-01-02,5,7,6,8,100,200\n2025-01-03,,9,,10,,300\n"


def test_the_header_lines_of_yfinance(tmp_path: Path) -> None:
    fields = ",Adj Close,Adj Close,Close,Close,Volume,Volume\n"
    symbols = ",AAPL,MSFT,AAPL,MSFT,AAPL,MSFT\n"
    for header in (
        f"Price{fields}Ticker{symbols}Date,,,,,,\n",
        f"Ticker{symbols}Price{fields}Date,,,,,,\n",
        f"{fields}{symbols}Date,,,,,,\n",
    ):
        table = opened(tmp_path, header + ROWS)
        assert table.names == ("Date", "symbol", "Adj Close", "Close", "Volume")
        assert read(table) == FIELDS
        assert table.guesses == []


def test_fields_that_are_none_of_ours_stay_beside_the_others(tmp_path: Path) -> None:
    header = "Price,Close,Close,Stock Splits,Stock Splits\nTicker,AAPL,LOW,AAPL,LOW\nDate,,,,\n"
    table = opened(tmp_path, header + "2025-01-02,5,6,0,0\n")
    assert table.names == ("Date", "symbol", "Close", "Stock Splits")
    assert [cells[1] for _, cells in read(table)] == ["AAPL", "LOW"]


@pytest.mark.parametrize("spell", ["{0}_{1}", "{1}_{0}", "{1}.{0}", "{0} {1}", "{1} {0}", "{1}:{0}"])
def test_names_of_field_and_symbol(tmp_path: Path, spell: str) -> None:
    columns = [spell.format(field, symbol) for field in ("close", "volume") for symbol in ("BTC/USDT", "ETH/USDT")]
    table = opened(tmp_path, f"time,{','.join(columns)}\n1735689600,5,6,100,200\n")
    assert table.names == ("time", "symbol", "close", "volume")
    assert len(table.guesses) == (" " not in spell)
    assert read(table) == [
        (2, ["1735689600", "BTC/USDT", "5", "100"]),
        (2, ["1735689600", "ETH/USDT", "6", "200"]),
    ]


def test_columns_of_two_levels_in_parquet(tmp_path: Path) -> None:
    columns = pd.MultiIndex.from_product([["Close", "Volume"], ["AAPL", "MSFT"]])
    frame = pd.DataFrame([[5.0, 6.0, 100, 200]], index=pd.to_datetime(["2025-01-02"]), columns=columns)
    into = io.BytesIO()
    frame.to_parquet(into)
    table = opened(tmp_path, into.getvalue(), "prices.parquet")
    assert table.names == ("time", "symbol", "Close", "Volume")
    assert [cells for _, cells in read(table)] == [
        ["2025-01-02 00:00:00", "AAPL", "5.0", "100"],
        ["2025-01-02 00:00:00", "MSFT", "6.0", "200"],
    ]


@pytest.mark.parametrize(
    ("names", "is_wide"),
    [
        ("AAPL,^GSPC", True),
        ("Brent,WTI", True),
        ("Apple,Microsoft", True),
        ("aapl,msft", True),
        ("VIX", True),
        ("vix", False),
        ("Sentiment", False),
        ("RSI,MACD", False),
        ("SPY.Open,SPY.Close", False),
        ("Close SPY,High SPY", False),
        ("Return,AAPL", False),
        ("cases,deaths", False),
        ("portfolio_value,cash", False),
    ],
)
def test_names_that_are_symbols_are_no_statistics(tmp_path: Path, names: str, is_wide: bool) -> None:
    numbers = ",".join("5" for _ in names.split(","))
    table = opened(tmp_path, f"Date,{names}\n2025-01-02,{numbers}\n2025-01-03,{numbers}\n")
    assert ("symbol" in (table.names or ())) == is_wide
