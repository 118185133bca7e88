"""Whether the files of a record are those that were written: each is held against the chain, and the chain against
itself and a head that was noted elsewhere.

Whoever can alter a file can make a chain anew that fits it, but none that has a head which the recorder said before.
So `head` is what makes an altered past noticed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal

from cottage.record.arrow_schema import pyarrow
from cottage.record.compaction import other_types, parquet_batches
from cottage.record.digest import as_text, digest_of, from_text, together
from cottage.record.folder_layout import HOUR, PIECES
from cottage.record.manifest import (
    CHAIN,
    MANIFEST,
    NO_ENTRY,
    Manifest,
    RecordDamaged,
    RecordFile,
    as_head,
    chain_lines,
    following,
    parsed_entry,
    read_manifest,
)
from cottage.record.schema import TABLES
from cottage.record.sorted_runs import order_of
from cottage.record.write_ahead import ahead_files, mapped, whole_batches

FindingKind = Literal[
    "file missing",
    "file exchanged",
    "file unreadable",
    "file written anew",
    "file unknown",
    "row dropped",
    "row added",
    "row doubled",
    "row altered",
    "chain broken",
    "chain rewritten",
    "manifest altered",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a record that is not as it was written."""

    kind: FindingKind
    where: str
    """The path of a file within the record, or `entry` with its number in the chain."""
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.detail}"


def verify(folder: Path, head: str | None = None) -> list[Finding]:
    """What is wrong with a record: nothing for one that is whole. `head`: the hash of an entry that the chain must
    have, as the recorder said it once. A recorder may write meanwhile. Raises FileNotFoundError where there is no
    record, ValueError for a head that is no hash, NewerFormat, and MissingExtra."""
    pyarrow()
    findings: list[Finding] = []
    try:
        manifest = read_manifest(folder)
        upto: int | None = manifest.number
    except RecordDamaged as error:
        findings.append(Finding("manifest altered", MANIFEST, str(error)))
        manifest, upto = Manifest(), None
    except OSError as error:
        if not (folder / CHAIN).is_file():
            raise
        detail = "the chain says which files there were"
        findings.append(_unread(MANIFEST, error, detail))
        manifest, upto = Manifest(), None
    walk = _Walk(folder, upto)
    findings += _followed(walk, head)
    if upto is not None:
        findings += _against(manifest, walk)
    else:
        manifest = walk.manifest
    for file in manifest.files:
        findings += _file(folder, file, walk.ever)
    findings += _unknown(folder, manifest, walk)
    findings += _ahead(folder, manifest)
    return _still_true(folder, manifest, findings)


def verify_files(
    folder: Path, manifest: Manifest, files: Sequence[RecordFile], head: str | None = None
) -> list[Finding]:
    """What is wrong with these files of a manifest, and with the chain that it follows from. `head` as of `verify`;
    raises MissingExtra."""
    walk = _Walk(folder, manifest.number)
    findings = [*_followed(walk, head), *_against(manifest, walk)]
    for file in files:
        findings += _file(folder, file, walk.ever)
    return _still_true(folder, manifest, findings)


def _followed(walk: "_Walk", head: str | None) -> Iterator[Finding]:
    yield from walk.findings
    if head is not None and as_head(head) not in walk.heads:
        yield Finding("chain rewritten", CHAIN, f"none of its entries has the head {head}")


class _Walk:
    """The chain, from its first entry to its end; what is alive is told up to one of them, if `upto` says so."""

    def __init__(self, folder: Path, upto: int | None) -> None:
        self.findings: list[Finding] = []
        self.manifest = Manifest()
        """What is alive by the chain."""
        self.ever: dict[str, str] = {}
        """The paths of all files that were ever added, by their checksums."""
        self.coming: set[str] = set()
        """The paths of files that were added behind `upto`: a manifest that has them follows."""
        self.heads: set[str] = {NO_ENTRY}
        try:
            for line in chain_lines(folder):
                if self.manifest.number == upto or not self._entry(line):
                    break
            if self.manifest.number == upto:
                self._go_on(folder)
        except OSError as error:
            self._broken(self.manifest.number + 1, f"the chain cannot be read: {error.strerror}")
        if upto is not None and self.manifest.number < upto and not self.findings:
            self._broken(self.manifest.number + 1, f"the chain ends before it, the manifest knows entry {upto}")

    def _go_on(self, folder: Path) -> None:
        try:
            for manifest in following(folder, self.manifest):
                self.heads.add(manifest.head)
                self.coming |= {file.path for file in manifest.files}
        except RecordDamaged as error:
            self._broken(self.manifest.number + 1, f"what stands behind the manifest's entry is none: {error}")

    def _entry(self, line: bytes) -> bool:
        number = self.manifest.number + 1
        entry = parsed_entry(line)
        if entry is None:
            self._broken(number, "it is no entry")
            return False
        if entry["number"] != number:
            self._broken(number, f"it is missing: entry {entry['number']} comes next")
        elif entry["before"] != self.manifest.head:
            self._broken(number, f"it does not follow on entry {number - 1}: one of the two was altered")
        before = {file.path: file for file in self.manifest.files}
        try:
            self.manifest = self.manifest.after(line)
        except (KeyError, TypeError, ValueError) as error:
            self._broken(number, f"it names no files of a record ({error})")
            return False
        self.heads.add(self.manifest.head)
        self.ever |= {file.sha256: file.path for file in self.manifest.files}
        if entry.get("why") == "compacted":
            self._kept(entry, before)
        return True

    def _kept(self, entry: dict[str, Any], before: dict[str, RecordFile]) -> None:
        """A compaction takes away no row and adds none."""
        added = [from_text(file["digest"]) for file in entry.get("added", ())]
        gone = entry.get("removed", ())
        removed = [from_text(before[path].digest) for path in gone if path in before]
        if len(removed) < len(gone) or together(*added) != together(*removed):
            self._broken(entry["number"], "its files have not the rows of those that they replaced")

    def _broken(self, number: int, why: str) -> None:
        self.findings.append(Finding("chain broken", f"entry {number}", why))


def _against(manifest: Manifest, walk: _Walk) -> Iterator[Finding]:
    if walk.manifest.number == manifest.number and walk.manifest.head != manifest.head:
        yield Finding("chain broken", f"entry {manifest.number}", "it was altered: the manifest has another head")
    if (walk.manifest.files, walk.manifest.rolled) != (manifest.files, manifest.rolled):
        told, alive = ({file.path: file for file in each.files} for each in (manifest, walk.manifest))
        other = sorted(path for path in told.keys() | alive.keys() if told.get(path) != alive.get(path))
        yield Finding("manifest altered", MANIFEST, f"by the chain it is another of {', '.join(other) or 'rolled'}")


def _file(folder: Path, file: RecordFile, ever: dict[str, str]) -> Iterator[Finding]:
    try:
        with (folder / file.path).open("rb") as content:
            checksum = file_digest(content, "sha256").hexdigest()
    except OSError as error:
        yield _unread(file.path, error, f"it had {file.rows} rows")
        return
    if checksum == file.sha256:
        return
    if checksum in ever:
        yield Finding("file exchanged", file.path, f"it is what was {ever[checksum]}")
        return
    arrow = pyarrow()
    try:
        rows = sum(len(batch) for batch in parquet_batches(folder / file.path, file.table))
        yield from _rows(folder, file, rows)
    except (arrow.ArrowException, OSError, KeyError) as error:
        yield Finding("file unreadable", file.path, str(error).partition("\n")[0])


def _unread(where: str, error: OSError, lost: str) -> Finding:
    """`lost`: what is said of a file that is gone."""
    if isinstance(error, FileNotFoundError):
        return Finding("file missing", where, lost)
    return Finding("file unreadable", where, str(error.strerror))


def _rows(folder: Path, file: RecordFile, rows: int) -> Iterator[Finding]:
    """How the rows of a file with other bytes differ from those that were written."""
    arrow = pyarrow()
    digest, keys = 0, []
    for batch in parquet_batches(folder / file.path, file.table):
        digest = together(digest, digest_of(batch, file.table))
        keys.append(batch.select(order_of(file.table)))
    if as_text(digest) == file.digest:
        if other := other_types(folder / file.path, file.table):
            yield Finding("row altered", file.path, f"all of {rows}: {'; '.join(other)}")
        else:
            yield Finding("file written anew", file.path, "the rows are the same, in other bytes")
        return
    held = arrow.Table.from_batches(keys, arrow.schema([]) if not keys else None)
    if rows and set(arrow.compute.unique(arrow.compute.divide(held["recorded"], HOUR)).to_pylist()) != {file.hour}:
        yield Finding("file exchanged", file.path, "its rows are of another hour")
        return
    grouped = held.group_by(order_of(file.table)).aggregate([([], "count_all")]) if rows else held
    different = len(grouped)
    if different < rows:
        (first, *_) = grouped.filter(arrow.compute.field("count_all") > 1).to_pylist()
        yield Finding("row doubled", file.path, f"{rows - different} of {rows}, such as {first}")
    if different < file.rows:
        yield Finding("row dropped", file.path, f"{file.rows - different} of {file.rows}")
    if different > file.rows:
        yield Finding("row added", file.path, f"{different - file.rows} to {file.rows}")
    if different == rows == file.rows:
        yield Finding("row altered", file.path, f"at least one of {rows}")


def _unknown(folder: Path, manifest: Manifest, walk: _Walk) -> Iterator[Finding]:
    known = {file.path for file in manifest.files} | walk.coming
    for table in TABLES:
        for path in sorted((folder / table).rglob("*.parquet")):
            if (name := str(path.relative_to(folder))) not in known:
                yield Finding("file unknown", name, "readers of all files read it, and the chain does not know it")
    once = known | set(walk.ever.values())  # those that hours replaced stay a while
    for path in sorted((folder / PIECES).rglob("*")):
        if (name := str(path.relative_to(folder))) not in once and not path.is_dir():
            yield Finding("file unknown", name, "the chain does not know it")


def _ahead(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    for file in ahead_files(folder, manifest.rolled):
        try:
            content = mapped(file.path)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield _unread(str(file.path.relative_to(folder)), error, "")
            continue
        for place, batch in enumerate(whole_batches(content)):
            if as_text(digest_of(batch.rows, file.table)) != batch.digest:
                yield Finding("row altered", str(file.path.relative_to(folder)), f"in flush {place} of this file")


def _still_true(folder: Path, manifest: Manifest, findings: list[Finding]) -> list[Finding]:
    """Without what is only found since the recorder went on meanwhile."""
    try:
        newer = read_manifest(folder)
    except (RecordDamaged, OSError):
        return findings
    if newer.number == manifest.number:
        return findings
    alive = {file.path for file in newer.files}
    return [
        each
        for each in findings
        if not (each.kind == "file missing" and each.where not in alive)
        and not (each.kind == "file unknown" and each.where in alive)
    ]
