"""The checkpoints of a record: feynman's files with the windows as they were, from which a replay of it goes on.

Feynman keeps them in the folder CHECKPOINTS of a record, as links to the files that it saves anyway. Nobody else
knows which file it has loaded, and at which epoch:

    begun-EPOCH-I-of-N.npz    the windows with which a process began, which issued its first states under this epoch;
                              without a symbol where it had none
    saved-MICROS-I-of-N.npz   windows as they were then, in microseconds since 1970: one each hour, and one since the
                              record began, or has missed versions
    wanted                    when the recorder asked for such a one last

Each says of its symbols in which version their newest states were, so that a replay knows which samples follow.
"""

import json
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

from cottage.version import Version
from cottage.zip_on_disk import ZipOnDisk, stored_member

CHECKPOINTS = "checkpoints"
BEGUN, SAVED = "begun", "saved"
WANTED = "wanted"
SYMBOLS = "symbols.json"
"""The member of each part of a checkpoint with its symbols, their sources and their versions."""
MOST_NAMES_BYTES = 4 * 1024 * 1024
"""Of a member that is JSON."""
_NAME = re.compile(r"(begun|saved)-(\d{1,18})-(\d{1,4})-of-(\d{1,4})", re.ASCII)


class CheckpointName(NamedTuple):
    """The name of a checkpoint's file, without its ending."""

    kind: str
    """BEGUN or SAVED."""
    number: int
    """The epoch, or the time in microseconds since 1970."""
    shard: str
    """The windows are those of the i-th of n parts of the symbols: `i/n`."""

    def __str__(self) -> str:
        return f"{self.kind}-{self.number}-{self.shard.replace('/', '-of-')}"

    def path(self, record: Path) -> Path:
        """Its file in a record's folder."""
        return record / CHECKPOINTS / f"{self}.npz"


def parse_name(text: str) -> CheckpointName | None:
    """The name that this text is; None if it is none."""
    found = _NAME.fullmatch(text)
    return None if found is None else CheckpointName(found[1], int(found[2]), f"{int(found[3])}/{int(found[4])}")


def want_checkpoint(record: Path) -> None:
    """Ask for a checkpoint: all that comes after it will be in the record. Raises OSError."""
    (record / CHECKPOINTS).mkdir(exist_ok=True)
    (record / CHECKPOINTS / WANTED).touch()


def checkpoints(record: Path) -> list[CheckpointName]:
    """Those of a record, the oldest of each kind first."""
    names = (parse_name(path.stem) for path in (record / CHECKPOINTS).glob("*.npz"))
    return sorted(name for name in names if name is not None)


def versions(path: Path) -> dict[str, Version | None]:
    """The symbols of a checkpoint, and in which version their newest states were; None where it does not say it.

    Raises OSError, and ValueError for what is no checkpoint."""
    found: dict[str, Version | None] = {}
    try:
        with ZipOnDisk(path) as raw, raw.directory() as archive:
            for name in archive.namelist():
                if not name.endswith(f"/{SYMBOLS}"):
                    continue
                part = json.loads(stored_member(archive, name, MOST_NAMES_BYTES))
                stated = part.get("versions") or [None] * len(part["symbols"])
                pairs = zip(part["symbols"], stated, strict=True)
                found.update((symbol, pair and Version(*map(int, pair))) for symbol, pair in pairs)
    except (zipfile.BadZipFile, LookupError, TypeError, AttributeError, RecursionError, NotImplementedError) as error:
        raise ValueError(f"{path} is no checkpoint") from error
    return found
