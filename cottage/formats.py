"""Versions of the file formats of this suite, and how a file of an older version is brought up to the newest.

A format has a list of migrations: the first makes version 2 of version 1, the next 3 of 2, up to the newest.
A file of an older version is migrated and never refused; a newer one cannot be understood, and is refused. Feynman's
checkpoint and the runbook's export use it.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from cottage.errors import CottageError

T = TypeVar("T")


class NewerFormat(CottageError):
    """The file was written by a newer version of this program, and is not damaged."""


def check_version(version: int, newest: int) -> None:
    """Raise NewerFormat for a version above `newest`, and ValueError for what is no version's number."""
    if version < 1:
        raise ValueError(f"{version} is no version of a format")
    if version > newest:
        raise NewerFormat(f"it was written by a newer version: its format is {version}, this one reads {newest}")


def migrated(content: T, version: int, migrations: Sequence[Callable[[T], T]]) -> T:
    """`content` of that version, as the newest version has it. Raises as `check_version`."""
    check_version(version, len(migrations) + 1)
    for migration in migrations[version - 1 :]:
        content = migration(content)
    return content
