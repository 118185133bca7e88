import gzip
import os
import resource
from pathlib import Path

import pytest

from cottage.errors import SourceError, UnusableSource
from cottage.files.options import ReadOptions
from cottage.files.recording import Recording
from cottage.files.rows import BadRow, Row
from cottage.files.tables.text_lines import LONGEST_LINE

HEADER = "timestamp,symbol,price,size\n"
START = 1_735_689_600


def written(folder: Path, content: str | bytes, name: str = "trades.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


class Read:
    """All of a recording."""

    def __init__(self, path: Path, symbols: frozenset[str] = frozenset()) -> None:
        self.complaints: list[tuple[int, str]] = []
        self.recording = Recording(path, symbols, self._bad)
        try:
            self.rows: list[Row] = list(self.recording)
        finally:
            self.recording.close()

    def _bad(self, line: int, error: BadRow) -> None:
        self.complaints.append((line, error.reason))

    @property
    def prices(self) -> list[float]:
        return [row.price for row in self.rows]


def test_rows_in_their_order(tmp_path: Path) -> None:
    read = Read(written(tmp_path, HEADER + "1,ES,10,1\n2,NQ,20,2\n2,ES,11,3\n"))
    assert [(row.symbol, row.price, row.volume) for row in read.rows] == [("ES", 10, 1), ("NQ", 20, 2), ("ES", 11, 3)]
    assert read.recording.rows == 3
    assert read.complaints == []


@pytest.mark.parametrize(
    "content",
    [
        HEADER + "1,ES,10,1",
        HEADER.replace("\n", "\r\n") + "1,ES,10,1\r\n",
        "\ufeff" + HEADER + "1,ES,10,1\n",
        HEADER + "\n  \n1,ES,10,1\n\n",
        '"Timestamp","SYMBOL",price,size\n"1","ES",10,"1"\n',
    ],
)
def test_the_ways_in_which_people_write_csv(tmp_path: Path, content: str) -> None:
    read = Read(written(tmp_path, content))
    assert read.prices == [10.0]
    assert read.recording.rows == 1
    assert read.complaints == []


@pytest.mark.parametrize("name", ["trades.csv.gz", "trades.csv"])
def test_gzip_by_its_content_not_its_name(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, gzip.compress((HEADER + "1,ES,10,1\n").encode()), name)
    assert Read(path).prices == [10.0]


def test_plain_text_that_is_called_gz(tmp_path: Path) -> None:
    assert Read(written(tmp_path, HEADER + "1,ES,10,1\n", "trades.csv.gz")).prices == [10.0]


def test_a_bad_row_is_named_by_its_line_and_skipped(tmp_path: Path) -> None:
    lines = [
        f"{START + 1},ES,10,1",
        "",
        f"{START + 2},ES,ten,1",
        f"{START + 3},ES,11",
        "yesterday,ES,11,1",
        f"{START + 3},es,11,1",
        f"{START + 3},ES,-11,1",
        f"{START + 3},ES,11,-1",
        f'{START + 3},"ES,11,1',
        *[f"{START + 4},ES,12,1"] * 100,
    ]
    read = Read(written(tmp_path, HEADER + "\n".join(lines) + "\n"))
    assert read.prices == [10.0, *[12.0] * 100]
    reasons = ["price", "fields", "timestamp", "native", "price", "size", "quotes"]
    assert read.complaints == list(zip(range(4, 11), reasons, strict=True))
    assert read.recording.bad == {"price": 2, "fields": 1, "timestamp": 1, "native": 1, "size": 1, "quotes": 1}
    assert read.recording.rows == 108


def test_bytes_that_are_no_text_spoil_their_own_line_only(tmp_path: Path) -> None:
    read = Read(written(tmp_path, HEADER.encode() + b"1,ES,10,1\n2,\xff\xfe,10,1\n3,\x00,10,1\n4,ES,11,1\n"))
    assert read.prices == [10.0, 11.0]
    assert read.complaints == [(3, "encoding"), (4, "encoding")]


def test_an_endless_line_is_one_bad_row_and_costs_no_memory(tmp_path: Path) -> None:
    read = Read(written(tmp_path, HEADER + "1,ES,10,1\n" + "x" * (5 * LONGEST_LINE) + "\n2,ES,11,1\n"))
    assert read.prices == [10.0, 11.0]
    assert read.complaints == [(3, "encoding")]


def test_time_that_goes_back(tmp_path: Path) -> None:
    read = Read(written(tmp_path, HEADER + "1,ES,10,1\n5,ES,11,1\n5,ES,12,1\n2,ES,13,1\n4,ES,14,1\n6,ES,15,1\n"))
    assert read.prices == [10.0, 13.0, 14.0, 11.0, 12.0, 15.0]
    assert read.complaints == []


@pytest.mark.parametrize(("year", "reason"), [(2099, "order"), (2124, "timestamp")])
def test_one_date_far_ahead_does_not_cost_the_rest(tmp_path: Path, year: int, reason: str) -> None:
    rows = ["2024-01-01T00:00:00Z,ES,10,1", f"{year}-01-01T00:00:00Z,ES,11,1", "2024-01-01T00:00:01Z,ES,12,1"]
    read = Read(written(tmp_path, HEADER + "\n".join(rows)))
    assert read.prices == [10.0, 12.0]
    assert read.complaints == [(3, reason)]


def test_only_the_symbols_that_were_asked_for(tmp_path: Path) -> None:
    read = Read(written(tmp_path, HEADER + "9,NQ,20,1\n1,ES,10,1\n2,BTC/USD,30,1\n"), frozenset({"ES", "BTC-USD"}))
    assert read.prices == [10.0, 30.0]
    assert read.recording.filtered == 1
    assert read.complaints == []


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnusableSource, match=r"nowhere\.csv .*No such file.*set FILE"):
        Recording(tmp_path / "nowhere.csv")


def test_what_may_pass_is_no_fault_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + "1,ES,10,1\n")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.open(os.devnull, os.O_RDONLY)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, before[1]))  # no file more
    try:
        with pytest.raises(SourceError, match="Too many open files") as raised:
            Recording(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert not isinstance(raised.value, UnusableSource)


def test_a_folder_and_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnusableSource, match="not a regular file"):
        Recording(tmp_path / "pipe")
    with pytest.raises(UnusableSource, match="holds no file of data"):
        Recording(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"time,price\n1,2\n", "tells the symbol.*SYMBOL="),
        ("timestamp,symbol,price,size\n".encode("utf-16"), "holds no rows"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "no text, nor a kind of file that is known"),
        (b"\x00" * 100, "no text, nor a kind of file that is known"),
        (b"x" * (2 * LONGEST_LINE), "first line has no end"),
        (gzip.compress(b"")[:5], "compressed data is broken"),
        (b"\x1f\x8bnonsense", "compressed data is broken"),
        (gzip.compress(b""), "empty"),
    ],
    ids=["empty", "no-symbol", "header-alone", "picture", "zeros", "endless", "cut-gzip", "no-gzip", "empty-gzip"],
)
def test_a_file_that_is_no_recording(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(UnusableSource, match=words):
        Recording(written(tmp_path, content))


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_gzip_that_is_broken_in_the_middle(tmp_path: Path, damage: str) -> None:
    rows = "".join(f"{START + i},ES,{10 + i * 7 % 13},1\n" for i in range(300_000))
    whole = gzip.compress((HEADER + rows).encode())
    middle = len(whole) // 2
    broken = whole[:middle] if damage == "cut" else whole[:middle] + b"\xff" * 64 + whole[middle + 64 :]
    recording = Recording(written(tmp_path, broken))
    with pytest.raises(UnusableSource, match="its compressed data is broken or cut short"):
        list(recording)
    recording.close()


@pytest.mark.parametrize("order", ["", "sort"])
def test_a_file_within_a_buffer_has_come_as_far_as_its_rows(tmp_path: Path, order: str) -> None:
    text = HEADER + "".join(f"{START + i},ES,{'x' if i == 7 else 10},1\n" for i in range(101))
    recording = Recording(written(tmp_path, text), options=ReadOptions(order=order))
    rows = iter(recording)
    for _ in range(25):
        next(rows)
    assert recording.share == 0.25
    list(rows)
    assert recording.share == 1.0
    recording.close()


def test_how_far_it_has_come(tmp_path: Path) -> None:
    recording = Recording(written(tmp_path, HEADER + "".join(f"{START + i},ES,10,1\n" for i in range(200_000))))
    assert 0 <= recording.share < 0.5
    rows = iter(recording)
    for _ in range(90_000):
        next(rows)
    assert 0.4 < recording.share < 0.6
    for _ in rows:
        pass
    assert recording.share == 1.0
    recording.close()
    assert recording.share == 1.0


def test_an_abandoned_one_ends(tmp_path: Path) -> None:
    recording = Recording(written(tmp_path, HEADER + "1,ES,10,1\n" * 1000))
    rows = iter(recording)
    next(rows)
    recording.abandon()
    assert len(list(rows)) <= 1
    recording.close()


def test_doubtful_quotes_are_counted_and_spoil_no_row(tmp_path: Path) -> None:
    rows = "1,ES,10,1,9,11\n2,ES,10,1,-5,11\n3,ES,10,1,12,11\n4,ES,10,1,0.01,200000\n"
    read = Read(written(tmp_path, HEADER.replace("size", "size,bid,ask") + rows))
    assert [(row.bid, row.ask) for row in read.rows] == [(9, 11), (None, 11), (None, None), (None, None)]
    assert read.recording.doubtful == {"bid": 3, "ask": 2}
    assert read.complaints == []


def test_a_bar_that_comes_again_is_taken_once_as_its_last_row_has_it(tmp_path: Path) -> None:
    rows = [f"{START + 60 * at},ES,{10 + at},{13 + at},{9 + at},{12 + at},5\n" for at in range(20)]
    grown = f"{START + 60 * 20},ES,30,31,29,31,1\n{START + 60 * 20},ES,30,34,29,33,4\n"
    other = f"{START + 60 * 21},ES,50,51,49,51,1\n{START + 60 * 21},ES,60,61,59,61,1\n"
    text = "timestamp,symbol,open,high,low,close,volume\n" + "".join(rows + rows[-5:]) + grown + other
    read = Read(written(tmp_path, text))
    assert read.prices == [*(12.0 + at for at in range(20)), 33.0, 51.0, 61.0]
    assert read.rows[20].volume == 4
    assert read.recording.left_out == {"bars that are there twice": 5, "bars that come again, grown": 1}
