"""Zips that are made to fill memory."""

import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from cottage import zip_on_disk
from cottage.zip_on_disk import ZipOnDisk, stored_member


def zipped(path: Path, members: dict[str, bytes], way: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", way) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_member_that_is_stored_is_read(tmp_path: Path) -> None:
    with ZipOnDisk(zipped(tmp_path / "a.zip", {"a": b"abc"})) as raw, raw.directory() as archive:
        assert stored_member(archive, "a", 3) == b"abc"
        with pytest.raises(KeyError):
            stored_member(archive, "b", 3)
        with pytest.raises(ValueError, match="a has 3 bytes, at most 2 are allowed"):
            stored_member(archive, "a", 2)


@pytest.mark.parametrize("way", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_is_compressed_is_refused_before_it_is_read(tmp_path: Path, way: int) -> None:
    path = zipped(tmp_path / "a.zip", {"a": bytes(64 * 1024 * 1024)}, way)
    tracemalloc.start()
    try:
        with ZipOnDisk(path) as raw, raw.directory() as archive, pytest.raises(ValueError, match="a is compressed"):
            stored_member(archive, "a", 1 << 40)
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


def test_a_list_of_entries_is_no_longer_than_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a.zip", {f"{number:050}": b"" for number in range(100)})
    monkeypatch.setattr(zip_on_disk, "MOST_DIRECTORY_BYTES", 9_000)
    with ZipOnDisk(path) as raw, pytest.raises(zipfile.BadZipFile, match="more than 9,000 bytes"):
        raw.directory()


def test_a_list_that_says_it_has_four_gigabytes_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a": b"abc"})
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.rindex(b"PK\x05\x06") + 12, 0xFFFFFFF0)
    path.write_bytes(content)
    with ZipOnDisk(path) as raw, pytest.raises(zipfile.BadZipFile):
        raw.directory()
