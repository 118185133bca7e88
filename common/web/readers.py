"""Who may read a port that is not for everybody, as the ops ports: this machine, some networks, who has a token.

What counts is the address of the TCP connection; what a proxy says of its client does not.
"""

import hmac
from collections.abc import Iterable
from http import HTTPStatus

from common.web.names import parse_address
from common.web.proxies import Header, Network

SCHEME = "bearer"


class Readers:
    """Decides who may read. Programs on this machine always may, by its loopback addresses."""

    def __init__(self, networks: Iterable[Network] = (), token: str = "") -> None:
        """`networks`: whose addresses may. `token`: who shows it as `Authorization: Bearer` may; empty: nobody."""
        self._networks = tuple(networks)
        self._token = token.encode()

    def refusal(self, peer: str, header: Header) -> HTTPStatus | None:
        """401 where a token would help, 403 where nothing does; None if they may."""
        if self._is_near(peer) or self._has_token(list(header("authorization"))):
            return None
        return HTTPStatus.UNAUTHORIZED if self._token else HTTPStatus.FORBIDDEN

    def _is_near(self, peer: str) -> bool:
        address = parse_address(peer)
        address = getattr(address, "ipv4_mapped", None) or address
        return address is not None and (address.is_loopback or any(address in each for each in self._networks))

    def _has_token(self, shown: list[str]) -> bool:
        if not self._token or len(shown) != 1:
            return False
        scheme, _, token = shown[0].strip().partition(" ")
        # In constant time: what is compared may not be guessed byte by byte.
        return scheme.lower() == SCHEME and hmac.compare_digest(token.strip().encode(), self._token)
