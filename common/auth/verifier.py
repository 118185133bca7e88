"""Judges tokens: signed JWTs that an issuer, or `cottage token`, gave to clients. Broadcaster and physics API use it.

HS256 is checked with AUTH_SECRET alone, the other algorithms with the keys of AUTH_JWKS_FILE alone: a public key is
never taken for a secret. Only what a good signature stands behind is told apart: all else is `bad`.
"""

from collections.abc import Callable

from prometheus_client import Counter

from common.auth.authentication import TokenRefused
from common.auth.claims import ClaimRules
from common.auth.compact_token import CompactToken
from common.auth.deny_list import DenyList
from common.auth.key_ring import PUBLIC_KEY_ALGORITHMS, KeyRing, VerificationKey
from common.auth.watched_file import WatchedFile
from cottage.grant import Grant

REFUSED = Counter("cottage_tokens_refused_total", "Tokens of clients that were refused, by reason.", ["reason"])


class TokenVerifier:
    """An Authentication (authentication.py) by keys."""

    def __init__(
        self,
        rules: ClaimRules,
        wall: Callable[[], float],
        secret: VerificationKey | None = None,
        keys: WatchedFile[KeyRing] | None = None,
        denied: DenyList | None = None,
    ) -> None:
        """`wall`: seconds since 1970. It judges new tokens; how an accepted one ends, `lifetime` says."""
        self._rules = rules
        self._wall = wall
        self._secret = secret
        self._keys = keys
        self._denied = denied

    def grant(self, token: str) -> Grant:
        """What the holder of `token` may do. Raises TokenRefused."""
        try:
            parsed = CompactToken.parse(token)
            if not self._key(parsed).signed(parsed):
                raise TokenRefused("bad")
            grant = self._rules.grant(parsed.claims, self._wall())
            if self.revoked(grant):
                raise TokenRefused("denied", grant.principal)
        except TokenRefused as refused:
            REFUSED.labels(refused.reason).inc()
            raise
        return grant

    def revoked(self, grant: Grant) -> bool:
        """Whether the token of a grant has been denied."""
        return self._denied is not None and grant.token_id in self._denied

    def _key(self, token: CompactToken) -> VerificationKey:
        if token.algorithm == "HS256":
            if self._secret is None:
                raise TokenRefused("unknown_key")
            return self._secret
        if token.algorithm not in PUBLIC_KEY_ALGORITHMS:
            raise TokenRefused("bad")
        if self._keys is None:
            raise TokenRefused("unknown_key")
        key = self._keys.content().find(token) or self._keys.content_now().find(token)
        if key is None:
            raise TokenRefused("unknown_key")
        return key
