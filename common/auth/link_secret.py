"""The secret of the link: whoever dials the bridge shows it, broadcasters and the recorder. The bridge judges it."""

import hmac
from collections.abc import Sequence

from common.auth.authentication import TokenRefused
from cottage.grant import Grant

LINK = Grant(principal="link")
"""What the suite's own processes may do: everything, without an end."""


class LinkSecret:
    """An Authentication (authentication.py) by one secret, or by two while the one is exchanged for the other."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Raises ValueError for an empty secret, which everybody knows."""
        if not secrets or not all(secrets):
            raise ValueError("a link without a secret")
        self._secrets = [secret.encode() for secret in secrets]

    def grant(self, token: str) -> Grant:
        """Everything. Raises TokenRefused. How long it takes tells neither which secret it was nor how much of it."""
        shown = token.encode(errors="surrogatepass")
        good = [hmac.compare_digest(shown, secret) for secret in self._secrets]
        if not any(good):
            raise TokenRefused("bad")
        return LINK

    def revoked(self, grant: Grant) -> bool:  # it ends with the process
        """Whether a grant that was given before must end now: never."""
        return False
