"""The production switch: what is half-open, of one service and of all together. Pure.

With COTTAGE_ENV=production the runner starts nothing while there is a finding, and `make check-production` lists
them beforehand. Each finding is a line: the setting, what is wrong, and how to mend it. What a Redis does with
strangers is asked, in common/open_redis.py; what there is to judge is read by common/exposure.py.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv6Network

from common.exposure import SECRETS, Exposure, GuardedFile
from common.web.access import ANY
from common.web.proxies import Network

WORLD = {4: 8, 6: 16}
"""A network of a shorter prefix than this, by IP version, is nobody's own."""
PRIVATE = IPv6Network("fc00::/7")
"""But for this one, which no router of the Internet knows (RFC 4193)."""
FEWEST_CHARACTERS = 8
"""So many different characters a secret has, apart from words that everybody knows: 16 random bytes always do."""
_KNOWN = re.compile(
    "change|replace|me|please|default|pass(word|wd)?|secret|token|admin|root|user|redis|cottage|curiosity|auth|link|"
    "ops|key|strong|your|my|foobared|example|test|dev(elopment)?|prod(uction)?|letmein|welcome|qwert[yz]|"
    "abc(def(gh)?)?|123(456(7(8(90?)?)?)?)?|[^a-z0-9]"
)
_OTHERS = 0o077
_OTHERS_WRITE = 0o022
_GROUP_READS = 0o040
ROOT = 0

Rule = Callable[[Exposure], Iterator[str]]


def findings(exposed: Exposure) -> list[str]:
    """What of this service is half-open, by itself; nothing if it may start."""
    return [line for rule in RULES for line in rule(exposed)]


def findings_together(all_exposed: Iterable[Exposure]) -> list[str]:
    """What no single service can know: with AUTH_SECRET each process that checks tokens can mint them too."""
    check = [each.service for each in all_exposed if "AUTH_SECRET" in each.keys and each.clients is not None]
    if len(check) < 2:
        return []
    return [f"AUTH_SECRET: {' and '.join(check)} both check with it, so either can mint for the other: {_USE_JWKS}"]


def asks_nobody(exposed: Exposure) -> Iterator[str]:
    port = exposed.clients
    if port is not None and port.beyond and not exposed.keys:
        yield (
            f"{port.setting}: {port.host} is reached from other machines, and nobody is asked for a token: "
            "set AUTH_JWKS_FILE, or AUTH_SECRET for a desk, or listen on 127.0.0.1"
        )


def tokens_in_the_clear(exposed: Exposure) -> Iterator[str]:
    port = exposed.clients
    if port is None or not port.beyond or not exposed.keys or port.encrypted:
        return
    prefix = exposed.service.upper()
    if any(map(_is_world, exposed.proxies)):
        yield f"{prefix}_TRUSTED_PROXIES: a network of everybody names no proxy: name the proxy's own address"
    elif not exposed.proxies:
        yield (
            f"{port.setting}: tokens come to {port.host} without TLS: set {prefix}_TLS_CERT_FILE and "
            f"{prefix}_TLS_KEY_FILE, or name the proxy that ends TLS in {prefix}_TRUSTED_PROXIES"
        )
    elif all(network.is_loopback for network in exposed.proxies):
        yield (
            f"{port.setting}: the proxies in {prefix}_TRUSTED_PROXIES are on this machine, and others reach "
            f"{port.host} past them without TLS: listen on 127.0.0.1"
        )


def link_for_anybody(exposed: Exposure) -> Iterator[str]:
    if exposed.link is not None and "LINK_SECRET" not in exposed.secrets:
        yield (
            "LINK_SECRET: the link to the bridge has no secret, so whoever reaches it has all states: set the same "
            "LINK_SECRET_FILE for the bridge and for whoever dials it"
        )


def link_in_the_clear(exposed: Exposure) -> Iterator[str]:
    link = exposed.link
    if link is None or link.encrypted or not link.beyond:
        return
    mend = (
        "write wss://, and LINK_CA_FILE for a CA of your own"
        if link.dials
        else "set BRIDGE_TLS_CERT_FILE and BRIDGE_TLS_KEY_FILE"
    )
    yield f"{link.setting}: the link goes between hosts without TLS: {mend}, or keep both ends on 127.0.0.1"


def weak_secrets(exposed: Exposure) -> Iterator[str]:
    for setting, secret in exposed.secrets.items():
        least = SECRETS.get(setting, SECRETS["REDIS_PASSWORD"])
        size = f"set one of {least} random bytes or more, such as `openssl rand -hex 32` writes"
        if len(secret.encode()) < least:
            yield f"{setting}: its secret is shorter than {least} bytes: {size}"
        elif len(set(_KNOWN.sub("", secret.lower()))) < FEWEST_CHARACTERS:
            yield f"{setting}: its secret is one that others would try: {size}"


def open_files(exposed: Exposure) -> Iterator[str]:
    for each in exposed.files:
        if each.owner not in (exposed.uid, ROOT):
            yield f"{each.setting}: {each.path} belongs to another user, {each.owner}, who can change it: chown it"
        elif forbidden := each.mode & _forbidden(each, exposed.uid):
            does = "write" if forbidden & _OTHERS_WRITE else "read"
            # Where root owns it for a service that is not root, only its group can read it.
            fix = "600" if each.owner == exposed.uid else "640"
            yield f"{each.setting}: others can {does} {each.path}: chmod {fix if each.private else '644'} it"
        elif each.open_folder:
            yield (
                f"{each.setting}: everybody can put another file in place of {each.path}: "
                f"chmod o-w {each.open_folder}"
            )


def _forbidden(file: GuardedFile, uid: int) -> int:
    if not file.private:
        return _OTHERS_WRITE
    return _OTHERS & ~_GROUP_READS if file.owner == ROOT != uid else _OTHERS


def mint_and_check(exposed: Exposure) -> Iterator[str]:
    if set(exposed.keys) >= {"AUTH_SECRET", "AUTH_JWKS_FILE"}:
        yield (
            "AUTH_SECRET: it stands beside AUTH_JWKS_FILE, so whoever has it mints tokens as good as those of your "
            "keys: leave AUTH_SECRET out"
        )
    elif "AUTH_SECRET" in exposed.keys and exposed.shares_port:
        yield (
            f"AUTH_SECRET: {exposed.service.upper()}_SHARE_PORT says that several processes check with it, and each "
            f"of them can mint: {_USE_JWKS}"
        )


_USE_JWKS = "use AUTH_JWKS_FILE, whose public keys mint nothing"


def lists_of_all(exposed: Exposure) -> Iterator[str]:
    for setting, listed in exposed.lists.items():
        if ANY in listed:
            what = "origins, such as https://desk.example" if "ORIGIN" in setting else "names of this service"
            yield f"{setting}: * lets any web page in: list the {what}"


def simulated(exposed: Exposure) -> Iterator[str]:
    if exposed.market_source == "simulate":
        yield (
            "MARKET_SOURCE: simulate writes invented prices: leave the market service out and let your own feed "
            "write, or set MARKET_SOURCE=replay"
        )


def open_ops(exposed: Exposure) -> Iterator[str]:
    port = exposed.ops
    if port is None or not port.beyond:
        return
    if any(map(_is_world, exposed.ops_allow)):
        yield "OPS_ALLOW: it lets the whole world in: list the networks of those that read the ops port"
    elif not exposed.ops_allow and not exposed.ops_token:
        yield (
            f"{port.setting}: {port.host} is reached from other machines, and nothing says who may read the ops "
            "port: set OPS_ALLOW or OPS_TOKEN_FILE, or listen on 127.0.0.1"
        )


def as_root(exposed: Exposure) -> Iterator[str]:
    if exposed.uid == ROOT:
        yield "it runs as root: run it as a user of its own (deploy/host has units, the image has user 10001)"


RULES: tuple[Rule, ...] = (
    asks_nobody,
    tokens_in_the_clear,
    link_for_anybody,
    link_in_the_clear,
    weak_secrets,
    open_files,
    mint_and_check,
    lists_of_all,
    simulated,
    open_ops,
    as_root,
)


def _is_world(network: Network) -> bool:
    if isinstance(network, IPv6Network) and network.subnet_of(PRIVATE):
        return False
    return network.prefixlen < WORLD[network.version]
