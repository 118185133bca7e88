"""What a server asks of whatever judges tokens."""

from typing import Protocol

from cottage.errors import CottageError
from cottage.grant import Grant


class TokenRefused(CottageError):
    """A token is not good. `reason`: one word, which its holder may know."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the token is refused: {reason}")
        self.reason = reason


class Authentication(Protocol):
    """Judges tokens: those of clients by keys (verifier.py), that of the link by its secret (link_secret.py)."""

    def grant(self, token: str) -> Grant:
        """What the holder of `token` may do. Raises TokenRefused."""
