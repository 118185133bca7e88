"""Which files of a record are alive, and the chain of all that was ever added to it or removed.

`chain.jsonl` is only appended to: an entry a line, each with the SHA-256 of the line before. The hash of the newest
line is the head. `manifest.json` is what follows from the entries up to one of them, for whoever reads the record; it
is replaced as a whole. A change becomes true with its entry; the manifest follows, and is made anew from the chain
where a crash came between.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from cottage.errors import CottageError
from cottage.folder_sync import replace_file
from cottage.formats import check_version
from cottage.record.schema import FORMAT, TABLES, VERSION

MANIFEST = "manifest.json"
CHAIN = "chain.jsonl"
NO_ENTRY = "0" * 64
"""What the first entry has for the hash of the one before."""
HEAD_PATTERN = "^[0-9a-fA-F]{64}$"
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PATH = re.compile(r"(?:[A-Za-z0-9][\w.=-]*/){1,3}[A-Za-z0-9][\w.=-]*\.parquet", re.ASCII)
"""Files of a record are below its folder: whoever changes its manifest must not have others read or removed."""
_TYPES = {"path": str, "table": str, "hour": int, "rows": int, "bytes": int, "sha256": str, "digest": str}


class RecordDamaged(CottageError):
    """A folder is no record, or its manifest and chain do not fit together."""


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A Parquet file of a record. Ranges are of whole microseconds since 1970, both ends within; None without rows
    that have one."""

    path: str
    """Within the folder of the record."""
    table: str
    hour: int
    """Of `recorded`, in hours since 1970."""
    rows: int
    bytes: int
    recorded: tuple[int, int]
    at: tuple[int, int] | None
    """The market's time."""
    written: tuple[int, int] | None
    sources: tuple[tuple[str, int], ...]
    """Source and run of its rows, each pair once."""
    sha256: str
    digest: str
    """Of its rows: digest.py."""
    archived: str | None = None
    """Where a copy of it is."""

    @property
    def is_piece(self) -> bool:
        """Whether it waits to become part of the file of an hour."""
        return self.path.startswith("pieces/")

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "RecordFile":
        """From JSON. Raises TypeError, ValueError, KeyError."""
        known = dict(fields)
        for name in ("recorded", "at", "written"):
            known[name] = None if known[name] is None and name != "recorded" else _span(known[name])
        known["sources"] = tuple((str(source), int(run)) for source, run in known["sources"])
        for name, kind in _TYPES.items():
            if type(known[name]) is not kind:
                raise TypeError(f"{name} of a file is {known[name]!r}")
        if known["table"] not in TABLES:
            raise ValueError(f"there is no table {known['table']}")
        _path(known["path"])
        int(known["digest"], 16)
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is alive after the entry `number` of the chain."""

    number: int = 0
    head: str = NO_ENTRY
    chain_bytes: int = 0
    """How long the chain is up to there."""
    rolled: int = 0
    """Write-ahead files up to this number have become pieces; those above are alive."""
    files: tuple[RecordFile, ...] = ()
    leaving: tuple[str, ...] = ()
    """Paths of files that the newest entry removed, which may still be there."""

    def after(self, line: bytes) -> "Manifest":
        """What is alive after one more entry, which stands in the chain as `line`. Raises KeyError, TypeError,
        ValueError."""
        entry = orjson.loads(line)
        removed = set(map(_path, entry.get("removed", ())))
        added = [RecordFile.of(file) for file in entry.get("added", ())]
        archived = {each["path"]: each["to"] for each in entry.get("archived", ())}
        kept = () if entry.get("anew") else self.files
        files = [file for file in kept if file.path not in removed] + added
        return Manifest(
            number=entry["number"],
            head=sha256(line).hexdigest(),
            chain_bytes=self.chain_bytes + len(line) + 1,
            rolled=entry.get("rolled", self.rolled),
            leaving=tuple(sorted(removed)),
            files=tuple(
                replace(file, archived=archived[file.path]) if file.path in archived else file
                for file in sorted(files, key=lambda file: (file.table, file.hour, file.path))
            ),
        )

    def to_bytes(self) -> bytes:
        content = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Manifest":
        """Raises RecordDamaged, or NewerFormat."""
        try:
            fields = orjson.loads(content)
            if fields.pop("format") != FORMAT:
                raise ValueError("it is of another format")
            check_version(fields.pop("version"), VERSION)
            files = tuple(RecordFile.of(file) for file in fields.pop("files"))
            for name in ("number", "chain_bytes", "rolled"):
                if type(fields[name]) is not int:
                    raise TypeError(f"{name} is {fields[name]!r}")
            return cls(files=files, leaving=tuple(map(_path, fields.pop("leaving"))), **fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RecordDamaged(f"{MANIFEST} is none of a record: {error}") from error


@dataclass(slots=True)
class RecordChain:
    """The chain of a record with the manifest that follows from it, for writing."""

    folder: Path
    manifest: Manifest = field(default_factory=Manifest)

    def append(self, why: str, at: str, **fields: Any) -> None:
        """Add an entry: it is on the disk when this returns. Raises OSError, such as for a full disk: then there is
        none. `at`: RFC 3339."""
        entry = {"number": self.manifest.number + 1, "before": self.manifest.head, "at": at, "why": why, **fields}
        line = orjson.dumps(entry)
        with (self.folder / CHAIN).open("ab") as file:
            file.truncate(self.manifest.chain_bytes)  # a try that failed has left something
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.manifest = self.manifest.after(line)

    def save(self) -> None:
        """Put the manifest there for readers. Raises OSError."""
        replace_file(self.folder / MANIFEST, self.manifest.to_bytes())


def read_manifest(folder: Path) -> Manifest:
    """Raises FileNotFoundError where there is none, RecordDamaged, or NewerFormat."""
    return Manifest.from_bytes((folder / MANIFEST).read_bytes())


def chain_lines(folder: Path, start: int = 0) -> Iterator[bytes]:
    """The whole lines of the chain, from this byte on, without their ends."""
    try:
        with (folder / CHAIN).open("rb") as file:
            file.seek(start)
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]
    except FileNotFoundError:
        return


def following(folder: Path, manifest: Manifest) -> Iterator[Manifest]:
    """What is alive after each entry behind those that the manifest knows. Raises RecordDamaged where a line is no
    entry that follows on the one before."""
    for line in chain_lines(folder, manifest.chain_bytes):
        entry = parsed_entry(line)
        number = manifest.number + 1
        try:
            if entry is None or (entry["number"], entry["before"]) != (number, manifest.head):
                raise ValueError("its line is another one's, or none of a record")
            manifest = manifest.after(line)
        except (KeyError, TypeError, ValueError) as error:
            what = f"entry {number} does not follow on entry {number - 1} ({error})"
            raise RecordDamaged(f"{folder / CHAIN}: {what}") from error
        yield manifest


def as_head(text: str) -> str:
    """The head that somebody states. Raises ValueError for what is no hash at all."""
    head = text.lower()
    if _HASH.fullmatch(head) is None:
        raise ValueError("head must be the 64 hexadecimal digits of a head of the chain, as the recorder logs them")
    return head


def parsed_entry(line: bytes) -> dict[str, Any] | None:
    """An entry of the chain; None for what is none."""
    try:
        entry = orjson.loads(line)
    except ValueError:
        return None
    is_entry = isinstance(entry, dict) and isinstance(entry.get("number"), int) and "before" in entry
    return entry if is_entry else None


def _span(value: Any) -> tuple[int, int]:
    first, last = value
    if type(first) is not int or type(last) is not int:
        raise TypeError(f"a range of a file is {value!r}")
    return first, last


def _path(value: Any) -> str:
    """A path within a record. Raises TypeError, ValueError."""
    if _PATH.fullmatch(value) is None:
        raise ValueError(f"{value[:80]!r} is no path of a file of a record")
    return str(value)


def paths_of(files: Sequence[RecordFile]) -> list[str]:
    return [file.path for file in files]
