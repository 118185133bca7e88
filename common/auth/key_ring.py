"""The public keys by which tokens are checked, from a file with a JSON Web Key Set (RFC 7517). Pure.

Each key is for one algorithm, which its entry's `alg` names: EdDSA with Ed25519, ES256, or RS256 with at least 2,048
bits. Without `alg` a key of Ed25519 is for EdDSA and one of P-256 for ES256; an RSA key could be for several, so its
entry must say it. Keys for other purposes (`use`, `key_ops`) and of other algorithms are left aside.

A token names its key by `kid`. One without `kid` is checked by the one key there is for its algorithm, if it is one.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from common.auth.compact_token import CompactToken, is_name
from common.auth.strict_json import strict_object

SHORTEST_RSA = 2048
MOST_KEYS = 64
PUBLIC_KEY_ALGORITHMS = ("EdDSA", "ES256", "RS256")

_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_OF_CURVE = {("OKP", "Ed25519"): "EdDSA", ("EC", "P-256"): "ES256"}


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, and the one algorithm that it is for."""

    algorithm: str
    key: Any
    """As joserfc has it. Its own comparison of two MACs takes as long wherever they differ (hmac.compare_digest)."""
    kid: str | None = None

    def signed(self, token: CompactToken) -> bool:
        """Whether the token was signed with this key, by its algorithm."""
        if token.algorithm != self.algorithm:
            return False
        try:
            return JWSRegistry.algorithms[self.algorithm].verify(token.signed, token.signature, self.key)
        except (JoseError, ValueError):
            return False


def secret_key(secret: str) -> VerificationKey:
    """The key of HS256, from AUTH_SECRET."""
    return VerificationKey("HS256", OctKey.import_key(secret.encode()))


class KeyRing:
    """The keys of a file."""

    def __init__(self, keys: Iterable[VerificationKey]) -> None:
        self._keys = tuple(keys)
        self._named = {key.kid: key for key in self._keys if key.kid is not None}
        if len(self._named) < sum(key.kid is not None for key in self._keys):
            raise ValueError("has two keys of the same kid")

    @classmethod
    def parse(cls, text: bytes) -> "KeyRing":
        """The keys in a JSON Web Key Set. Raises ValueError, also if none can be used, and for a key that others
        must not have: `oct`, which is a shared secret, and private ones."""
        entries = strict_object(text).get("keys")
        if not (isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)):
            raise ValueError("has no list `keys` of objects")
        if len(entries) > MOST_KEYS:
            raise ValueError(f"has more than {MOST_KEYS} keys")
        found = [_key(entry, f"key {number}") for number, entry in enumerate(entries, 1)]
        keys = [key for key in found if key is not None]
        if not keys:
            raise ValueError(f"has no key of {', '.join(PUBLIC_KEY_ALGORITHMS)}")
        return cls(keys)

    def find(self, token: CompactToken) -> VerificationKey | None:
        """The key that the token says it was signed with; None if it is not here."""
        if token.kid is not None:
            return self._named.get(token.kid)
        fitting = [key for key in self._keys if key.algorithm == token.algorithm]
        return fitting[0] if len(fitting) == 1 else None


def _key(entry: dict[str, Any], what: str) -> VerificationKey | None:
    """A key of the file; None if it is for something else. Raises ValueError, whose text shows nothing of the key."""
    kind, kid = entry.get("kty"), entry.get("kid")
    if kind == "oct":
        raise ValueError(f"{what} is a shared secret (oct), which no file of public keys has")
    if entry.keys() & _PRIVATE:
        raise ValueError(f"{what} is a private key: only its public half belongs here")
    if kid is not None and not is_name(kid):
        raise ValueError(f"{what} has a kid that is no short text")
    algorithm = _algorithm(entry, what)
    if algorithm is None or not _is_for_signatures(entry):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of joserfc, about keys that are too short: they are refused below
            key = JWKRegistry.import_key(entry)
        _check(key, algorithm, what)
    except (JoseError, ValueError, TypeError) as error:
        if isinstance(error, ValueError) and str(error).startswith(what):
            raise
        raise ValueError(f"{what} is no key of {algorithm}") from None
    return VerificationKey(algorithm, key, kid)


def _algorithm(entry: dict[str, Any], what: str) -> str | None:
    """The algorithm of a key; None if that is none of ours."""
    named = entry.get("alg")
    if named is None:
        if entry.get("kty") == "RSA":
            raise ValueError(f'{what} does not say which algorithm it is for, such as "alg": "RS256"')
        curve = entry.get("crv")
        return _OF_CURVE.get((str(entry.get("kty")), curve)) if isinstance(curve, str) else None
    return named if named in PUBLIC_KEY_ALGORITHMS else None


def _is_for_signatures(entry: dict[str, Any]) -> bool:
    uses, operations = entry.get("use", "sig"), entry.get("key_ops", ["verify"])
    return uses == "sig" and isinstance(operations, list) and "verify" in operations


def _check(key: object, algorithm: str, what: str) -> None:
    """Raise ValueError if the key is none of the algorithm."""
    if algorithm == "RS256" and isinstance(key, RSAKey):
        if key.public_key.key_size < SHORTEST_RSA:
            raise ValueError(f"{what} has less than {SHORTEST_RSA} bits")
    elif not (
        (algorithm == "ES256" and isinstance(key, ECKey) and key.curve_name == "P-256")
        or (algorithm == "EdDSA" and isinstance(key, OKPKey) and key.curve_name == "Ed25519")
    ):
        raise ValueError(f"{what} is no key of {algorithm}")
