"""Reads secrets: from the environment variable NAME, or from the file that NAME_FILE names.

The settings of the services, the command `cottage` and `deploy/` read every secret this way. No error shows a
secret, or a part of one.
"""

from collections.abc import Mapping
from pathlib import Path

from cottage.errors import SettingsError
from cottage.variables import value_of

MOST_BYTES = 64 * 1024
"""The largest file that is taken for a secret's."""


def file_variable(name: str) -> str:
    """The variable that names the file of a secret."""
    return f"{name}_FILE"


def secret_of(environment: Mapping[str, str], name: str) -> str | None:
    """The secret; None where neither variable is set. Raises SettingsError where both are, and for a file that cannot
    be read or has no secret in it.

    Of a file all counts but one newline at its end, also the blanks that are no part of a variable's value.
    """
    said, path = value_of(environment, name), value_of(environment, file_variable(name))
    if path is None:
        return said
    if said is not None:
        raise SettingsError(f"{file_variable(name)}: {name} is set as well: leave one of them out")
    try:
        return _read(path)
    except OSError as error:
        raise SettingsError(f"{file_variable(name)}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise SettingsError(f"{file_variable(name)}: {error}") from None


def is_set(environment: Mapping[str, str], name: str) -> bool:
    """Whether the secret is given in either way. Its file is not looked at."""
    return any(value_of(environment, each) is not None for each in (name, file_variable(name)))


def _read(path: str) -> str:
    with Path(path).open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"the file is larger than {MOST_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError("the file is no UTF-8 text") from None
    secret = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not secret:
        raise ValueError("the file is empty")
    return secret
