"""What a process shows to the bridge: the secret of the link, or after a refusal the former one. Broadcaster and
recorder have one."""

from collections.abc import Sequence

from common import logs
from cottage.client.dial import refused_token
from cottage.urls import redacted

log = logs.get_logger()


class LinkToken:
    def __init__(self, url: str, secrets: Sequence[str]) -> None:
        self._url = url
        self._secrets = list(secrets) or [""]
        self._said = False
        """Whether the refusals since the last connection were logged."""

    @property
    def shown(self) -> str:
        """What the next handshake shows; empty for nothing."""
        return self._secrets[0]

    def accepted(self) -> None:
        """The bridge has sent something."""
        self._said = False

    def lost(self, error: Exception) -> None:
        """A connection was not made, or has ended. If the secret is why, the other one is tried next."""
        reason = refused_token(error)
        if reason is None:
            return
        if not self._said:
            self._said = True
            others = len(self._secrets) - 1
            note = "set the LINK_SECRET that the bridge has" + ("; the other one is tried now" if others else "")
            log.warning("link_secret_refused", url=redacted(self._url), reason=reason, others=others, note=note)
        self._secrets.append(self._secrets.pop(0))
