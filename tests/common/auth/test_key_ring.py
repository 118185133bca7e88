import itertools
import json
import warnings
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from common.auth.compact_token import CompactToken
from common.auth.key_ring import KeyRing
from tests.common.auth.issuer import Issuer, key_set

ISSUER = Issuer()
GOOD = ISSUER.entry("EdDSA")


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    SHORT = {**RSAKey.generate_key(1024).as_dict(private=False), "alg": "RS256"}


def public(key: Any, **others: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **others}


def token(algorithm: str, kid: str | None = None) -> CompactToken:
    return CompactToken(algorithm, kid, {}, b"", b"")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (OctKey.generate_key(256).as_dict(), "shared secret"),
        ({"kty": "oct", "k": "c2VjcmV0", "alg": "EdDSA", "kid": "x"}, "shared secret"),
        (ISSUER.keys["ES256"].as_dict(private=True), "private key"),
        ({**ISSUER.keys["RS256"].as_dict(private=True), "alg": "RS256"}, "private key"),
        (SHORT, "less than 2048 bits"),
        (public(RSAKey.generate_key(2048)), "does not say which algorithm"),
        (ISSUER.entry("RS256", alg="EdDSA"), "no key of EdDSA"),
        (ISSUER.entry("ES256", alg="RS256"), "no key of RS256"),
        (ISSUER.entry("EdDSA", alg="ES256"), "no key of ES256"),
        (public(ECKey.generate_key("P-384"), alg="ES256"), "no key of ES256"),
        (public(OKPKey.generate_key("X25519"), alg="EdDSA"), "no key of EdDSA"),
        (public(OKPKey.generate_key("Ed448"), alg="EdDSA"), "no key of EdDSA"),
        (ISSUER.entry("ES256", x="AAAA"), "no key of ES256"),
        (ISSUER.entry("ES256", x="!!"), "no key of ES256"),
        (ISSUER.entry("EdDSA", kty="EC", alg="EdDSA"), "no key of EdDSA"),
        (ISSUER.entry("EdDSA", kid=7), "kid"),
        (ISSUER.entry("EdDSA", kid="x" * 256), "kid"),
        (ISSUER.entry("ES256", kid=ISSUER.kids["EdDSA"]), "two keys of the same kid"),
    ],
    ids=itertools.count(),
)
def test_a_file_with_a_bad_key_is_refused(entry: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        KeyRing.parse(key_set(GOOD, entry).encode())
    assert not any(str(value) in str(caught.value) for name, value in entry.items() if name in ("k", "d", "n", "x"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"keys":{}}',
        '{"keys":[]}',
        '{"keys":["x"]}',
        '{"keys":[],"keys":[]}',
        key_set(GOOD)[:-1],
        key_set(*[GOOD] * 65),
        key_set(ISSUER.entry("EdDSA", use="enc")),
        key_set(ISSUER.entry("EdDSA", alg="Ed448")),
        json.dumps(GOOD),
    ],
    ids=itertools.count(),
)
def test_what_has_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"has|is|Expecting"):
        KeyRing.parse(text.encode())


@pytest.mark.parametrize(
    "entry",
    [
        ISSUER.entry("ES256", use="enc"),
        ISSUER.entry("ES256", key_ops=["sign"]),
        ISSUER.entry("RS256", alg="RSA-OAEP"),
        ISSUER.entry("RS256", alg="PS256"),
        public(ECKey.generate_key("P-521")),
        public(OKPKey.generate_key("X25519")),
        {"kty": "future", "kid": "x"},
        {},
    ],
    ids=itertools.count(),
)
def test_keys_for_other_purposes_are_left_aside(entry: dict[str, Any]) -> None:
    ring = KeyRing.parse(key_set(GOOD, entry).encode())
    assert ring.find(token("ES256")) is None
    assert ring.find(token("RS256")) is None
    assert ring.find(token("EdDSA")) is not None


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_the_algorithm_of_a_curve_is_plain_without_alg(algorithm: str) -> None:
    ring = KeyRing.parse(key_set(ISSUER.entry(algorithm, alg=None, use="sig")).encode())
    found = ring.find(token(algorithm, ISSUER.kids[algorithm]))
    assert found is not None
    assert found.algorithm == algorithm


def test_without_kid_there_must_be_one_key_of_the_algorithm() -> None:
    entries = [ISSUER.entry("EdDSA", kid=None), ISSUER.entry("ES256"), Issuer("second").entry("ES256")]
    ring = KeyRing.parse(key_set(*entries).encode())
    assert ring.find(token("EdDSA")) is not None
    assert ring.find(token("ES256")) is None
    assert ring.find(token("ES256", "second-ES256")) is not None
    assert ring.find(token("EdDSA", "None")) is None
