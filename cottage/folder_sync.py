"""Writes to the disk for good: the name of a new file is part of its folder's content, and on the disk with that."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Return when the names of a folder's files are on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Put a file there with this content, or leave the one before: whole, whenever the process is killed. Raises
    OSError."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
