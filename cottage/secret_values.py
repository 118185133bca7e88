"""Reads secrets: from the environment variable NAME, or from the file that NAME_FILE names.

The settings of the services, the command `cottage` and `deploy/` read every secret this way. No error shows a
secret, or a part of one.
"""

import os
import select
import time
from collections.abc import Mapping

from cottage.errors import SettingsError
from cottage.variables import value_of

MOST_BYTES = 64 * 1024
"""The largest file that is taken for a secret's."""
BYTE_ORDER_MARK = "\ufeff"
"""With it some editors on Windows begin a file. It is seen nowhere."""
_SAVE = "save it as UTF-8 without one"
PIPE_SECONDS = 5.0
"""How long a pipe, in the place of a file, may take to say its secret: nobody may ever write into it."""


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
    content = _content(path)
    if len(content) > MOST_BYTES:
        raise ValueError(f"the file is larger than {MOST_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError("the file is no UTF-8 text") from None
    if text.startswith(BYTE_ORDER_MARK):
        raise ValueError(
            "the file begins with a byte order mark, which others take for a part of the secret: " + _SAVE
        )
    secret = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not secret:
        raise ValueError("the file is empty")
    return secret


def _content(path: str) -> bytes:
    """The first MOST_BYTES + 1 bytes at most. Raises ValueError for a pipe that says nothing."""
    content, deadline = b"", time.monotonic() + PIPE_SECONDS
    # A pipe is opened without waiting for its writer; for a file O_NONBLOCK means nothing.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while len(content) <= MOST_BYTES:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise ValueError(f"nothing came out of the pipe in {PIPE_SECONDS:g} s")
            if not (part := os.read(descriptor, MOST_BYTES + 1 - len(content))):
                break
            content += part
    finally:
        os.close(descriptor)
    return content
