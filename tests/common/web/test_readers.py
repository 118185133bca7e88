from collections.abc import Sequence
from http import HTTPStatus
from ipaddress import ip_network

import pytest

from common.web.readers import Readers

TOKEN = "x" * 32
NETWORKS = [ip_network("10.0.0.0/25"), ip_network("2001:db8::/64")]
NOBODY, NEAR, SHOWN, BOTH = Readers(), Readers(NETWORKS), Readers((), TOKEN), Readers(NETWORKS, TOKEN)


def status(readers: Readers, peer: str, *authorization: str) -> int | None:
    headers: dict[str, Sequence[str]] = {"authorization": authorization, "x-forwarded-for": ["127.0.0.1"]}
    return readers.refusal(peer, lambda name: headers.get(name, ()))


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.0.9", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("readers", [NOBODY, NEAR, SHOWN, BOTH])
def test_loopback_always_may(readers: Readers, peer: str) -> None:
    assert status(readers, peer) is None
    assert status(readers, peer, "Bearer wrong") is None


@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.127", "2001:db8::9"])
def test_a_network_may_that_is_named(peer: str) -> None:
    assert status(NEAR, peer) is status(BOTH, peer) is None
    assert status(NOBODY, peer) is HTTPStatus.FORBIDDEN
    assert status(SHOWN, peer) is HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize("peer", ["10.0.0.128", "::ffff:10.0.1.1", "2001:db8:0:1::9", "fe80::1%eth0", "unknown", ""])
def test_others_may_not(peer: str) -> None:
    assert status(NOBODY, peer, f"Bearer {TOKEN}") is HTTPStatus.FORBIDDEN
    assert status(NEAR, peer) is HTTPStatus.FORBIDDEN
    assert status(BOTH, peer) is HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize("shown", [f"Bearer {TOKEN}", f"bearer  {TOKEN}", f" BEARER {TOKEN} "])
def test_who_shows_the_token_may(shown: str) -> None:
    assert status(SHOWN, "10.0.0.1", shown) is status(BOTH, "192.0.2.1", shown) is None


@pytest.mark.parametrize(
    "shown",
    [
        (),
        ("",),
        ("Bearer",),
        ("Bearer ",),
        (TOKEN,),
        (f"Basic {TOKEN}",),
        (f"Bearer {TOKEN}x",),
        (f"Bearer {TOKEN[1:]}",),
        (f"Bearer {TOKEN[1:]}ö",),
        (f"Bearer {TOKEN}", f"Bearer {TOKEN}"),
        (f"Bearer {TOKEN}, Bearer {TOKEN}",),
    ],
)
def test_what_is_not_the_token_helps_nobody(shown: tuple[str, ...]) -> None:
    assert status(SHOWN, "10.0.0.1", *shown) is HTTPStatus.UNAUTHORIZED
