"""Tokens of strangers, and key files.

The first line says which: `raw` is a token as it comes; `signed` is a header and claims, a line each, signed with
the right secret, so that claims are reached; `keys` is a key file.
"""

import random
from collections.abc import Iterable

from tests.fuzz.mutation import of_json
from tests.fuzz.target import Run, Target, Unnamed

REASONS = frozenset(["missing", "expired", "early", "denied", "unknown_key", "bad", "too_long", "two_tokens"])


def _prepare() -> Run:
    from common.auth.authentication import TokenRefused
    from common.auth.key_ring import KeyRing
    from common.auth.settings import AuthSettings
    from cottage.errors import CottageError
    from cottage.protocol import MAX_TOKEN_BYTES
    from tests.common.auth.issuer import NOW, SECRET, SetClock, b64, by_secret

    clock = SetClock(NOW)
    judge = AuthSettings.model_validate({"AUTH_SECRET": SECRET}).authentication(clock)
    assert judge is not None
    sign = by_secret()

    def run(data: bytes) -> str:
        kind, _, rest = data.partition(b"\n")
        if kind == b"keys":
            try:
                KeyRing.parse(rest)
            except (CottageError, ValueError) as error:
                return f"keys {type(error).__name__}"
            return "keys taken"
        token = rest.decode(errors="replace")
        if kind == b"signed":
            signed = ".".join(map(b64, (rest + b"\n").split(b"\n")[:2]))
            token = f"{signed}.{b64(sign(signed.encode()))}"
        try:
            grant = judge.grant(token)
        except TokenRefused as refused:
            if refused.reason not in REASONS:
                raise Unnamed(refused.reason) from refused
            return refused.reason
        if kind != b"signed" or len(token.encode()) > MAX_TOKEN_BYTES or grant.expires_at is None:
            raise Unnamed(f"a token that nobody signed is good: {token!r}")
        return "taken"

    return run


def _seeds() -> Iterable[bytes]:
    import json

    from tests.common.auth.issuer import NOW, b64, claims, hs256

    body = json.dumps(claims(NOW, symbols=["SPY", "BTC-*"], events=["AGENT_UPDATE"], iat=NOW, nbf=NOW)).encode()
    yield b'signed\n{"alg":"HS256","typ":"JWT"}\n' + body
    yield b'signed\n{"alg":"HS256","kid":"1","crit":["x"]}\n' + body
    token = hs256(claims(NOW - 10_000)).encode()
    yield b"raw\n" + token
    yield b"raw\n" + b64(b'{"alg":"none"}').encode() + b"." + b64(body).encode() + b"."
    yield b"raw\n" + b64(b'{"alg":"EdDSA","kid":"../../etc/passwd"}').encode() + token[token.index(b".") :]
    key = b'"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"'
    yield b'keys\n{"keys":[{%b}]}' % key
    yield b'keys\n{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AQAB","e":"AQAB","alg":"RS256"}]}'


def mutate(data: bytes, source: random.Random) -> bytes:
    lines = data.split(b"\n")
    if lines[0] in (b"signed", b"keys") and len(lines) > 1:
        at = source.randrange(1, len(lines))
        lines[at] = of_json(lines[at], source)
    return b"\n".join(lines)


TARGET = Target(
    name="token_parser",
    about="tokens of clients, signed or not, and key files",
    prepare=_prepare,
    seeds=_seeds,
    covered=("common.auth", "cottage.grant"),
    words=(
        *(b'"alg"', b'"none"', b'"HS256"', b'"kid"', b'"crit"', b'"jwk"', b'"exp"', b'"aud"', b'"symbols"', b'"*"'),
        *(b'"RS256"', b'"jku"', b'"b64":false', b".", b"..", b"=", b"raw\n", b"signed\n", b"keys\n"),
    ),
    mutate=mutate,
    longest=1024 * 1024 + 4096,
)
