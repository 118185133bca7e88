"""Which requests a broadcaster answers, and whom it believes, as its settings say."""

import pytest

from common.web.access import WebRequest
from services.broadcaster.settings import BroadcasterSettings


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> BroadcasterSettings:
    for name in ("ALLOWED_HOSTS", "ALLOWED_ORIGINS", "BROADCASTER_TRUSTED_PROXIES", "BROADCASTER_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return BroadcasterSettings.load("broadcaster", "Does little.", [])


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("ALLOWED_HOSTS", "", "allowed_hosts", []),
        ("ALLOWED_HOSTS", "none", "allowed_hosts", []),
        ("ALLOWED_HOSTS", " Bridge , cottage.example., ", "allowed_hosts", ["bridge", "cottage.example"]),
        ("ALLOWED_HOSTS", "*", "allowed_hosts", ["*"]),
        ("ALLOWED_ORIGINS", "https://Desk.example:443,*", "allowed_origins", ["https://desk.example", "*"]),
        ("BROADCASTER_TRUSTED_PROXIES", "127.0.0.1, fd00::/8", "trusted_proxies", ["127.0.0.1/32", "fd00::/8"]),
    ],
)
def test_lists(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, field: str, expected: list[str]) -> None:
    assert [str(each) for each in getattr(load(monkeypatch, **{variable: value}), field)] == expected


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(("ALLOWED_HOSTS", value) for value in ("http://a", "a:80", "a/b", "*.example", "a b")),
        *(("ALLOWED_ORIGINS", value) for value in ("null", "a.example", "https://a/", "ftp://a")),
        *(("BROADCASTER_TRUSTED_PROXIES", value) for value in ("nginx", "10.0.0.1/8", "*", "127.0.0.1:80")),
    ],
)
def test_nonsense_is_one_line_with_the_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    with pytest.raises(SystemExit) as end:
        load(monkeypatch, **{variable: value})
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(f"broadcaster: {variable}: must be ")


def test_the_network_of_an_address_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        load(monkeypatch, BROADCASTER_TRUSTED_PROXIES="10.0.0.1/8")
    assert "must be 10.0.0.0/8, the network of 10.0.0.1/8" in capsys.readouterr().err


def test_the_name_that_it_listens_on_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, BROADCASTER_HOST="Cottage.lan", ALLOWED_HOSTS="cottage.example")
    policy = settings.access(settings.host)

    def status(host: str) -> int:
        request = WebRequest("/", "1.1", "127.0.0.1", lambda name: [host] if name == "host" else [], 0)
        refused = policy.refusal(request, policy.forwarded(request))
        return 200 if refused is None else refused.status

    names = ("cottage.lan:8765", "COTTAGE.LAN", "cottage.example", "localhost", "evil.example")
    assert [status(name) for name in names] == [200, 200, 200, 200, 421]


def test_a_login_is_named_as_a_whole(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    login = {
        "BROADCASTER_LOGIN_URL": "https://login.example/authorize",
        "BROADCASTER_LOGIN_TOKEN_URL": "https://login.example/token",
        "BROADCASTER_LOGIN_CLIENT_ID": "the-page",
    }
    access = load(monkeypatch, **login).page_access(asks=True)
    assert (access.login_url, access.token_url, access.client_id) == tuple(login.values())
    monkeypatch.delenv("BROADCASTER_LOGIN_TOKEN_URL")
    with pytest.raises(SystemExit) as ended:
        BroadcasterSettings.load("broadcaster", "Does little.", [])
    assert ended.value.code == 2
    assert "BROADCASTER_LOGIN_TOKEN_URL" in capsys.readouterr().err


@pytest.mark.parametrize("variable", ["BROADCASTER_API_URL", "BROADCASTER_LOGIN_URL", "BROADCASTER_LOGIN_TOKEN_URL"])
@pytest.mark.parametrize("value", ["api.example", "ftp://a", "http://a/?token=x"])
def test_what_the_page_may_ask_is_a_url(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        load(monkeypatch, **{variable: value})
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"broadcaster: {variable}: must look like http://")
