import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cottage.record.record_writer import RecordWriter
from cottage.record.verification import verify
from tests.cottage.record.rows_of_samples import BEGIN, samples

FILE = "samples/date=2025-11-26/13.parquet"
NEXT = "samples/date=2025-11-26/14.parquet"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A record of two hours, and its heads in order."""
    folder = tmp_path_factory.mktemp("record")
    with RecordWriter(folder, clock=lambda: BEGIN / 1e6 + 7200) as record:
        heads = [record.head]
        record.append("samples", samples(seqs=range(1, 5)))
        record.roll()
        heads.append(record.head)
        record.append("samples", samples(seqs=range(3600, 3604)))
    return folder, [*heads, record.head]


@pytest.fixture
def folder(written: tuple[Path, list[str]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(written[0], tmp_path / "record"))


def found(folder: Path, head: str | None = None) -> list[tuple[str, str]]:
    return [(each.kind, each.where) for each in verify(folder, head)]


def with_rows(folder: Path, change: Callable[[Any], Any]) -> None:
    """Write a file of the record anew with other rows."""
    pq.write_table(change(pq.read_table(folder / FILE, partitioning=None)), folder / FILE)


def altered(rows: Any, name: str) -> Any:
    values = rows[name].to_pylist()
    values[3] += 1
    place = rows.schema.get_field_index(name)
    return rows.set_column(place, rows.schema.field(place), pa.array(values, rows.schema.field(place).type))


def test_a_whole_record_with_each_of_its_heads(folder: Path, written: tuple[Path, list[str]]) -> None:
    for head in (None, *written[1]):
        assert verify(folder, head) == []


@pytest.mark.parametrize("name", ["price", "at", "seq"])
def test_a_row_altered(folder: Path, name: str) -> None:
    with_rows(folder, lambda rows: altered(rows, name))
    assert found(folder) == [("row altered", FILE)]


def test_a_row_dropped(folder: Path) -> None:
    with_rows(folder, lambda rows: pa.concat_tables([rows.slice(0, 3), rows.slice(4)]))
    (finding,) = verify(folder)
    assert str(finding) == f"row dropped: {FILE}: 1 of 8"


def test_a_row_added(folder: Path) -> None:
    with_rows(folder, lambda rows: pa.concat_tables([rows, altered(rows, "seq").slice(3, 1)]))
    assert found(folder) == [("row added", FILE)]


def test_a_row_doubled(folder: Path) -> None:
    with_rows(folder, lambda rows: pa.concat_tables([rows, rows.slice(5, 1)]))
    (finding,) = verify(folder)
    assert (finding.kind, finding.where) == ("row doubled", FILE)
    assert finding.detail.startswith("1 of 9, such as {'symbol': 'SPY', 'epoch': 7, 'seq': 2, 'number': 0")


def test_a_row_doubled_in_place_of_another(folder: Path) -> None:
    with_rows(folder, lambda rows: pa.concat_tables([rows.slice(0, 7), rows.slice(5, 1)]))
    assert found(folder) == [("row doubled", FILE), ("row dropped", FILE)]


def test_files_exchanged(folder: Path) -> None:
    (folder / FILE).rename(folder / "aside")
    (folder / NEXT).rename(folder / FILE)
    (folder / "aside").rename(folder / NEXT)
    assert [str(each) for each in verify(folder)] == [
        f"file exchanged: {FILE}: it is what was {NEXT}",
        f"file exchanged: {NEXT}: it is what was {FILE}",
    ]


def test_a_file_of_another_record_in_place_of_one(folder: Path) -> None:
    with_rows(folder, lambda rows: pq.read_table(folder / NEXT, partitioning=None).slice(0, 3))
    assert found(folder) == [("file exchanged", FILE)]


def test_a_file_written_anew_with_the_same_rows(folder: Path) -> None:
    with_rows(folder, lambda rows: rows.take(list(reversed(range(len(rows))))))
    assert found(folder) == [("file written anew", FILE)]


def test_a_file_missing_cut_short_or_unknown(folder: Path) -> None:
    (folder / FILE).unlink()
    content = (folder / NEXT).read_bytes()
    (folder / NEXT).write_bytes(content[: len(content) // 2])
    (folder / "samples/date=2025-11-26/15.parquet").write_bytes(content)
    assert found(folder) == [
        ("file missing", FILE),
        ("file unreadable", NEXT),
        ("file unknown", "samples/date=2025-11-26/15.parquet"),
    ]


def test_an_entry_of_the_chain_altered(folder: Path) -> None:
    chain = folder / "chain.jsonl"
    lines = chain.read_bytes().splitlines(keepends=True)
    chain.write_bytes(b"".join([lines[0], lines[1].replace(b'"rows":8', b'"rows":7'), *lines[2:]]))
    assert found(folder) == [("chain broken", "entry 3")]
    chain.write_bytes(b"".join([*lines[:-1], lines[-1].replace(b'"rows":8', b'"rows":7')]))
    assert ("chain broken", f"entry {len(lines)}") in found(folder)
    chain.write_bytes(b"".join([lines[0], *lines[2:]]))
    assert found(folder)[0] == ("chain broken", "entry 2")
    chain.write_bytes(b"".join(lines[:-1]))
    assert found(folder)[0] == ("chain broken", f"entry {len(lines)}")
    chain.write_bytes(b"".join([lines[0], b"not JSON\n", *lines[2:]]))
    assert found(folder)[0] == ("chain broken", "entry 2")


def test_a_compaction_that_leaves_a_row_out(folder: Path, written: tuple[Path, list[str]]) -> None:
    """Somebody drops a row and makes chain and manifest anew so that they fit: the sum does not, and the head."""
    with_rows(folder, lambda rows: rows.slice(1))
    rewrite(folder)
    assert found(folder) == [("chain broken", "entry 4")]


def test_a_chain_made_anew_has_not_the_head(folder: Path, written: tuple[Path, list[str]]) -> None:
    lines = (folder / "chain.jsonl").read_bytes().splitlines()
    (folder / "chain.jsonl").write_bytes(b"".join(line + b"\n" for line in lines[:1]))
    rewrite(folder, "added since")
    assert verify(folder) == []
    assert found(folder, written[1][-1]) == [("chain rewritten", "chain.jsonl")]


def test_a_manifest_altered(folder: Path) -> None:
    manifest = folder / "manifest.json"
    content = manifest.read_bytes()
    manifest.write_bytes(content.replace(b'"rows": 8', b'"rows": 7', 1))
    assert found(folder) == [("manifest altered", "manifest.json")]
    manifest.write_bytes(content[:100])
    assert found(folder) == [("manifest altered", "manifest.json")]


def test_what_is_written_ahead_altered(tmp_path: Path) -> None:
    with RecordWriter(tmp_path, clock=lambda: BEGIN / 1e6) as record:
        record.append("samples", samples(seqs=range(1, 5)))
        record.flush()
        assert verify(tmp_path) == []
        path = tmp_path / "ahead/00000001.samples.arrow"
        content = path.read_bytes()
        path.write_bytes(content.replace(b"SPY", b"XPY", 1))
        assert found(tmp_path) == [("row altered", "ahead/00000001.samples.arrow")]
        path.write_bytes(content)


def rewrite(folder: Path, why: str = "compacted") -> None:
    """Make chain and manifest fit the files, as somebody would who alters the past."""
    from hashlib import sha256

    from cottage.record.compaction import facts_of
    from cottage.record.manifest import Manifest, RecordChain, chain_lines

    lines = list(chain_lines(folder))
    (folder / "chain.jsonl").unlink()
    chain = RecordChain(folder, Manifest())
    for line in lines:
        entry = orjson.loads(line)
        for file in entry.get("added", ()):
            if file["path"] == FILE:
                facts = facts_of(folder / FILE, "samples", 490_045)
                file |= facts | {"path": FILE, "sha256": sha256((folder / FILE).read_bytes()).hexdigest()}
        known = {key: value for key, value in entry.items() if key not in ("number", "before", "why", "at")}
        chain.append(entry["why"], entry["at"], **known)
    if why == "added since":
        for path, hour in ((FILE, 490_045), (NEXT, 490_046)):
            facts = facts_of(folder / path, "samples", hour)
            chain.append("rolled", "2025-11-26T14:00:00Z", added=[facts | {"path": path}])
    chain.save()


def test_a_manifest_that_is_gone(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    assert found(folder) == [("file missing", "manifest.json")]
    (folder / "chain.jsonl").unlink()
    with pytest.raises(FileNotFoundError):
        verify(folder)


@pytest.mark.parametrize(
    ("name", "kind"), [("price", pa.string()), ("at", pa.timestamp("us")), ("seq", pa.float64())]
)
def test_a_column_cast_to_another_type(folder: Path, name: str, kind: pa.DataType) -> None:
    def cast(rows: Any) -> Any:
        return rows.set_column(rows.schema.get_field_index(name), name, rows[name].cast(kind))

    with_rows(folder, cast)
    (finding,) = verify(folder)
    assert (finding.kind, finding.where) == ("row altered", FILE)
    assert finding.detail.startswith(f"all of 8: {name} is {kind}, not ")


def test_a_file_that_polars_has_written_anew(folder: Path) -> None:
    import polars

    polars.read_parquet(folder / FILE, hive_partitioning=False).write_parquet(folder / FILE)
    assert found(folder) == [("file written anew", FILE)]


@pytest.mark.parametrize("looped", [False, True])
@pytest.mark.parametrize("path", [FILE, "manifest.json"])
def test_a_folder_or_a_loop_in_place_of_a_file(folder: Path, path: str, looped: bool) -> None:
    (folder / path).unlink()
    (folder / path).symlink_to(folder / path) if looped else (folder / path).mkdir()
    assert found(folder) == [("file unreadable", path)]


def test_a_folder_in_place_of_the_chain_or_of_what_is_written_ahead(folder: Path) -> None:
    (folder / "ahead/99999999.samples.arrow").mkdir()
    assert found(folder) == [("file unreadable", "ahead/99999999.samples.arrow")]
    (folder / "chain.jsonl").unlink()
    (folder / "chain.jsonl").mkdir()
    (finding, *_) = verify(folder)
    assert str(finding) == "chain broken: entry 1: the chain cannot be read: Is a directory"


def test_an_unknown_file_among_the_pieces(folder: Path) -> None:
    (folder / "pieces/samples").mkdir(parents=True, exist_ok=True)
    (folder / "pieces/samples/another.parquet").write_bytes((folder / FILE).read_bytes())
    assert found(folder) == [("file unknown", "pieces/samples/another.parquet")]


def test_pieces_that_stay_for_readers_and_a_manifest_that_is_late_are_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordWriter(tmp_path, clock=lambda: BEGIN / 1e6) as record:
        record.append("samples", samples(seqs=range(1, 5)))
        record.roll()
        record.compact(unfinished=True)
        assert list((tmp_path / "pieces").rglob("*.parquet"))
        assert verify(tmp_path) == []
        record.append("samples", samples(seqs=(5,)))
        with monkeypatch.context() as late:
            late.setattr("cottage.record.manifest.RecordChain.save", lambda _chain: None)
            record.roll()
            assert verify(tmp_path, record.head) == []


def test_a_head_that_is_no_hash(folder: Path) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        verify(folder, "5d0c1f")
