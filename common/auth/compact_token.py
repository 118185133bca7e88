"""A JWT as it is written: three parts of base64url, header, claims and signature (RFC 7515, section 7.1). Pure.

Nothing in it is believed here. There is one way to write a token: what can be written otherwise with the same
meaning, such as base64url with padding or spare bits, is refused, and so is a header that points to keys.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any

from common.auth.authentication import TokenRefused
from common.auth.strict_json import strict_object
from cottage.protocol import MAX_TOKEN_BYTES

LONGEST_TEXT = 255
"""The most characters of a name in a token, such as `sub`; OpenID Connect allows that one as many."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_HEADERS = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})
"""What a header may have. Fingerprints of certificates are not looked at. Not among them: `jku`, `jwk`, `x5u` and
`x5c`, which bring their own key, `crit` and `b64`, which change how it is read, and `cty`, for a token in a token."""
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
"""Which kinds of tokens are taken (RFC 8725, section 3.11): an issuer makes others as well, for other purposes."""


@dataclass(frozen=True, slots=True)
class CompactToken:
    algorithm: str
    """The header's `alg`, any text."""
    kid: str | None
    """Which key it says that it was signed with."""
    claims: dict[str, Any] = field(repr=False)
    signed: bytes = field(repr=False)
    """What the signature is of."""
    signature: bytes = field(repr=False)

    @classmethod
    def parse(cls, token: str) -> "CompactToken":
        """Take a token apart. Raises TokenRefused."""
        if not token:
            raise TokenRefused("missing")
        if len(token) > MAX_TOKEN_BYTES:  # a character has at least a byte, and below they have one each
            raise TokenRefused("too_long")
        if not _TOKEN.fullmatch(token):
            raise TokenRefused("bad")
        signed, _, signature = token.rpartition(".")
        head, _, body = signed.partition(".")
        try:
            header, claims = strict_object(_decoded(head)), strict_object(_decoded(body))
            _check_header(header)
            return cls(header["alg"], header.get("kid"), claims, signed.encode(), _decoded(signature))
        except ValueError:
            raise TokenRefused("bad") from None


def _decoded(part: str) -> bytes:
    try:
        decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as error:
        raise ValueError("is no base64url") from error
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != part:
        raise ValueError("is base64url with spare bits")
    return decoded


def _check_header(header: dict[str, Any]) -> None:
    kind = header.get("typ", "JWT")
    if not (
        header.keys() <= _HEADERS
        and isinstance(header.get("alg"), str)
        and ("kid" not in header or is_name(header["kid"]))
        and isinstance(kind, str)
        and kind.lower() in _TYPES
    ):
        raise ValueError("has a header that is not taken")


def is_name(value: object) -> bool:
    """Whether a value of a token may be the name of something: some printable text, without blanks around it."""
    return (
        isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT and value.isprintable() and value == value.strip()
    )
