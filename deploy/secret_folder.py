"""A folder of secret files, one for each name, which only their owner reads: of `make acl` and `production-files`."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from cottage.errors import SettingsError

SHORTEST = 32
"""Bytes of a password. Its SHA-256, which an ACL file holds, says nothing of one that nobody can guess."""
BEFORE = ".before"
"""With what the name of the file ends that holds the password that is taken besides, while it is exchanged."""


class SecretFolder:
    """Makes the folder where there is none. Raises SettingsError for what is there and cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _naming(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_mode & 0o002:  # in /tmp too: a file that is there is taken for a secret
                raise SettingsError(f"{folder}: everybody can put secrets of their own there: chmod o-w {folder}")

    def path(self, name: str) -> Path:
        return self.folder / name

    def secret(self, name: str) -> str:
        """The secret of this name; a new one is made where there is none."""
        path = self.path(name)
        with _naming(path), contextlib.suppress(FileExistsError):
            # Made with its mode: between a creation and a chmod others could open it.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(SHORTEST) + "\n")  # no "-", with which an option begins
        return self._read(path)

    def secrets(self, name: str) -> list[str]:
        """The secret of this name, and that of NAME.before where there is such a file: two hold for a rotation."""
        before = self.path(name + BEFORE)
        return [self.secret(name), *([self._read(before)] if before.exists() else [])]

    @staticmethod
    def _read(path: Path) -> str:
        with _naming(path):
            if path.stat().st_mode & 0o077:
                raise SettingsError(f"{path} can be read or written by others: chmod 600 {path}")
            text = path.read_text(encoding="utf-8")
        secret = text.removesuffix("\n")
        if len(secret.encode()) < SHORTEST or not secret.isprintable() or " " in secret:
            raise SettingsError(f"{path} must hold one line of {SHORTEST} or more printable characters, no blanks")
        return secret


def write_anew(path: Path, mode: int, content: bytes) -> None:
    """Write a file anew, which has its mode from the beginning. Raises SettingsError."""
    new = path.with_name(f"{path.name}.new")
    with _naming(path):
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask says
            file.write(content)
        new.replace(path)


def content_of(path: Path) -> bytes:
    """What is in a file. Raises SettingsError."""
    with _naming(path):
        return path.read_bytes()


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Raises a SettingsError that names the path where it cannot be used."""
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(f"{path}: {why}") from None
