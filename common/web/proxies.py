"""What trusted reverse proxies say of a request: its client's address, and the host that the client asked.

Read are X-Forwarded-For, X-Forwarded-Host and Forwarded (RFC 7239), from trusted peers alone: everybody else writes
into them what they like. What is malformed is ignored. Pure.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from common.web.names import Authority, parse_address, parse_authority

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Header = Callable[[str], Sequence[str]]
"""Returns all values of a header, by its name in lower case."""

MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4 addresses as IPv6 writes them. Peers are compared by their IPv4 addresses."""

_PAIR = r"""[!#$%&'*+.^_`|~0-9A-Za-z-]+=(?:[^\s",;=]+|"(?:[^"\\]|\\.)*")"""
_ELEMENT = re.compile(rf"{_PAIR}(?:\s*;\s*{_PAIR})*")
_NAMED = re.compile(r"""([^\s;=]+)=("(?:[^"\\]|\\.)*"|[^\s",;=]+)""")


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Where a request came from. Without a trusted proxy that is its TCP peer, and nothing is known of the rest."""

    client: str
    """The client's address, without a port."""
    host: Authority | None = None
    """The host that the client asked."""


class TrustedProxies:
    """The reverse proxies that are believed."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)

    def forwarded(self, peer: str, header: Header) -> Forwarded:
        """Where a request came from that came over a connection of `peer`."""
        if not self.trusts(peer):
            return Forwarded(peer)
        # A proxy sets one of the two, and may hand the other through as the client wrote it. Where they disagree,
        # neither is known to be the proxy's.
        elements = _elements(header("forwarded"))
        newer = self._client([element.get("for", "") for element in elements])
        older = self._client(_values(header("x-forwarded-for")))
        client = newer if older is None or older == newer else older if newer is None else None
        last = elements[-1] if elements else {}
        host = parse_authority(_last(header("x-forwarded-host")) or last.get("host", ""))
        return Forwarded(peer if client is None else str(client), host)

    def trusts(self, peer: str) -> bool:
        """Whether the address is a trusted proxy's."""
        return bool(self._networks) and self._trusted(_address(peer))

    def _client(self, chain: Sequence[str]) -> Address | None:
        """The right-most address that is no trusted proxy's: what is left of it, the client may have made up. If all
        are trusted, the left-most. None if a trusted proxy named no address."""
        client = None
        for text in reversed(chain):
            address = _address(text)
            if address is None:
                return client
            client = address
            if not self._trusted(address):
                break
        return client

    def _trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> Address | None:
    """An address with or without a port; an IPv4 address within an IPv6 one is taken out."""
    authority = None if parse_address(text) else parse_authority(text)
    address = parse_address(text) if authority is None else authority.address
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _values(lines: Iterable[str]) -> list[str]:
    return [part.strip() for line in lines for part in line.split(",")]


def _last(lines: Sequence[str]) -> str:
    return _values(lines)[-1] if lines else ""


def _elements(lines: Sequence[str]) -> list[dict[str, str]]:
    """The elements of Forwarded, one for each proxy; none if any of it is malformed."""
    elements = []
    for part in re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', ",".join(lines)):
        if part.strip() and not _ELEMENT.fullmatch(part.strip()):
            return []
        pairs = _NAMED.findall(part)
        elements.append({name.lower(): re.sub(r"\\(.)", r"\1", value.strip('"')) for name, value in pairs})
    return elements


def as_ipv4(network: Network) -> Network:
    """The IPv4 network that an IPv6 one writes, such as ::ffff:10.0.0.0/104; any other one as it is."""
    if not isinstance(network, IPv6Network) or not network.subnet_of(MAPPED):
        return network
    return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - MAPPED.prefixlen))


def block(address: str) -> str:
    """What counts as one address: for IPv6 its /64 network, since whoever has one address of it has all of them."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> 64 << 64))
