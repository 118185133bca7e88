"""`cottage token`: what it prints, and that the servers take it."""

import sys
from pathlib import Path

import pytest

from common.auth.authentication import TokenRefused
from common.auth.settings import AuthSettings
from cottage.cli import main
from cottage.clock import SystemClock
from cottage.grant import Grant
from tests.common.auth.issuer import SECRET


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTH_SECRET_FILE", "AUTH_AUDIENCE", "USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AUTH_SECRET", SECRET)


def judged(token: str, secret: str = SECRET, audience: str = "cottage") -> Grant:
    settings = AuthSettings.model_validate({"AUTH_SECRET": secret, "AUTH_AUDIENCE": audience})
    authentication = settings.authentication(SystemClock())
    assert authentication is not None
    return authentication.grant(token)


def minted(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    """The token, and what was said."""
    assert main(["token", *arguments]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1
    assert printed.out.strip() not in printed.err
    assert SECRET not in printed.err
    return printed.out.strip(), printed.err


def test_the_servers_take_it(capsys: pytest.CaptureFixture[str]) -> None:
    token, said = minted(capsys, "--symbols", "SPY, BTC-*", "--events", "AGENT_UPDATE", "--ttl", "1h", "--sub", "zoe")
    grant = judged(token)
    assert (grant.principal, grant.symbols.written()) == ("zoe", ["BTC-*", "SPY"])
    assert grant.events == frozenset({"AGENT_UPDATE"})
    assert grant.expires_at is not None
    assert 3500 < grant.expires_at - SystemClock().time() <= 3600
    assert all(part in said for part in ("zoe", "BTC-*,SPY", "AGENT_UPDATE", grant.token_id))


def test_each_has_a_name_of_its_own_by_which_it_can_be_denied(capsys: pytest.CaptureFixture[str]) -> None:
    names = {judged(minted(capsys, "--symbols", "*")[0]).token_id for _ in range(3)}
    assert len(names) == 3


def test_without_events_it_is_for_states_alone(capsys: pytest.CaptureFixture[str]) -> None:
    grant = judged(minted(capsys, "--symbols", "*")[0])
    assert grant.symbols.everything
    assert (grant.principal, grant.events) == ("me", frozenset())


def test_the_audience_is_that_of_the_servers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTH_AUDIENCE", "desk")
    token, _said = minted(capsys, "--symbols", "*")
    judged(token, audience="desk")
    with pytest.raises(TokenRefused):
        judged(token)
    judged(minted(capsys, "--symbols", "*", "--audience", "cottage")[0])


def test_the_secret_may_be_in_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file, other = tmp_path / "secret", "another secret of thirty-two bytes, in a file"
    file.write_text(other + "\n")
    judged(minted(capsys, "--symbols", "*", "--secret-file", str(file))[0], secret=other)
    monkeypatch.delenv("AUTH_SECRET")
    monkeypatch.setenv("AUTH_SECRET_FILE", str(file))
    judged(minted(capsys, "--symbols", "*")[0], secret=other)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--symbols", "spy"],
        ["--symbols", "A*B"],
        ["--symbols", ",".join(f"S{number}" for number in range(257))],
        ["--symbols", ",".join(f"S{'0' * 28}{number}" for number in range(200))],
        ["--symbols", "*", "--events", "AGENT_UPDATES"],
        ["--symbols", "*", "--ttl", "soon"],
        ["--symbols", "*", "--sub", "a\nb"],
        ["--symbols", "*", "--secret-file", "/nowhere"],
        [],
    ],
)
def test_what_cannot_be_is_refused_in_a_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    try:
        status: object = main(["token", *arguments])
    except SystemExit as end:
        status = end.code
    printed = capsys.readouterr()
    assert (status, printed.out) == (2, "")
    assert SECRET not in printed.err


@pytest.mark.parametrize("secret", ["", "too short"])
def test_a_secret_is_needed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("AUTH_SECRET", secret)
    assert main(["token", "--symbols", "*"]) == 2
    assert "AUTH_SECRET" in capsys.readouterr().err


def test_without_joserfc_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "joserfc", None)
    assert main(["token", "--symbols", "*"]) == 2
    assert "pip install 'curiosity-cottage[tokens]'" in capsys.readouterr().err
