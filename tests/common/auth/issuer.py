"""An issuer of tokens for tests: its keys, its key file, and tokens as good or as bad as a test wants them."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from cottage.clock import SystemClock

SECRET = "a secret of at least thirty-two bytes, for tests"
NOW = 1_766_318_400.0


class SetClock(SystemClock):
    """A clock that a test sets: the wall's, and the monotonic one."""

    def __init__(self, wall: float = NOW) -> None:
        self.wall = wall
        self.ticks = 0.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(now: float | None = None, **others: Any) -> dict[str, Any]:
    """Good claims; what is given as None is left out."""
    at = time.time() if now is None else now
    usual = {"sub": "me", "aud": "cottage", "exp": int(at) + 600, "jti": "one", "symbols": ["*"]}
    return {name: value for name, value in {**usual, **others}.items() if value is not None}


def compact(header: Any, body: Any, sign: Any) -> str:
    """A token of a header and claims, which are JSON values or bytes; `sign` makes the signature."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, body)]
    signed = ".".join(map(b64, parts))
    return f"{signed}.{b64(sign(signed.encode()))}"


def by_secret(secret: str | bytes = SECRET) -> Any:
    key = secret.encode() if isinstance(secret, str) else secret
    return lambda signed: hmac.new(key, signed, hashlib.sha256).digest()


def hs256(body: Any | None = None, secret: str | bytes = SECRET, **header: Any) -> str:
    return compact({"alg": "HS256", "typ": "JWT", **header}, claims() if body is None else body, by_secret(secret))


class Issuer:
    """One that has a key of each algorithm: `EdDSA`, `ES256` and `RS256`."""

    def __init__(self, prefix: str = "first") -> None:
        self.keys: dict[str, Any] = {
            "EdDSA": OKPKey.generate_key("Ed25519"),
            "ES256": ECKey.generate_key("P-256"),
            "RS256": RSAKey.generate_key(2048),
        }
        self.kids = {name: f"{prefix}-{name}" for name in self.keys}

    def entry(self, algorithm: str, **others: Any) -> dict[str, Any]:
        """The public key as an entry of a key file; what is given as None is left out."""
        public = {**self.keys[algorithm].as_dict(private=False), "kid": self.kids[algorithm], "alg": algorithm}
        return {name: value for name, value in {**public, **others}.items() if value is not None}

    def file(self, path: Path, *algorithms: str) -> Path:
        path.write_text(key_set(*(self.entry(each) for each in algorithms or self.keys)))
        return path

    def sign(self, algorithm: str) -> Any:
        return lambda signed: JWSRegistry.algorithms[algorithm].sign(signed, self.keys[algorithm])

    def token(self, algorithm: str = "EdDSA", body: Any | None = None, **header: Any) -> str:
        head = {"alg": algorithm, "kid": self.kids[algorithm], **header}
        head = {name: value for name, value in head.items() if value is not None}
        return compact(head, claims() if body is None else body, self.sign(algorithm))


def key_set(*entries: dict[str, Any]) -> str:
    return json.dumps({"keys": list(entries)})
