"""`cottage token`: mints a token for development, or for a desk of a few people. It needs joserfc.

The token goes to stdout alone, so that it can go into a variable; what it allows goes to stderr. Whoever has the
secret can mint for everybody: where more people are served, an issuer of their own signs with a private key.
"""

import os
import sys
import time
import uuid
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from cottage.clock import iso_millis
from cottage.errors import MissingExtra, SettingsError
from cottage.events import TOPICS
from cottage.grant import MAX_PATTERNS, SymbolPatterns
from cottage.protocol import MAX_TOKEN_BYTES
from cottage.record.history_span import duration
from cottage.secret_values import secret_of

SECRET = "AUTH_SECRET"
SHORTEST_SECRET = 32


def print_token(given: Namespace) -> None:
    """Mint a token and print it. Raises SettingsError, InvalidName and MissingExtra."""
    environment = {f"{SECRET}_FILE": given.secret_file} if given.secret_file else os.environ
    now = time.time()
    claims = _claims(given, now)
    token = _signed(claims, _secret(environment))
    if len(token) > MAX_TOKEN_BYTES:
        raise SettingsError(f"the token has {len(token):,} bytes, and servers take {MAX_TOKEN_BYTES:,}: use prefixes")
    print(
        f"cottage: a token for {claims['sub']}: symbols {','.join(claims['symbols']) or 'none'}; events "
        f"{','.join(claims['events']) or 'none'}; until {iso_millis(claims['exp'])}; jti {claims['jti']}",
        file=sys.stderr,
    )
    print(token)


def _claims(given: Namespace, now: float) -> dict[str, Any]:
    patterns = SymbolPatterns.parse(_parts(given.token_symbols)).written()
    if len(patterns) > MAX_PATTERNS:
        raise SettingsError(f"--symbols: a token names at most {MAX_PATTERNS} symbols and prefixes")
    events = _parts(given.events)
    for name in events:
        if name not in TOPICS:
            raise SettingsError(f"--events: no event {name[:40]!r}; there are {', '.join(TOPICS)}")
    return {
        "sub": given.sub,
        "aud": given.audience,
        "iat": int(now),
        "exp": int(now) + max(1, duration(given.ttl, "--ttl") // 1_000_000),
        "jti": uuid.uuid4().hex,
        "symbols": patterns,
        "events": events,
    }


def _parts(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _secret(environment: Mapping[str, str]) -> bytes:
    secret = secret_of(environment, SECRET)
    if secret is None:
        raise SettingsError(f"the servers' {SECRET} is needed: in the environment, in {SECRET}_FILE or --secret-file")
    if len(secret.encode()) < SHORTEST_SECRET:
        raise SettingsError(f"{SECRET}: must have {SHORTEST_SECRET} bytes or more")
    return secret.encode()


def _signed(claims: Mapping[str, Any], secret: bytes) -> str:
    try:
        from joserfc import jwt
        from joserfc.jwk import OctKey
    except ImportError as error:
        raise MissingExtra("a token needs joserfc: pip install 'curiosity-cottage[tokens]'") from error
    return jwt.encode({"alg": "HS256", "typ": "JWT"}, dict(claims), OctKey.import_key(secret))
