"""What a user of Redis may do: the rows of which a declaration consists, and their form in a server's ACL file.

Each user is refused everything that none of its rows allows. A row becomes a selector of its own, so that it allows
its commands on its keys alone: a process that may DELete snapshots and SET states can then not SET a snapshot.
Selectors, and `%R~` and `%W~` for keys that are only read or only written, came with Redis 7.0.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Permission:
    """One row: these commands, on these keys and channels. Made by `may` and `may_call`."""

    commands: tuple[str, ...]
    """In lower case, a subcommand behind its command: `get`, `script|load`."""
    read: tuple[str, ...] = ()
    """The patterns of the keys that the commands may read."""
    write: tuple[str, ...] = ()
    """The patterns of the keys that they may write."""
    channels: tuple[str, ...] = ()

    def known_to(self, commands: frozenset[str]) -> "Permission":
        """This row without the commands that a server does not know, which it would refuse to start with."""
        return Permission(
            tuple(name for name in self.commands if name in commands), self.read, self.write, self.channels
        )

    def selector(self) -> str:
        """This row as a selector of an ACL rule: `(resetkeys resetchannels -@all +get %R~physics:state:*)`."""
        both = [pattern for pattern in self.read if pattern in self.write]
        words = [f"+{name}" for name in self.commands]
        words += [f"~{pattern}" for pattern in both]
        words += [f"%R~{pattern}" for pattern in self.read if pattern not in both]
        words += [f"%W~{pattern}" for pattern in self.write if pattern not in both]
        words += [f"&{channel}" for channel in self.channels]
        return f"({' '.join(words)})"


Permissions = tuple[Permission, ...]
"""The declaration of one user, or a part of it that several have in common."""


def may(
    commands: str, *, read: Sequence[str] = (), write: Sequence[str] = (), channels: Sequence[str] = ()
) -> Permission:
    """A row of these commands, `"GET SCRIPT|LOAD"`, on keys of these patterns and on these channels."""
    return Permission(tuple(commands.lower().split()), tuple(read), tuple(write), tuple(channels))


def may_call(*keys: str) -> Permission:
    """A row for the Lua scripts that are called with keys of these patterns.

    Redis asks for both rights on each key of a call, since it does not know what the script does with it. What the
    script then does is refused unless other rows allow it. EVAL follows EVALSHA where the server has lost the script.
    """
    return may("EVALSHA EVAL", read=keys, write=keys)


def rule(user: str, password_hashes: Sequence[str], permissions: Permissions, commands: frozenset[str]) -> str:
    """The line of an ACL file for a user with these permissions.

    password_hashes: SHA-256 in hexadecimal, of each password that is taken. commands: those that the server knows, in
    lower case; others are left out. Raises ValueError for a user without a password.
    """
    if not password_hashes:
        raise ValueError(f"{user} has no password")
    rows = [known for row in permissions if (known := row.known_to(commands)).commands]
    words = ["on", *(f"#{each}" for each in password_hashes), "resetkeys", "resetchannels", "-@all"]
    return " ".join(["user", user, *words, *dict.fromkeys(row.selector() for row in rows)])
