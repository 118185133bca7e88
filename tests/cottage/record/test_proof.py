import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cottage.errors import HistoryRefusal
from cottage.record.manifest import CHAIN, MANIFEST, Manifest, RecordDamaged
from cottage.record.proof import Proof, prove
from cottage.record.proof import proof_of as entry_point
from cottage.record.record import Record
from cottage.record.record_writer import RecordWriter
from cottage.record.schema import SAMPLES
from cottage.version import Version
from tests.cottage.record.kernel_rows import EPOCH, eventful_history, kernel_rows

Rows = list[dict[str, Any]]
EVERY = kernel_rows(eventful_history(4, 700), 100, lambda place: place % 7 in (2, 3))
LAST = EVERY[-1]


def record_of(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A record of these rows, in files of hours."""
    with RecordWriter(folder, clock=lambda: LAST["recorded"] / 1e6) as writer:
        writer.append("samples", {column.name: [row[column.name] for row in rows] for column in SAMPLES})
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_of(tmp_path_factory.mktemp("whole"), EVERY)


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A record of all rows, to be tampered with."""
    return Path(shutil.copytree(whole, tmp_path / "record"))


def proof_of(folder: Path, row: Mapping[str, Any] = LAST, **facts: Any) -> Proof:
    version = Version(row["epoch"], row["seq"])
    return prove(Record(folder), "SPY", version, row["recorded"], **facts)


def codes(proof: Proof) -> set[str]:
    return {doubt.code for doubt in proof.doubts}


def rewrite(folder: Path, change: Callable[[Rows], Rows]) -> Path:
    """Change the rows of the last file behind the record's back; returns it."""
    path = max((folder / "samples").rglob("*.parquet"))
    table = pq.read_table(path, partitioning=None)
    pq.write_table(pa.Table.from_pylist(change(table.to_pylist()), schema=table.schema), path)
    return path


def forge(folder: Path) -> None:
    """Make a manifest and a chain that fit the files as they are now."""
    manifest, lines = Manifest(), []
    for line in (folder / CHAIN).read_bytes().splitlines():
        entry = orjson.loads(line)
        for file in entry.get("added", ()):
            if (path := folder / file["path"]).exists():
                file["sha256"] = sha256(path.read_bytes()).hexdigest()
        line = orjson.dumps(entry | {"before": manifest.head})
        manifest = manifest.after(line)
        lines.append(line + b"\n")
    (folder / CHAIN).write_bytes(b"".join(lines))
    (folder / MANIFEST).write_bytes(manifest.to_bytes())


def altered(rows: Rows) -> Rows:
    return [row | {"price": row["price"] + 0.25} if row["seq"] == LAST["seq"] - 20 else row for row in rows]


def test_a_state_is_proved(whole: Path) -> None:
    proof = proof_of(whole, head=Record(whole).manifest().head)
    assert proof.doubts == []
    assert proof.proved
    assert len(proof.inputs) == 100
    assert proof.versions > 60
    assert proof.files


@pytest.mark.parametrize("seq", [1, 2, 40, 77, 250])
def test_states_of_young_windows_and_of_the_middle_are_proved(whole: Path, seq: int) -> None:
    row = next(row for row in EVERY if row["seq"] == seq and row["last"])
    assert proof_of(whole, row).doubts == []


def test_what_is_written_ahead_proves_too(tmp_path: Path) -> None:
    with RecordWriter(tmp_path, clock=lambda: LAST["recorded"] / 1e6) as writer:
        writer.append("samples", {column.name: [row[column.name] for row in EVERY] for column in SAMPLES})
        writer.flush()
        proof = proof_of(tmp_path)
    assert proof.doubts == []
    assert proof.ahead == len(EVERY)


def test_a_row_that_was_altered(folder: Path) -> None:
    path = rewrite(folder, altered)
    proof = proof_of(folder)
    assert codes(proof) >= {"row_altered", "differs"}
    assert str(path.relative_to(folder)) in next(d.detail for d in proof.doubts if d.code == "row_altered")


def test_a_row_that_was_altered_with_manifest_and_chain(folder: Path) -> None:
    head = Record(folder).manifest().head
    rewrite(folder, altered)
    forge(folder)
    assert codes(proof_of(folder)) == {"differs"}
    assert codes(proof_of(folder, head=head)) == {"differs", "chain_rewritten"}


@pytest.mark.parametrize("name", ["mass", "alpha", "alpha_low", "regime", "step", "grid", "votes", "regime_since"])
def test_a_field_of_the_state_that_was_altered(folder: Path, name: str) -> None:
    other = {
        "regime": "Critical" if LAST["regime"] != "Critical" else "Gaussian",
        "mass": 0.123456,
        "step": 2.0 + LAST["step"],
        "votes": 1 + (LAST["votes"] or 0),
    }
    value = other[name] if name in other else (LAST[name] or 0) * 1.001
    value = int(value) if name == "regime_since" else value
    rewrite(
        folder,
        lambda rows: [row | {name: value} if row["seq"] == LAST["seq"] and row["last"] else row for row in rows],
    )
    proof = proof_of(folder)
    assert proof.computed is not None
    assert [difference.field for difference in proof.computed.differences] == [name]


def test_a_row_that_was_dropped(folder: Path) -> None:
    seq = LAST["seq"] - 20
    rewrite(folder, lambda rows: [row for row in rows if row["seq"] != seq])
    proof = proof_of(folder)
    assert codes(proof) >= {"row_dropped", "missing"}
    assert f"{EPOCH}-{seq} is missing" in next(doubt.detail for doubt in proof.doubts if doubt.code == "missing")


def test_a_sample_of_a_version_that_was_dropped(folder: Path) -> None:
    gone = next(row for row in reversed(EVERY[:-5]) if not row["last"])
    key = gone["seq"], gone["number"]
    rewrite(folder, lambda rows: [row for row in rows if (row["seq"], row["number"]) != key])
    assert codes(proof_of(folder)) >= {"row_dropped", "rows"}


def test_a_row_that_came_late(tmp_path: Path) -> None:
    """A row that nobody wrote at that time, though all files are the recorder's."""
    late = next(row for row in EVERY if row["seq"] == LAST["seq"] - 20 and row["last"])
    late = late | {"epoch": EPOCH, "seq": 10**6, "number": 0, "recorded": LAST["recorded"] + 10_000_000}
    early = [row | {"seq": row["seq"] * 10, "prev_seq": row["prev_seq"] and row["prev_seq"] * 10} for row in EVERY]
    late |= {"seq": late["prev_seq"] * 10 + 15, "prev_seq": late["prev_seq"] * 10 + 10}
    folder = record_of(tmp_path / "late", [*early, late])
    proof = proof_of(folder, early[-1])
    assert codes(proof) >= {"added"}
    assert f"{EPOCH}-{late['seq']} does not belong there" in " ".join(doubt.detail for doubt in proof.doubts)


def test_a_file_that_was_exchanged(folder: Path, tmp_path: Path) -> None:
    other = record_of(tmp_path / "other", [row | {"symbol": "QQQ"} for row in EVERY])
    path = max((folder / "samples").rglob("*.parquet"))
    shutil.copyfile(max((other / "samples").rglob("*.parquet")), path)
    proof = proof_of(folder)
    assert codes(proof) == {"row_altered", "not_recorded"}


@pytest.mark.parametrize("content", [None, b"", b"not a file of Parquet's"])
def test_a_file_that_is_gone_or_damaged(folder: Path, content: bytes | None) -> None:
    path = max((folder / "samples").rglob("*.parquet"))
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    proof = proof_of(folder)
    assert codes(proof) == {"file_missing" if content is None else "file_unreadable", "unreadable", "not_recorded"}


def test_an_entry_of_the_chain_that_was_altered(folder: Path) -> None:
    lines = (folder / CHAIN).read_bytes().splitlines(keepends=True)
    (folder / CHAIN).write_bytes(lines[0].replace(b'"why":"began"', b'"why":"again"') + b"".join(lines[1:]))
    assert codes(proof_of(folder)) == {"chain_broken"}


def test_a_chain_that_was_rewritten(folder: Path) -> None:
    head = Record(folder).manifest().head
    lines = (folder / CHAIN).read_bytes().splitlines(keepends=True)
    (folder / CHAIN).write_bytes(lines[0].replace(b'"why":"began"', b'"why":"again"') + b"".join(lines[1:]))
    forge(folder)
    assert proof_of(folder).doubts == []
    assert codes(proof_of(folder, head=head)) == {"chain_rewritten"}


def test_a_manifest_that_does_not_follow_from_the_chain(folder: Path) -> None:
    content = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).write_bytes(re.sub(rb'"rows": \d+', b'"rows": 7', content))
    assert codes(proof_of(folder)) == {"manifest_altered"}


def test_a_window_that_began_before_the_record(tmp_path: Path) -> None:
    since = EVERY[-61]["seq"]
    rows = [row for row in EVERY if row["seq"] > since]
    folder = record_of(tmp_path, rows)
    proof = proof_of(folder)
    assert codes(proof) == {"window"}
    assert re.fullmatch(
        r"the window began before the record: 4\d of the samples .* not recorded", proof.doubts[0].detail
    )


def test_a_record_of_inputs_alone(tmp_path: Path) -> None:
    names = [column.name for column in SAMPLES]
    state = names[names.index("mass") :]
    folder = record_of(tmp_path, [row | dict.fromkeys(state) for row in EVERY])
    assert codes(proof_of(folder)) == {"inputs_only"}


def test_a_wider_interval(tmp_path: Path) -> None:
    rows = kernel_rows(eventful_history(4, 300), 100, widening=1.5)
    folder = record_of(tmp_path, rows)
    assert proof_of(folder, rows[-1], widening=1.5).doubts == []


@pytest.mark.parametrize("kind", [None, pa.string()])
def test_a_file_without_a_column_or_with_another_type_of_it(folder: Path, kind: pa.DataType | None) -> None:
    path = max((folder / "samples").rglob("*.parquet"))
    table = pq.read_table(path, partitioning=None)
    place, price = table.schema.get_field_index("price"), table["price"]
    table = table.drop_columns(["price"]) if kind is None else table.set_column(place, "price", price.cast(kind))
    pq.write_table(table, path)
    proof = proof_of(folder)
    assert codes(proof) >= {"unreadable"}
    assert codes(proof) & {"row_altered", "file_written_anew"}


def test_a_head_that_is_no_hash_is_refused(folder: Path) -> None:
    with pytest.raises(HistoryRefusal, match="64 hexadecimal digits") as refused:
        entry_point(Record(folder), "SPY", head="5d0c1f")
    assert refused.value.code == "bad_parameter"


@pytest.mark.parametrize("value", [b"null", b'["a", "b"]'])
def test_a_manifest_with_values_of_other_types_is_named(folder: Path, value: bytes) -> None:
    content = orjson.loads((folder / MANIFEST).read_bytes())
    content["files"][0]["recorded"] = orjson.loads(value)
    (folder / MANIFEST).write_bytes(orjson.dumps(content))
    with pytest.raises(RecordDamaged, match=r"manifest\.json is none of a record"):
        entry_point(Record(folder), "SPY")
