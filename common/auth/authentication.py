"""What a server asks of whatever judges tokens."""

from typing import Protocol

from cottage.errors import CottageError
from cottage.grant import Grant


class TokenRefused(CottageError):
    """A token is not good. `reason`: one word, which its holder may know: `missing`, `expired`, `early`, `denied`,
    `unknown_key`, `bad`, `too_long` or `two_tokens`."""

    def __init__(self, reason: str, principal: str = "") -> None:
        """`principal`: who its holder is, for the log; known where the signature is good."""
        super().__init__(f"the token is refused: {reason}")
        self.reason = reason
        self.principal = principal


class Authentication(Protocol):
    """Judges tokens: those of clients by keys (verifier.py), that of the link by its secret (link_secret.py)."""

    def grant(self, token: str) -> Grant:
        """What the holder of `token` may do. Raises TokenRefused."""

    def revoked(self, grant: Grant) -> bool:
        """Whether a grant that was given before must end now, ahead of its time. Servers ask it each second."""


def lifetime(grant: Grant, wall_now: float) -> float | None:
    """For how many seconds from now a grant holds; None means for ever. `wall_now`: seconds since 1970.

    A server asks once, when it accepts a token, and counts the seconds by the monotonic clock: then a step of the
    wall clock neither ends nor prolongs what was accepted.
    """
    return None if grant.expires_at is None else max(0.0, grant.expires_at - wall_now)
