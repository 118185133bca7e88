"""Tokens of the bench: one grant for all clients, some different ones, or one a client.

Every client may know of all symbols of the bench by a pattern, so that the same is delivered as to clients that are
asked for no token. Grants differ in a second pattern, which no symbol matches: each is a group of its own.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.common.auth.issuer import SECRET, claims, hs256

SYMBOLS = "B*"
"""Those of load.c, but for FAR."""
SETTINGS = {"AUTH_SECRET": SECRET}
"""Environment of a server that asks for tokens."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """How clients are let in."""

    name: str
    grants: int
    """How many different ones; 0 means that nobody is asked for a token."""

    @property
    def settings(self) -> dict[str, str]:
        return SETTINGS if self.grants else {}

    def options(self, folder: Path, clients: int) -> dict[str, Any]:
        """Of load.c: a file with a token for each client."""
        if not self.grants:
            return {}
        path = folder / uuid.uuid4().hex
        path.write_text("".join(f"{token(client % self.grants, client)}\n" for client in range(clients)))
        return {"token_file": path}


def token(grant: int, client: int) -> str:
    return hs256(claims(symbols=patterns(grant), sub=f"client {client}", jti=f"{client}"))


def patterns(grant: int) -> list[str]:
    return [SYMBOLS, f"X{grant}.*"]


def ways(clients: int) -> Sequence[Tokens]:
    return (
        Tokens("tokens off", 0),
        Tokens("one grant for all", 1),
        Tokens("100 grants", min(100, clients)),
        Tokens("one grant a client", clients),
    )
