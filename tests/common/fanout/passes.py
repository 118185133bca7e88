"""Tokens for the tests of the fan-out: words that an Authentication knows, so that nothing is signed."""

from dataclasses import replace

from common.auth.authentication import TokenRefused
from cottage.grant import Grant, SymbolPatterns


def grant(*patterns: str, principal: str = "ann", events: tuple[str, ...] = (), **more: object) -> Grant:
    """What a token with these patterns allows."""
    return replace(
        Grant(principal, SymbolPatterns.parse(patterns), frozenset(events), token_id=f"{principal}-1"),
        **more,  # type: ignore[arg-type]
    )


class Passes:
    """An Authentication that knows some words. All others are `bad`."""

    def __init__(self, **known: Grant | str) -> None:
        """`known`: what each word allows, or why it is refused."""
        self.known = known
        self.denied: set[str] = set()
        self.asked: list[str] = []

    def grant(self, token: str) -> Grant:
        self.asked.append(token)
        found = self.known.get(token, "bad")
        if isinstance(found, str):
            raise TokenRefused(found)
        return found

    def revoked(self, grant: Grant) -> bool:
        return grant.token_id in self.denied
