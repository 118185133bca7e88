"""Settings of the services that clients reach, by which tokens are judged: AUTH_…"""

from typing import Annotated

from pydantic import Field

from common.auth.authentication import Authentication
from common.settings import SHORTEST_SECRET, LongSecret, ServiceSettings
from cottage.clock import Clock, SystemClock
from cottage.grant import ANYBODY, Grant


class AuthSettings(ServiceSettings):
    """Without AUTH_SECRET and AUTH_JWKS_FILE nobody is asked for a token."""

    auth_secret: LongSecret = Field(
        "",
        validation_alias="AUTH_SECRET",
        description=f"secret of at least {SHORTEST_SECRET} bytes by which tokens of clients are checked (HS256); "
        "without it and AUTH_JWKS_FILE nobody needs a token",
    )
    auth_jwks_file: str = Field(
        "",
        validation_alias="AUTH_JWKS_FILE",
        description="file of the public keys (JWKS) by which tokens are checked (EdDSA, ES256, RS256); read again "
        "when it changes",
    )
    auth_audience: str = Field(
        "cottage", validation_alias="AUTH_AUDIENCE", description="audience (`aud`) that tokens must name"
    )
    auth_max_ttl: Annotated[int, Field(ge=1, le=366 * 86_400)] = Field(
        86_400, validation_alias="AUTH_MAX_TTL", description="seconds that a token may still hold at most"
    )
    auth_deny_file: str = Field(
        "",
        validation_alias="AUTH_DENY_FILE",
        description="file of tokens that are denied before their end, a `jti` a line; read again when it changes",
    )

    def check(self) -> None:
        super().check()
        self.authentication(SystemClock())

    def authentication(self, clock: Clock, most: Grant = ANYBODY) -> Authentication | None:
        """What judges tokens; None if nobody is asked for one. `most`: the limits that no token raises. Raises
        SettingsError if a file cannot be used."""
        if not (self.auth_secret or self.auth_jwks_file):
            return None
        # With the first use: cryptography takes some MB of memory, which nobody needs who asks nobody.
        from common.auth.claims import ClaimRules
        from common.auth.deny_list import DenyList
        from common.auth.key_ring import KeyRing, secret_key
        from common.auth.verifier import TokenVerifier
        from common.auth.watched_file import WatchedFile

        keys, denied = self.auth_jwks_file, self.auth_deny_file
        return TokenVerifier(
            ClaimRules(self.auth_audience, self.auth_max_ttl, most),
            clock.time,
            secret_key(self.auth_secret) if self.auth_secret else None,
            WatchedFile(self.variable("auth_jwks_file"), keys, KeyRing.parse, clock.monotonic) if keys else None,
            DenyList(self.variable("auth_deny_file"), denied, clock.monotonic) if denied else None,
        )
