from pathlib import Path
from typing import Any

import orjson
import pytest

from cottage.formats import NewerFormat
from cottage.record.manifest import (
    CHAIN,
    Manifest,
    RecordChain,
    RecordDamaged,
    RecordFile,
    chain_lines,
    following,
    read_manifest,
)

AT = "2025-11-26T13:00:00.000Z"


def file(name: str, **fields: Any) -> RecordFile:
    return RecordFile(
        **{
            "path": f"pieces/samples/{name}.parquet",
            "table": "samples",
            "hour": 490_045,
            "rows": 2,
            "bytes": 1000,
            "recorded": (1, 2),
            "at": (1, 2),
            "written": None,
            "sources": (("simulate", 1),),
            "sha256": "aa",
            "digest": "bb",
            **fields,
        }
    )


def test_a_manifest_is_what_follows_from_the_chain(tmp_path: Path) -> None:
    chain = RecordChain(tmp_path)
    chain.append("began", AT)
    chain.append("rolled", AT, added=[file("one"), file("two")], rolled=3)
    hour = file("x", path="samples/date=2025-11-26/13.parquet")
    chain.append("compacted", AT, added=[hour], removed=["pieces/samples/one.parquet"])
    chain.append("archived", AT, archived=[{"path": hour.path, "to": "s3://bucket/13"}])
    chain.save()
    manifest = read_manifest(tmp_path)
    assert manifest == chain.manifest
    assert manifest.files == (file("two"), file("x", path=hour.path, archived="s3://bucket/13"))
    assert (manifest.number, manifest.rolled, manifest.chain_bytes) == (4, 3, (tmp_path / CHAIN).stat().st_size)
    assert [each.is_piece for each in manifest.files] == [True, False]
    folded = Manifest()
    for line in chain_lines(tmp_path):
        assert orjson.loads(line)["before"] == folded.head
        folded = folded.after(line)
    assert folded == manifest


def test_what_a_try_left_is_cut_off(tmp_path: Path) -> None:
    chain = RecordChain(tmp_path)
    chain.append("began", AT)
    with (tmp_path / CHAIN).open("ab") as content:
        content.write(b'{"number":2,"bef')
    assert len(list(chain_lines(tmp_path))) == 1
    chain.append("rolled", AT)
    assert [orjson.loads(line)["number"] for line in chain_lines(tmp_path)] == [1, 2]


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"format": "another"}', b'{"format": "curiosity cottage record", "version": 1}'],
)
def test_what_is_none(content: bytes) -> None:
    with pytest.raises(RecordDamaged, match=r"manifest\.json is none of a record"):
        Manifest.from_bytes(content)


def test_a_newer_version_is_not_read() -> None:
    content = Manifest().to_bytes().replace(b'"version": 1', b'"version": 2')
    with pytest.raises(NewerFormat):
        Manifest.from_bytes(content)


@pytest.mark.parametrize(
    "fields",
    [
        *({"recorded": span} for span in (None, 7, "ab", [1], ["1", "2"], [1.5, 2.5], [True, 2])),
        *({"at": ["1", "2"]}, {"sources": 7}, {"sources": ["replay"]}, {"table": "orders"}, {"digest": "none"}),
        *({name: None} for name in ("path", "table", "hour", "rows", "bytes", "sha256", "digest")),
    ],
)
def test_a_file_with_values_of_other_types_is_of_no_manifest(fields: dict[str, Any]) -> None:
    content = orjson.loads(Manifest(files=(file("one"),)).to_bytes())
    content["files"][0] |= fields
    with pytest.raises(RecordDamaged, match=r"manifest\.json is none of a record"):
        Manifest.from_bytes(orjson.dumps(content))


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.parquet", "samples/../../x.parquet", "samples//x.parquet", "x",
    "samples/date=2026-11-26/14.parquet\n", "samples/\x00.parquet", "C:\\x.parquet", ".ssh/x.parquet"])  # fmt: skip
def test_no_manifest_and_no_entry_names_a_file_outside_of_the_record(tmp_path: Path, path: str) -> None:
    """The recorder removes what its manifest says is leaving, and everybody reads what it says is there."""
    manifest = Manifest(files=(file("one"),), leaving=(file("two").path,))
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    for place in ("files", "leaving"):
        content = orjson.loads(manifest.to_bytes())
        content[place][0] = content[place][0] | {"path": path} if place == "files" else path
        with pytest.raises(RecordDamaged, match="is no path of a file of a record"):
            Manifest.from_bytes(orjson.dumps(content))
    chain = RecordChain(tmp_path)
    with pytest.raises(ValueError, match="is no path"):
        chain.append("rolled", AT, removed=[path])
    with pytest.raises(RecordDamaged, match="is no path"):
        list(following(tmp_path, Manifest()))
