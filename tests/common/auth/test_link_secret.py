"""The secret of the link."""

import pytest

from common.auth.authentication import TokenRefused
from common.auth.link_secret import LinkSecret
from cottage.grant import EVERY_SYMBOL

NEW, OLD = "n" * 32, "o" * 32


def test_it_allows_everything_without_an_end() -> None:
    grant = LinkSecret([NEW]).grant(NEW)
    assert (grant.symbols, grant.events, grant.expires_at) == (EVERY_SYMBOL, None, None)
    assert not LinkSecret([NEW]).revoked(grant)


def test_two_are_taken_while_one_is_exchanged_for_the_other() -> None:
    both = LinkSecret([NEW, OLD])
    assert both.grant(NEW) == both.grant(OLD)


@pytest.mark.parametrize("shown", ["", "n" * 31, "n" * 33, NEW.upper(), OLD, "é" * 32, "\udc80" * 32])
def test_nothing_else_is_taken(shown: str) -> None:
    with pytest.raises(TokenRefused) as caught:
        LinkSecret([NEW]).grant(shown)
    assert caught.value.reason == "bad"


@pytest.mark.parametrize("secrets", [[], [""], [NEW, ""]])
def test_a_secret_that_everybody_knows_is_none(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="without a secret"):
        LinkSecret(secrets)


def test_each_is_compared_whole_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(shown: bytes, secret: bytes) -> bool:
        compared.append((shown, secret))
        return shown == secret

    monkeypatch.setattr("common.auth.link_secret.hmac.compare_digest", compare)
    LinkSecret([NEW, OLD]).grant(NEW)
    assert compared == [(NEW.encode(), NEW.encode()), (NEW.encode(), OLD.encode())], "no first match ends it"
