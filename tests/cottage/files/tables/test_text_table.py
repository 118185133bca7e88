import codecs
import gzip
from pathlib import Path

import pytest

from cottage.errors import UnusableSource
from cottage.files.rows import BadRow
from cottage.files.tables.members import members
from cottage.files.tables.text_lines import LONGEST_LINE
from cottage.files.tables.text_table import TextTable

HEADER = "timestamp,symbol,price,size\n"
ROWS = "2025-01-02 09:30:00,SPY,580.14,100\n2025-01-02 09:30:01,SPY,580.15,200\n"


class Read:
    """All of a table."""

    def __init__(self, folder: Path, content: str | bytes, name: str = "trades.csv") -> None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        (member,) = members(folder / name)
        self.table = TextTable(member)
        self.names = self.table.names
        self.complaints: list[tuple[int, str]] = []
        self.numbered: list[tuple[int, list[str]]] = []
        self.error: UnusableSource | None = None
        try:
            for number, cells in self.table.rows(self._bad):
                self.numbered.append((number, list(cells)))
        except UnusableSource as error:
            self.error = error

    def _bad(self, line: int, error: BadRow) -> None:
        self.complaints.append((line, error.reason))

    @property
    def rows(self) -> list[list[str]]:
        return [cells for _, cells in self.numbered]

    @property
    def lines(self) -> list[int]:
        return [number for number, _ in self.numbered]


PLAIN = [["2025-01-02 09:30:00", "SPY", "580.14", "100"], ["2025-01-02 09:30:01", "SPY", "580.15", "200"]]
NAMES = ("timestamp", "symbol", "price", "size")


@pytest.mark.parametrize(
    ("content", "spelled"),
    [
        (HEADER + ROWS, "text, cells between commas, a header"),
        ((HEADER + ROWS).replace("\n", "\r\n"), "text, cells between commas, a header"),
        ((HEADER + ROWS).replace("\n", "\r"), "text, cells between commas, a header"),
        ("\ufeff" + HEADER + ROWS, "text, cells between commas, a header"),
        ((HEADER + ROWS).replace(",", "\t"), "text, cells between tabs, a header"),
        ((HEADER + ROWS).replace(",", ";"), "text, cells between semicolons, a header"),
        ((HEADER + ROWS).replace(",", "|"), "text, cells between pipes, a header"),
        ("sep=;\n" + (HEADER + ROWS).replace(",", ";"), "text, cells between semicolons, a header, 1 line before it"),
        ('"sep=^"\n' + (HEADER + ROWS).replace(",", "^"), "text, cells between '^', a header, 1 line before it"),
        ("https://www.example.com\n" + HEADER + ROWS, "text, cells between commas, a header, 1 line before it"),
        (
            "Trades of SPY, by us\n\n# made today, by hand\nZone: none\n" + HEADER + ROWS,
            "text, cells between commas, a header, 3 lines before it",
        ),
        ((HEADER + ROWS).encode("utf-16"), "text, cells between commas, UTF-16-LE, a header"),
        ((HEADER + ROWS).encode("utf-16-le"), "text, cells between commas, UTF-16-LE, a header"),
        ((HEADER + ROWS).encode("utf-16-be"), "text, cells between commas, UTF-16-BE, a header"),
        (
            codecs.BOM_UTF16_BE + (HEADER + ROWS).encode("utf-16-be"),
            "text, cells between commas, UTF-16-BE, a header",
        ),
        ((HEADER + ROWS).replace("\n", ",\n"), "text, cells between commas, a header"),
        (HEADER + ROWS.replace("\n", ",\n"), "text, cells between commas, a header"),
        (HEADER.replace("\n", ",\n") + ROWS, "text, cells between commas, a header"),
        ("#" + HEADER + ROWS, "text, cells between commas, a header"),
        (
            '"timestamp","symbol","price","size"\n' + ROWS.replace("SPY", '"SPY"'),
            "text, cells between commas, a header",
        ),
        (HEADER + "\n  \n" + ROWS.replace("\n", "\n\n"), "text, cells between commas, a header"),
        ((HEADER + ROWS)[:-1], "text, cells between commas, a header, the last line without an end"),
        (HEADER + ROWS.replace("\n", "\n" + HEADER, 1), "text, cells between commas, a header"),
    ],
)
def test_the_ways_in_which_people_write_a_table(tmp_path: Path, content: str | bytes, spelled: str) -> None:
    read = Read(tmp_path, content)
    assert read.names is not None
    assert (read.names[:4], set(read.names[4:])) in [(NAMES, set()), (NAMES, {""})]
    assert [cells[:4] for cells in read.rows] == PLAIN
    assert read.complaints == []
    assert read.table.spelled == spelled


def test_cells_between_blanks(tmp_path: Path) -> None:
    read = Read(
        tmp_path, "date      time   price  size\n20250102  093000   580.1   10\n20250102  093001 580.15  7 \n"
    )
    assert read.names == ("date", "time", "price", "size")
    assert read.rows == [["20250102", "093000", "580.1", "10"], ["20250102", "093001", "580.15", "7"]]


@pytest.mark.parametrize(
    "line",
    [
        "02.01.2025;09:00:00;SAP;240,00;1,5",
        "1735689600,123;1,08;100,5",
        "20250101 170000;1.080168;46",
        "2025-01-02 09:30:00\t1,5\t2,5",
    ],
)
def test_a_decimal_comma_is_no_delimiter(tmp_path: Path, line: str) -> None:
    read = Read(tmp_path, f"{line}\n" * 5)
    assert read.rows == [line.replace("\t", ";").split(";")] * 5
    assert read.names is None


def test_between_commas_a_point_is_a_decimal_point(tmp_path: Path) -> None:
    line = "2025-01-02 09:30:00,156.123,156.125\n"
    assert Read(tmp_path, line).table.plain_numbers
    assert not Read(tmp_path, line.replace(",", ";")).table.plain_numbers


def test_a_comma_stays_the_delimiter_beside_others_in_cells(tmp_path: Path) -> None:
    read = Read(tmp_path, 'ticker,conditions,price\nA,"12,37",1.5\n' + "A,12;37,1.5\n" * 3)
    assert read.rows == [["A", "12,37", "1.5"], *[["A", "12;37", "1.5"]] * 3]


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("gb18030", ("日期", "股票代码", "开盘价", "最高价", "最低价", "收盘价", "成交量")),
        ("cp932", ("日付", "始値", "高値", "安値", "終値", "出来高")),
        ("cp949", ("일자", "종가", "시가", "고가", "저가", "거래량")),
    ],
)
def test_names_of_chinese_japanese_and_korean_spreadsheets(
    tmp_path: Path, encoding: str, names: tuple[str, ...]
) -> None:
    line = ",".join("5" for _ in names[1:])
    read = Read(tmp_path, f"{','.join(names)}\n2025-01-02,{line}\n".encode(encoding))
    assert read.names == names
    assert encoding.upper() in read.table.spelled


def test_latin_1_where_letters_are_written_so(tmp_path: Path) -> None:
    read = Read(tmp_path, "Datum;Kurs;Stück;Währung\n02.01.2025;240,00;144;€\n".encode("cp1252"))
    assert read.names == ("Datum", "Kurs", "Stück", "Währung")
    assert read.rows == [["02.01.2025", "240,00", "144", "€"]]
    assert "Latin-1" in read.table.spelled
    assert Read(tmp_path, "Unser Kurs\n# heute\nDatum;Stück\n02.01.2025;144\n".encode("cp1252")).names == (
        "Datum",
        "Stück",
    )
    shares = "02.01.2025;Münchener Rück;144\n" * 5
    assert Read(tmp_path, shares.encode("cp1252")).rows == [["02.01.2025", "Münchener Rück", "144"]] * 5


def test_letters_deep_in_utf_8(tmp_path: Path) -> None:
    read = Read(tmp_path, HEADER + ROWS * 10_000 + "2025-01-02 09:30:02,Rück,580.15,200\n")
    assert read.rows[-1][1] == "Rück"
    assert read.lines == list(range(2, 20_003))


def test_words_before_a_single_row(tmp_path: Path) -> None:
    for title in ("Data of SPY, all of it", "Data of SPY; all of it"):
        read = Read(tmp_path, f"{title}\n3464\t2025-01-02T09:00:00Z\tsell\t141,59\n")
        assert read.rows == [["3464", "2025-01-02T09:00:00Z", "sell", "141,59"]]
        assert read.names is None
    two_cells = Read(tmp_path, "Data of SPY, all of it\n" + "20250102 090000,1362,119.43\n" * 3)
    assert (two_cells.names, two_cells.lines) == (None, [2, 3, 4])


def test_no_header(tmp_path: Path) -> None:
    assert Read(tmp_path, ROWS).names is None
    assert Read(tmp_path, "\ufeff" + ROWS).rows == Read(tmp_path, ROWS.encode("utf-16")).rows == PLAIN
    assert Read(tmp_path, "1735689600,42000.0,1.5").rows == [["1735689600", "42000.0", "1.5"]]
    assert Read(tmp_path, "A comment\n# another\n" + ROWS).lines == [3, 4]
    assert Read(tmp_path, ROWS.splitlines()[0] + "\n2025-01-02 09:30:01,SPY,nan,\n").names is None


def test_columns_whose_names_are_numbers(tmp_path: Path) -> None:
    assert Read(tmp_path, "Date,7203,6758\n2025-01-06,2500,3300\n2025-01-07,2510,3310\n").names == (
        "Date",
        "7203",
        "6758",
    )
    for header in ("0,1,2", ",0,1"):
        read = Read(tmp_path, f"{header}\n1735689600,2500,3300\n1735689660,2510,3310\n")
        assert read.names is None
        assert read.lines == [2, 3]


def test_an_index_without_a_name(tmp_path: Path) -> None:
    assert Read(tmp_path, ",time,close\n0,2025-01-02,5\n1,2025-01-03,6\n").names == ("", "time", "close")
    assert Read(tmp_path, ",AAPL,MSFT\n2025-01-02,5,6\n2025-01-03,6,\n").names == ("", "AAPL", "MSFT")
    assert Read(tmp_path, '"time" "price"\n"1" 1735689600 5\n"2" 1735689601 6\n').names == ("", "time", "price")


def test_several_header_lines(tmp_path: Path) -> None:
    one = "Price,Close,High\nTicker,7203.T,7203.T\nDatetime,,\n2025-01-02 14:30:00+00:00,5,6\n"
    read = Read(tmp_path, one)
    assert read.names == ("Price Ticker Datetime", "Close 7203.T", "High 7203.T")
    assert read.numbered == [(4, ["2025-01-02 14:30:00+00:00", "5", "6"])]
    assert Read(tmp_path, one.replace("7203.T", "7203")).names == ("Price Ticker Datetime", "Close 7203", "High 7203")
    settings = (
        "Security,SPX Index\nStart Date,1/1/2020\nPeriod,D\n\nDate,PX_LAST\n1/2/2020,3257.85\n1/3/2020,3234.85\n"
    )
    assert Read(tmp_path, settings).names == ("Date", "PX_LAST")
    units = Read(tmp_path, "time,price,volume\n(UTC),(USD),(BTC)\n1735689600,5,6\n")
    assert units.names == ("time (UTC)", "price (USD)", "volume (BTC)")


def test_a_bad_first_row_is_no_header(tmp_path: Path) -> None:
    assert Read(tmp_path, HEADER + "garbage,SPY,580.14,100\n" + ROWS * 3).names == NAMES
    assert Read(tmp_path, "2025-01-02 09:30:00,SPY,x,100\n" + ROWS * 3).names is None


@pytest.mark.parametrize(
    ("torn", "reason"), [("2025-01-02 09:29:59,SPY", "fields"), ('2025-01-02 09:29:59,"SPY,580,100', "quotes")]
)
def test_a_torn_first_row_is_counted(tmp_path: Path, torn: str, reason: str) -> None:
    read = Read(tmp_path, f"{HEADER}\n{torn}\n{ROWS}")
    assert (read.names, read.rows, read.complaints) == (NAMES, PLAIN, [(3, reason)])


def test_what_is_wrong_with_a_line_costs_that_line(tmp_path: Path) -> None:
    bad = [
        '2025-01-02 09:30:00,"SPY,580.14,100',
        '2025-01-02 09:30:00,"SPY"x,580.14,100',
        "2025-01-02 09:30:00,SPY,580",
        "2025-01-02 09:30:00,SPY,580.14,100,7",
        "2025-01-02 09:30:00,SP\0Y,580.14,100",
        "2025-01-02 09:30:00,SP\ufffdY,580.14,100",
    ]
    read = Read(tmp_path, HEADER + ROWS + "".join(f"{line}\n{ROWS}" for line in bad))
    reasons = ["quotes", "quotes", "fields", "fields", "encoding", "encoding"]
    assert read.complaints == [(4 + 3 * i, reason) for i, reason in enumerate(reasons)]
    assert read.rows == PLAIN * 7


def test_bytes_that_are_no_text_cost_their_line(tmp_path: Path) -> None:
    read = Read(tmp_path, HEADER.encode() + b"1,ES,10,1\n2,\xff\xfe,10,1\n3,\x00,10,1\n4,ES,11,1\n")
    assert read.complaints == [(3, "encoding"), (4, "encoding")]


def test_an_endless_line_is_one_bad_row(tmp_path: Path) -> None:
    read = Read(tmp_path, HEADER + ROWS + "9" * 5_000_000 + "\n" + ROWS)
    assert read.complaints == [(4, "encoding")]
    assert read.rows == PLAIN * 2


def test_a_torn_last_line_costs_itself(tmp_path: Path) -> None:
    many = HEADER + ROWS * 20
    assert Read(tmp_path, many + "2025-01-02 09:30:02,SPY").complaints == [(42, "fields")]
    assert Read(tmp_path, many + "2025-01-02 09:30:02,SPY,580.14,10").complaints == [(42, "torn")]
    assert Read(tmp_path, many + "2025-01-02 09:30:02,SPY,580.14,100").complaints == []
    fixed = "".join(f"17356896{i},1.{i}000000,0.0473{i}00\n" for i in range(10, 60))
    assert Read(tmp_path, fixed[:-2]).complaints == [(50, "torn")]
    assert Read(tmp_path, fixed[:-1]).complaints == []
    assert len(Read(tmp_path, HEADER + ROWS[:-2]).rows) == 2
    assert Read(tmp_path, HEADER + ROWS + "2025-01-02 09:30:02,SPY,580.14,").complaints == [(4, "torn")]
    long = Read(tmp_path, HEADER + ROWS * 10_000 + ROWS[:-1]).table
    assert long.spelled == "text, cells between commas, a header, the last line without an end"


def test_a_break_comes_after_the_rows_before_it(tmp_path: Path) -> None:
    whole = gzip.compress((HEADER + "".join(f"{i},ES,{10 + i * 7 % 13},1\n" for i in range(50_000))).encode())
    read = Read(tmp_path, whole[: len(whole) // 2], "trades.csv.gz")
    assert 10_000 < len(read.rows) < 50_000
    assert read.rows == [[str(i), "ES", str(10 + i * 7 % 13), "1"] for i in range(len(read.rows))]
    assert "cut short" in str(read.error)


def test_joined_files_whose_columns_differ_are_refused(tmp_path: Path) -> None:
    joined = HEADER + ROWS + "timestamp,symbol,size,price\n" + ROWS
    with pytest.raises(UnusableSource, match="line 4: a header with the columns in another order"):
        Read(tmp_path, joined)
    read = Read(tmp_path, HEADER + ROWS * 10_000 + joined)
    assert "line 20005: a header" in str(read.error)
    assert len(read.rows) == 20_002


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        (HEADER, "holds no rows .* begins with 'timestamp,symbol,price,size'"),
        ("# a comment\n" + HEADER, "holds no rows"),
        ("once upon a time\n", "no rows"),
        ("word\n" * 10, "nothing separates cells in it; its first line is 'word'"),
        ("a,b,c\n1735689600,2,3,4,5\n1735689601,2,3,4,5\n", "rows of 5 cells, .* behind a line of 3, 'a,b,c'"),
        (bytes(range(256)) * 10, "no text"),
        ("x" * (LONGEST_LINE * 8), "its first line has no end"),
    ],
)
def test_a_file_that_is_no_table(tmp_path: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(UnusableSource, match=f"trades.csv .*({words})"):
        Read(tmp_path, content)


def test_places_over_the_whole_file(tmp_path: Path) -> None:
    rows = [f"{1735689600 + i},SPY,{i},1" for i in range(200_000)]
    for encoding in ("utf-8", "utf-16"):
        read = Read(tmp_path, (HEADER + "\n".join(rows)).encode(encoding))
        places = list(read.table.places())
        assert 20 < len(places) < 30
        numbers = [int(cells[2]) for place in places for cells in place]
        assert numbers == sorted(numbers)
        assert numbers[-1] > 180_000
    assert list(Read(tmp_path, gzip.compress((HEADER + ROWS).encode())).table.places()) == []
