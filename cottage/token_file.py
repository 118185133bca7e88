"""The token of a program: in the environment, or in a file that somebody else renews, which is read at each question.

    StateClient.connect(url, token=TokenFile("/run/secrets/cottage-token"))

The command `cottage`, the chaos tests and the benches have a token so. No text that is made here shows one.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from cottage.errors import SettingsError
from cottage.protocol import MAX_TOKEN_BYTES
from cottage.variables import value_of

VARIABLE = "COTTAGE_TOKEN"
FILE_VARIABLE = "COTTAGE_TOKEN_FILE"
_BEGINNING = "eyJ"
"""Of each JWT: its header begins with `{"`."""
Token = str | Callable[[], str]
"""A token, or who is asked for it each time."""


class TokenFile:
    """A file with a token, which is read each time it is called."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        # The token itself, in the place of a path, is not shown.
        self._shown = f"{_BEGINNING}…" if str(self._path).startswith(_BEGINNING) else str(self._path)

    def __repr__(self) -> str:
        return f"TokenFile({self._shown!r})"

    def __call__(self) -> str:
        """The token, without the newline at its end. Raises SettingsError for a file without one."""
        try:
            with self._path.open("rb") as file:
                content = file.read(MAX_TOKEN_BYTES + 3)
        except OSError as error:
            raise SettingsError(f"the token's file {self._shown}: {error.strerror}") from None
        text = content.removesuffix(b"\n").removesuffix(b"\r")
        if not text:
            raise SettingsError(f"the token's file {self._shown} is empty")
        if len(text) > MAX_TOKEN_BYTES:
            raise SettingsError(f"the token's file {self._shown} has more than {MAX_TOKEN_BYTES} bytes")
        if not (text.isascii() and text.decode().isprintable()) or b" " in text:
            raise SettingsError(f"the token's file {self._shown} has more than a token in it")
        return text.decode()


def token_of(environment: Mapping[str, str] = os.environ, file: str | None = None) -> Token | None:
    """The token of a command: of `file`, else of COTTAGE_TOKEN or of the file that COTTAGE_TOKEN_FILE names; None for
    none. Raises SettingsError where both variables are set, and for a file without a token."""
    text, named = value_of(environment, VARIABLE), value_of(environment, FILE_VARIABLE)
    if file is None and text is not None and named is not None:
        raise SettingsError(f"{VARIABLE} and {FILE_VARIABLE} are both set: leave one of them out")
    path = file if file is not None else named
    if path is None:
        return text
    source = TokenFile(path)
    source()  # said at once, and not at the first connection
    return source
