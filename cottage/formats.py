"""Versions of the suite's file formats, and the migration of older files. Checkpoint and export use it.

A format has a list of migrations: the first one from version 1 to 2, the next one from 2 to 3, up to the newest. A
file of an older version is migrated and never refused; a file of a newer version is refused.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from cottage.errors import CottageError

T = TypeVar("T")


class NewerFormat(CottageError):
    """The file was written by a newer version of this program, and is not damaged."""


def check_version(version: int, newest: int) -> None:
    """Raise NewerFormat for a version above `newest`, and ValueError for a number that is no version."""
    if version < 1:
        raise ValueError(f"{version} is no version of a format")
    if version > newest:
        raise NewerFormat(f"it was written by a newer version: its format is {version}, this one reads {newest}")


def migrated(content: T, version: int, migrations: Sequence[Callable[[T], T]]) -> T:
    """Convert `content` of this version to the newest version. Raises as `check_version`."""
    check_version(version, len(migrations) + 1)
    for migration in migrations[version - 1 :]:
        content = migration(content)
    return content
