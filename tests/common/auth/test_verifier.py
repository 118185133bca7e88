import itertools
import json
import warnings
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.auth.authentication import Authentication, TokenRefused, lifetime
from common.auth.settings import AuthSettings
from cottage.grant import EVERY_SYMBOL, NO_SYMBOL, Grant
from cottage.protocol import MAX_TOKEN_BYTES
from tests.common.auth.issuer import NOW, SECRET, Issuer, SetClock, b64, by_secret, claims, compact, hs256, key_set

ISSUER = Issuer()
ALGORITHMS = ("EdDSA", "ES256", "RS256")


def verifier(clock: SetClock | None = None, most: Grant | None = None, **settings: Any) -> Authentication:
    given = {f"AUTH_{name.upper()}": str(value) for name, value in settings.items()}
    found = AuthSettings.model_validate(given).authentication(clock or SetClock(), most or Grant())
    assert found is not None
    return found


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return ISSUER.file(tmp_path / "jwks.json")


def refused(judge: Authentication, token: str) -> str:
    with pytest.raises(TokenRefused) as caught:
        judge.grant(token)
    return caught.value.reason


def test_without_keys_nobody_is_asked() -> None:
    assert AuthSettings.model_validate({"AUTH_AUDIENCE": "x"}).authentication(SetClock()) is None


def test_a_token_states_what_its_holder_may_do() -> None:
    body = claims(NOW, symbols=["SPY", "BTC-*"], events=["AGENT_UPDATE", "OF_TOMORROW"], iat=NOW, nbf=NOW)
    grant = verifier(secret=SECRET).grant(hs256(body))
    assert (grant.principal, grant.token_id, grant.expires_at) == ("me", "one", NOW + 600)
    assert grant.symbols.written() == ["BTC-*", "SPY"]
    assert grant.events == frozenset({"AGENT_UPDATE"})
    assert isinstance(hash(grant), int), "groups are looked up by parts of it"


def test_what_a_token_does_not_name_it_does_not_allow() -> None:
    grant = verifier(secret=SECRET).grant(hs256(claims(NOW, symbols=None)))
    assert grant.symbols == NO_SYMBOL
    assert grant.events == frozenset()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_is_checked_with_its_key(keys: Path, algorithm: str) -> None:
    judge = verifier(jwks_file=keys)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert judge.grant(ISSUER.token(algorithm, claims(NOW))).symbols == EVERY_SYMBOL
        assert judge.grant(ISSUER.token(algorithm, claims(NOW), kid=None)).principal == "me"
    assert refused(judge, Issuer().token(algorithm, claims(NOW))) == "bad"


def test_a_public_key_is_never_taken_for_a_secret(keys: Path) -> None:
    """Key confusion: HS256 with what everybody can read of an RSA key."""
    judges = [verifier(jwks_file=keys), verifier(jwks_file=keys, secret=SECRET)]
    public = ISSUER.keys["RS256"]
    forms = [public.as_pem(private=False), keys.read_bytes(), json.dumps(ISSUER.entry("RS256")).encode()]
    for form in forms:
        for header in ({"alg": "HS256"}, {"alg": "HS256", "kid": ISSUER.kids["RS256"]}):
            token = compact(header, claims(NOW), by_secret(form))
            assert {refused(judge, token) for judge in judges} <= {"unknown_key", "bad"}
            token = compact({**header, "alg": "RS256"}, claims(NOW), by_secret(form))
            assert {refused(judge, token) for judge in judges} <= {"unknown_key", "bad"}


def test_the_secret_checks_no_other_algorithm(keys: Path) -> None:
    judge = verifier(secret=SECRET)
    for algorithm in ALGORITHMS:
        assert refused(judge, compact({"alg": algorithm}, claims(NOW), by_secret())) == "unknown_key"
    assert refused(verifier(secret=SECRET, jwks_file=keys), ISSUER.token("RS256", claims(NOW), alg="ES256")) == "bad"


def test_a_key_checks_the_algorithm_alone_that_its_entry_names(keys: Path) -> None:
    judge = verifier(jwks_file=keys)
    for of in ALGORITHMS:
        for named in ALGORITHMS:
            if of != named:
                token = ISSUER.token(of, claims(NOW), alg=named)
                assert refused(judge, token) == "bad"


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "nOnE", "", "HS384", "HS512", "PS256", "ES384", "RS512", "dir"]
)
def test_other_algorithms_are_refused(keys: Path, algorithm: str) -> None:
    judge = verifier(jwks_file=keys, secret=SECRET)
    for sign in (by_secret(), lambda _signed: b"\0", ISSUER.sign("RS256")):
        assert refused(judge, compact({"alg": algorithm}, claims(NOW), sign)) == "bad"
    unsigned = hs256(claims(NOW)).rpartition(".")[0]
    for token in (unsigned, f"{unsigned}.", f"{b64(b'{}')}.{unsigned}"):
        assert refused(judge, token) == "bad"


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://evil.example/jwks.json"},
        {"jwk": Issuer().entry("ES256")},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False},
        {"b64": True},
        {"cty": "JWT"},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"typ": "logout+jwt"},
        {"typ": 1},
        {"alg": ["HS256"]},
        {"alg": None},
        {"kid": 7},
        {"kid": ""},
        {"kid": "x" * 256},
        {"kid": "a\nb"},
        {"kid": ["first-EdDSA"]},
        {"kid": {"$ne": None}},
    ],
    ids=itertools.count(),
)
def test_headers_that_bring_keys_or_change_the_meaning_are_refused(header: dict[str, Any], keys: Path) -> None:
    judge = verifier(secret=SECRET, jwks_file=keys)
    assert refused(judge, compact({"alg": "HS256", **header}, claims(NOW), by_secret())) == "bad"
    usual = {"alg": "EdDSA", "kid": ISSUER.kids["EdDSA"]}
    assert refused(judge, compact({**usual, **header}, claims(NOW), ISSUER.sign("EdDSA"))) == "bad"


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt"])
def test_kinds_of_tokens_that_are_taken(typ: str) -> None:
    assert verifier(secret=SECRET).grant(hs256(claims(NOW), typ=typ)).principal == "me"


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "first-eddsa", "0", "\u0130", "first-EdDSA\u200b"])
def test_an_unknown_kid_is_no_key(keys: Path, kid: str) -> None:
    assert refused(verifier(jwks_file=keys), ISSUER.token(body=claims(NOW), kid=kid)) in ("unknown_key", "bad")


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "a.b.c.d.e",
        " " + hs256(claims(NOW)),
        hs256(claims(NOW)) + "=",
        hs256(claims(NOW)) + "\n",
        hs256(claims(NOW)).replace("_", "/").replace("-", "+") + "+",
        "é" + hs256(claims(NOW)),
        "\udcff.\udcff.\udcff",
        compact(b'{"alg":"HS256","alg":"HS256"}', claims(NOW), by_secret()),
        compact({"alg": "HS256"}, b'{"sub":"me","sub":"root"}', by_secret()),
        compact({"alg": "HS256"}, json.dumps(claims(NOW)).encode("utf-16"), by_secret()),
        compact({"alg": "HS256"}, b"\xef\xbb\xbf" + json.dumps(claims(NOW)).encode(), by_secret()),
        compact({"alg": "HS256"}, b"[" * 2000, by_secret()),
        compact({"alg": "HS256"}, b'{"a":' * 500, by_secret()),
        compact({"alg": "HS256"}, [claims(NOW)], by_secret()),
        compact({"alg": "HS256"}, b'{"exp":NaN}', by_secret()),
        compact(["HS256"], claims(NOW), by_secret()),
        compact(b"null", claims(NOW), by_secret()),
        compact({"alg": "HS256"}, hs256(claims(NOW)).encode(), by_secret()),  # nested
    ],
    ids=itertools.count(),
)
def test_what_is_no_token_is_refused(token: str) -> None:
    assert refused(verifier(secret=SECRET), token) == ("missing" if token == "" else "bad")


def test_there_is_one_way_to_write_a_token() -> None:
    """The last character of base64url may have spare bits, which say nothing."""
    token = hs256(claims(NOW))
    judge = verifier(secret=SECRET)
    judge.grant(token)
    for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        if last != token[-1]:
            assert refused(judge, token[:-1] + last) == "bad"


def test_a_megabyte_of_claims_is_measured_before_anything_is_read() -> None:
    judge = verifier(secret=SECRET)
    assert refused(judge, hs256(claims(NOW, more="x" * 1_000_000))) == "too_long"
    room = MAX_TOKEN_BYTES - len(hs256(claims(NOW, more="")))
    fits = hs256(claims(NOW, more="x" * (room * 3 // 4 - 3)))
    assert MAX_TOKEN_BYTES - 8 < len(fits) <= MAX_TOKEN_BYTES
    assert judge.grant(fits).principal == "me"
    assert refused(judge, "é" * (MAX_TOKEN_BYTES + 1)) == "too_long"
    assert refused(judge, fits + "A" * 8) == "too_long"


NOT_TAKEN: list[tuple[str, str, list[Any]]] = [
    ("sub", "bad", [None, "", 7, True, ["me"], "x" * 256, "a\nb", "\u202e", "\ud800", " me"]),
    ("jti", "bad", [None, "", 7, ["one"], "x" * 256, "a\tb", "one "]),
    ("aud", "bad", [None, "other", "Cottage", "", 7, {}, [], ["x"], ["cottage", 7], [["x"]]]),
    ("exp", "bad", [None, NOW + 1.5, NOW + 600.0, True, str(NOW), [NOW], {}, 10**300, 1e999]),
    ("exp", "bad", [int(NOW) + 86_401, int(NOW) + 10**6]),
    ("exp", "expired", [int(NOW), int(NOW) - 1, -(10**9), -(10**300)]),
    ("nbf", "early", [int(NOW) + 31]),
    ("iat", "early", [int(NOW) + 31]),
    ("iat", "bad", ["0", True, [], 1e999]),
    ("nbf", "bad", ["0", True, [], 1e999]),
    ("symbols", "bad", ["SPY", {}, 7, [7], ["spy"], ["*A"], ["A*B"], [[]], ["S"] * 257]),
    ("events", "bad", ["AGENT_UPDATE", [7], {}, ["A"] * 257]),
    ("max_symbols", "bad", [0, -1, 1.5, "7", True, 10**10]),
    ("requests_per_second", "bad", [0, -1, "7", True, 1e999, 10**300]),
    ("bytes_per_second", "bad", [0, -0.5, [], False]),
]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [(name, value, reason) for name, reason, values in NOT_TAKEN for value in values],
    ids=itertools.count(),
)
def test_claims_that_are_not_taken(name: str, value: Any, reason: str) -> None:
    assert refused(verifier(secret=SECRET), hs256(claims(NOW, **{name: value}))) == reason
    assert refused(verifier(secret=SECRET), hs256({**claims(NOW), name: None})) == "bad"


@pytest.mark.parametrize(
    "change",
    [
        {"aud": ["other", "cottage"]},
        {"exp": int(NOW) + 86_400},
        {"exp": int(NOW) + 1},
        {"nbf": int(NOW) + 30},
        {"iat": NOW + 29.5},
        {"nbf": -1, "iat": 0},
        {"symbols": [f"S{number}" for number in range(256)]},
        {"symbols": []},
        {"iss": "anybody", "scope": {"deep": [1.5]}},
        {"sub": "Zoë O'Neil <z@example.com>"},
    ],
)
def test_claims_that_are_taken(change: dict[str, Any]) -> None:
    verifier(secret=SECRET).grant(hs256({**claims(NOW), **change}))


def test_the_audience_and_the_longest_time_are_settings() -> None:
    judge = verifier(secret=SECRET, audience="desk", max_ttl=60)
    judge.grant(hs256(claims(NOW, aud="desk", exp=int(NOW) + 60)))
    assert refused(judge, hs256(claims(NOW, aud="desk", exp=int(NOW) + 61))) == "bad"
    assert refused(judge, hs256(claims(NOW, exp=int(NOW) + 60))) == "bad"


def test_limits_of_a_token_only_lower_the_servers() -> None:
    most = Grant(max_symbols=100, requests_per_second=10, bytes_per_second=0)
    judge = verifier(most=most, secret=SECRET)
    usual = judge.grant(hs256(claims(NOW)))
    assert (usual.max_symbols, usual.requests_per_second, usual.bytes_per_second) == (100, 10, 0)
    asked = {"max_symbols": 1000, "requests_per_second": 1000, "bytes_per_second": 1000}
    wide = judge.grant(hs256(claims(NOW, **asked)))
    assert (wide.max_symbols, wide.requests_per_second, wide.bytes_per_second) == (100, 10, 1000)
    narrow = judge.grant(hs256(claims(NOW, max_symbols=1, requests_per_second=0.5, bytes_per_second=1)))
    assert (narrow.max_symbols, narrow.requests_per_second, narrow.bytes_per_second) == (1, 0.5, 1)


def test_who_is_refused_is_known_where_the_signature_is_good() -> None:
    judge = verifier(secret=SECRET)
    for token, principal in (
        (hs256(claims(NOW - 10_000)), "me"),
        (hs256(claims(NOW - 10_000), "another secret of thirty-two bytes!"), ""),
    ):
        with pytest.raises(TokenRefused) as caught:
            judge.grant(token)
        assert caught.value.principal == principal
        assert token.rpartition(".")[2] not in str(caught.value)


@hypothesis.settings(max_examples=400)
@given(st.data())
def test_no_altered_token_is_taken(data: st.DataObject) -> None:
    """However a token is altered, it is refused with a word, or it is the same token."""
    tokens = [hs256(claims(NOW)), *(ISSUER.token(each, claims(NOW)) for each in ("EdDSA", "RS256"))]
    judge = _of_hypothesis()
    token = altered = data.draw(st.sampled_from(tokens))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(altered)))
        end = data.draw(st.integers(start, min(len(altered), start + data.draw(st.sampled_from([0, 1, 2, 200])))))
        put = data.draw(st.text("ABab01-_.=+/ {}é\udcff\0", max_size=4) | st.sampled_from([altered[start:end] * 2]))
        altered = altered[:start] + put + altered[end:]
    if altered != token:
        assert refused(judge, altered) in ("bad", "missing", "unknown_key", "too_long")


@hypothesis.settings(max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(["sub", "aud", "exp", "jti", "iat", "nbf", "symbols", "events", "max_symbols", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("cottage"),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
            max_leaves=6,
        ),
    )
)
def test_no_claims_are_more_than_a_refusal(change: dict[str, Any]) -> None:
    reason, grant = "", None
    try:
        grant = _of_hypothesis().grant(hs256({**claims(NOW), **change}))
    except TokenRefused as refusal:
        reason = refusal.reason
    assert reason in ("", "bad", "expired", "early", "too_long")
    if grant is not None:
        assert grant.expires_at is not None
        assert NOW < grant.expires_at <= NOW + 86_400


_held: list[Authentication] = []


def _of_hypothesis() -> Authentication:
    """One verifier for all examples: reading keys takes longer than judging a token."""
    if not _held:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            _held.append(verifier(secret=SECRET, jwks_file=ISSUER.file(Path(folder) / "jwks.json")))
    return _held[0]


def test_a_new_token_is_judged_by_the_wall_clock() -> None:
    clock = SetClock()
    judge = verifier(clock, secret=SECRET)
    token = hs256(claims(NOW))
    judge.grant(token)
    clock.wall += 600
    assert refused(judge, token) == "expired"
    clock.wall -= 1200
    judge.grant(token)
    clock.wall -= 86_400
    assert refused(judge, token) == "bad"


def test_the_lifetime_of_an_accepted_token_is_counted_from_its_acceptance() -> None:
    clock = SetClock()
    grant = verifier(clock, secret=SECRET).grant(hs256(claims(NOW)))
    left = lifetime(grant, clock.time())
    assert left == 600
    end = clock.monotonic() + left
    for step in (7200, -7200, -86_400):
        clock.wall += step
        assert clock.monotonic() < end
    clock.ticks += 600
    assert clock.monotonic() >= end
    assert lifetime(grant, NOW + 601) == 0
    assert lifetime(Grant(), NOW) is None


def test_keys_are_exchanged_two_at_a_time(tmp_path: Path) -> None:
    clock, path = SetClock(), tmp_path / "jwks.json"
    first, second = Issuer("first"), Issuer("second")
    judge = verifier(clock, jwks_file=first.file(path, "EdDSA"))
    old, new = first.token(body=claims(NOW)), second.token(body=claims(NOW))
    judge.grant(old)
    assert refused(judge, new) == "unknown_key"
    path.write_text(key_set(first.entry("EdDSA"), second.entry("EdDSA")))
    clock.passes(1)
    judge.grant(new)
    judge.grant(old)
    path.write_text(key_set(second.entry("EdDSA")))
    clock.passes(1)
    judge.grant(new)
    assert refused(judge, old) == "unknown_key"


def test_an_unknown_kid_reads_the_file_first_once_a_second_at_most(tmp_path: Path) -> None:
    clock, path = SetClock(), tmp_path / "jwks.json"
    first, second = Issuer("first"), Issuer("second")
    judge = verifier(clock, jwks_file=first.file(path, "ES256"))
    second.file(path, "ES256")
    judge.grant(second.token("ES256", claims(NOW)))  # though no second has passed
    first.file(path, "ES256")
    assert refused(judge, first.token("ES256", claims(NOW))) == "unknown_key"
    clock.passes(1)
    judge.grant(first.token("ES256", claims(NOW)))


def test_a_denied_token_is_refused_and_what_was_accepted_ends(tmp_path: Path) -> None:
    clock, path = SetClock(), tmp_path / "denied"
    path.write_text("another\n")
    judge = verifier(clock, secret=SECRET, deny_file=path)
    grant = judge.grant(hs256(claims(NOW)))
    assert not judge.revoked(grant)
    path.write_text("another\none\n")
    clock.passes(1)
    assert judge.revoked(grant)
    assert refused(judge, hs256(claims(NOW))) == "denied"
    judge.grant(hs256(claims(NOW, jti="two")))
    assert not judge.revoked(Grant())


def test_macs_are_compared_in_the_same_time_wherever_they_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """By structure: hmac.compare_digest is what says whether a signature by the secret is good."""
    import hmac

    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    judge = verifier(secret=SECRET)
    judge.grant(hs256(claims(NOW)))
    assert refused(judge, hs256(claims(NOW), "another secret of thirty-two bytes!")) == "bad"
    assert compared == [(32, 32), (32, 32)]
