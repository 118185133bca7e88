"""The tokens that are denied before their end: a file with a `jti` a line. The verifier asks it."""

import operator
from collections.abc import Callable

from common.auth.compact_token import is_name
from common.auth.watched_file import WatchedFile


class DenyList:
    """The names of denied tokens. A new one counts at once. One that is gone counts until the file was the same
    twice: a program may empty the file before it writes it anew."""

    def __init__(self, setting: str, path: str, monotonic: Callable[[], float]) -> None:
        self._file = WatchedFile(setting, path, denied, monotonic, meanwhile=operator.or_)

    def __contains__(self, token_id: str) -> bool:
        return token_id in self._file.content()


def denied(text: bytes) -> frozenset[str]:
    """The names in a deny list. Raises ValueError for a line that can be none."""
    names = [line.strip() for line in text.decode().split("\n")]
    for number, name in enumerate(names, 1):
        if name and not is_name(name):
            raise ValueError(f"line {number} is no jti")
    return frozenset(filter(None, names))
