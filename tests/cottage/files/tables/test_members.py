import bz2
import errno
import gzip
import io
import lzma
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from cottage.errors import SourceError, UnusableSource
from cottage.files.tables.members import Member, members

TEXT = b"timestamp,symbol,price,size\n" + b"".join(b"%d,ES,%d,1\n" % (i, 10 + i * 7 % 13) for i in range(50_000))


def zipped(files: dict[str, bytes]) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return into.getvalue()


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(spec: str | Path) -> list[str]:
    return [each.name for each in members(spec)]


def content(member: Member) -> bytes:
    with member.open() as stream:
        return stream.read()


COMPRESSED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gz", gzip.compress),
    ("zst", zstandard.compress),
    ("bz2", bz2.compress),
    ("xz", lzma.compress),
]


@pytest.mark.parametrize(("suffix", "compress"), COMPRESSED)
@pytest.mark.parametrize("name", ["trades.csv", "trades.csv.{}", "trades"])
def test_compressed_by_its_content_not_its_name(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes], name: str
) -> None:
    (member,) = members(written(tmp_path / name.format(suffix), compress(TEXT)))
    assert content(member) == TEXT
    assert member.share == 1
    assert not member.seekable


def test_plain_text_that_is_called_gz(tmp_path: Path) -> None:
    (member,) = members(written(tmp_path / "trades.csv.gz", TEXT))
    assert content(member) == TEXT
    assert member.seekable
    assert member.name == "trades.csv.gz"


@pytest.mark.parametrize(("suffix", "compress"), COMPRESSED)
def test_several_compressed_parts_in_one_file(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    (member,) = members(written(tmp_path / f"trades.csv.{suffix}", compress(TEXT) + compress(b"end\n")))
    assert content(member) == TEXT + b"end\n"


@pytest.mark.parametrize(("suffix", "compress"), [each for each in COMPRESSED if each[0] != "bz2"])
def test_what_comes_before_a_break_is_read(tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]) -> None:
    whole = compress(TEXT)
    (member,) = members(written(tmp_path / f"trades.{suffix}", whole[: len(whole) * 2 // 3]))
    read = b""
    error = ""
    with member.open() as stream:
        try:
            while data := stream.read1(1000):
                read += data
        except UnusableSource as caught:
            error = str(caught)
    assert "broken or cut short" in error
    assert TEXT.startswith(read)
    assert len(read) > 100_000


def test_a_zip_of_one_and_of_many(tmp_path: Path) -> None:
    one = written(tmp_path / "BTCUSDT.zip", zipped({"BTCUSDT-1m.csv": TEXT}))
    (member,) = members(one)
    assert member.name == "BTCUSDT.zip/BTCUSDT-1m.csv"
    assert content(member) == TEXT
    assert member.share == 1
    many = zipped({"b/2.csv": b"2", "a/1.csv.gz": gzip.compress(b"1"), "b/": b""})
    found = members(written(tmp_path / "many.csv", many))
    assert [(each.name, content(each)) for each in found] == [
        ("many.csv/a/1.csv.gz", b"1"),
        ("many.csv/b/2.csv", b"2"),
    ]


def test_what_is_no_data_in_an_archive_is_left_out_and_told(tmp_path: Path) -> None:
    files = {
        "__MACOSX/._EURUSD.csv": b"",
        ".DS_Store": b"",
        "EURUSD.csv": b"1",
        "EURUSD.txt": b"Gap of 110s found between ...",
        "EURUSD.csv.CHECKSUM": b"",
        "notes.txt": b"1",
        "README.md": b"",
        "metadata.json": b"",
        "symbology.json": b"",
    }
    left_out: list[str] = []
    found = members(written(tmp_path / "eurusd.zip", zipped(files)), left_out.append)
    assert [each.name for each in found] == ["eurusd.zip/EURUSD.csv", "eurusd.zip/notes.txt"]
    assert sorted(left_out) == sorted(set(files) - {"EURUSD.csv", "notes.txt"})


def test_a_folder_in_order_of_names(tmp_path: Path) -> None:
    for name in ("2025/02.csv", "2025/01.csv", "2024.zip", "_SUCCESS", ".cache/x.csv"):
        written(tmp_path / name, zipped({"12.csv": b"12"}) if name.endswith("zip") else name.encode())
    left_out: list[str] = []
    found = members(tmp_path, left_out.append)
    assert [each.name for each in found] == ["2024.zip/12.csv", "2025/01.csv", "2025/02.csv"]
    assert left_out == [".cache/x.csv", "_SUCCESS"]


def test_a_glob_of_files_and_of_folders(tmp_path: Path) -> None:
    for name in ("c/3.csv", "a/1.csv", "a/2.txt", "b.csv"):
        written(tmp_path / name, b"")
    assert names(f"{tmp_path}/*/*.csv") == ["a/1.csv", "c/3.csv"]
    assert names(f"{tmp_path}/[a]*") == ["a/1.csv", "a/2.txt"]
    assert names(f"{tmp_path}/**/*.csv") == ["a/1.csv", "b.csv", "c/3.csv"]
    written(tmp_path / "[1].csv", b"")
    assert names(tmp_path / "[1].csv") == ["[1].csv"]
    with pytest.raises(UnusableSource, match="holds no file of data"):
        members(f"{tmp_path}/*.parquet")


def test_names_of_hive_folders_are_keys(tmp_path: Path) -> None:
    path = "date=2025-01-01/symbol=BTC%2FUSD/part-0.csv"
    written(tmp_path / path, b"")
    keys = {"date": "2025-01-01", "symbol": "BTC/USD"}
    for spec in (tmp_path, tmp_path / path, f"{tmp_path}/date=*", f"{tmp_path}/*/*/*.csv"):
        (member,) = members(spec)
        assert (member.name, member.keys) == (path, keys)


def test_what_is_not_there_and_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnusableSource, match=r"cannot read .*none.csv \(No such file or directory\): set FILE"):
        members(tmp_path / "none.csv")
    with pytest.raises(UnusableSource, match="holds no file of data"):
        members(tmp_path)
    with pytest.raises(UnusableSource, match="no file's name"):
        members("a\0b")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnusableSource, match="not a regular file"):
        members(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (zipped({"a.csv": TEXT})[:-30], "this zip is broken or cut short"),
        (zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b""}), "workbook .*: save its sheet as CSV"),
        (zipped({}), "holds no file of data"),
    ],
)
def test_a_zip_that_is_no_use(tmp_path: Path, broken: bytes, words: str) -> None:
    with pytest.raises(UnusableSource, match=words):
        members(written(tmp_path / "a.zip", broken))


def test_damage_within_a_zip(tmp_path: Path) -> None:
    whole = bytearray(zipped({"a.csv": TEXT}))
    whole[2000:2010] = bytes(10)
    (member,) = members(written(tmp_path / "a.zip", bytes(whole)))
    with pytest.raises(UnusableSource, match=r"a\.zip/a\.csv: its compressed data is broken"):
        content(member)


def test_a_zip_with_a_password(tmp_path: Path) -> None:
    whole = bytearray(zipped({"a.csv": TEXT}))
    whole[6] |= 1
    whole[whole.rindex(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(UnusableSource, match=r"a\.csv is encrypted: unpack it first"):
        members(written(tmp_path / "a.zip", bytes(whole)))


def test_what_may_pass_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (member,) = members(written(tmp_path / "a.csv", TEXT))

    class Failing(io.FileIO):
        def readinto(self, buffer: object) -> int:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(io, "FileIO", Failing)
    with pytest.raises(SourceError, match="Input/output error") as caught:
        content(member)
    assert not isinstance(caught.value, UnusableSource)


def test_how_far_it_has_come_and_an_end_before_the_end(tmp_path: Path) -> None:
    (member,) = members(written(tmp_path / "a.csv", bytes(10_000_000)))
    with member.open() as stream:
        stream.read(5_000_000)
        assert member.share == pytest.approx(0.5, abs=0.06)
        member.abandon()
        assert len(stream.read()) < 500_000
