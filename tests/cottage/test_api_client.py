"""What is asked of the physics API over HTTP, and what its answers, and their absence, become."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cottage.api_client import ARROW, api_url, ask
from cottage.errors import (
    ApiForbidden,
    ApiRefused,
    ApiUnauthorized,
    ApiUnavailable,
    InvalidName,
    SettingsError,
)
from deploy.redis_server import free_port
from tests.cottage.http_answers import HttpAnswers, http_answers, raw_server

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture
def api() -> Iterator[HttpAnswers]:
    with http_answers() as answers:
        yield answers


def test_the_body_of_the_answer_is_returned(api: HttpAnswers) -> None:
    api.body = b"x" * 1_000_000
    assert ask("/v1/history", {"symbols": "SPY,QQQ", "from": "2025-12-21T14:31:07+01:00"}, url=api.url) == api.body
    assert api.asked == ["/v1/history?symbols=SPY,QQQ&from=2025-12-21T14:31:07%2B01:00"]
    assert api.headers[0]["Accept"] == "application/json"
    api.kind = ARROW
    ask("/v1/gaps", url=api.url, accept=ARROW)
    assert api.headers[1]["Accept"] == ARROW


@pytest.mark.parametrize(
    ("path", "asked"),
    [("", "/v1/gaps"), ("/", "/v1/gaps"), ("/v1/physics", "/v1/gaps"), ("/behind/it/v1/", "/behind/it/v1/gaps")],
)
def test_a_url_may_name_an_endpoint_or_a_prefix(api: HttpAnswers, path: str, asked: str) -> None:
    ask("/v1/gaps", url=api.url + path)
    assert api.asked == [asked]


def test_the_environment_says_where(api: HttpAnswers, monkeypatch: pytest.MonkeyPatch) -> None:
    assert api_url({}) == "http://127.0.0.1:8001"
    assert api_url({"COTTAGE_API_URL": "http://a:1"}) == "http://a:1"
    monkeypatch.setenv("COTTAGE_API_URL", api.url)
    assert ask("/v1/gaps") == b"{}"


def test_who_asks_is_told_to_a_proxy_that_wants_to_know(api: HttpAnswers) -> None:
    ask("/v1/gaps", url=api.url.replace("://", "://user:p%40ss@"))
    assert api.headers[0]["Authorization"] == "Basic dXNlcjpwQHNz"


def test_a_token_is_shown_to_the_api(api: HttpAnswers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ask("/v1/gaps", url=api.url, token="one")
    ask("/v1/gaps", url=api.url, token=lambda: "two")
    monkeypatch.setenv("COTTAGE_TOKEN", "three")
    ask("/v1/gaps", url=api.url)
    monkeypatch.delenv("COTTAGE_TOKEN")
    file = tmp_path / "token"
    monkeypatch.setenv("COTTAGE_TOKEN_FILE", str(file))
    for text in ("four", "five\n"):  # renewed between two questions
        file.write_text(text)
        ask("/v1/gaps", url=api.url)
    shown = [headers["Authorization"] for headers in api.headers]
    assert shown == ["Bearer one", "Bearer two", "Bearer three", "Bearer four", "Bearer five"]
    assert all("?" not in path for path in api.asked)


@pytest.mark.parametrize("token", ["can ary", "canary\r\nX: y", "canäry", "canary" * 1000])
def test_what_can_be_no_token_is_refused_and_not_told(api: HttpAnswers, token: str) -> None:
    with pytest.raises(SettingsError) as error:
        ask("/v1/gaps", url=api.url, token=token)
    assert "can" not in str(error.value)
    assert api.asked == []


def test_a_token_beside_a_user_in_the_url_is_refused(api: HttpAnswers) -> None:
    with pytest.raises(SettingsError, match="one of them"):
        ask("/v1/gaps", url=api.url.replace("://", "://user:pass@"), token="one")


def test_both_variables_are_refused(api: HttpAnswers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COTTAGE_TOKEN", "canary")
    monkeypatch.setenv("COTTAGE_TOKEN_FILE", str(tmp_path))
    with pytest.raises(SettingsError, match="COTTAGE_TOKEN and COTTAGE_TOKEN_FILE"):
        ask("/v1/gaps", url=api.url)


@pytest.mark.parametrize(("status", "kind"), [(401, ApiUnauthorized), (403, ApiForbidden)])
def test_a_token_that_is_not_good_enough_has_an_error_of_its_own(
    api: HttpAnswers, status: int, kind: type[ApiRefused]
) -> None:
    api.refuses(status, "expired", "the token is refused: expired")
    with pytest.raises(kind, match="expired") as error:
        ask("/v1/gaps", url=api.url, token="canary")
    assert (error.value.status, error.value.code, error.value.is_wrong) == (status, "expired", False)
    assert "canary" not in str(error.value)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(400, "bad_symbol", InvalidName), (404, "no_record", ApiRefused), (422, "bad_parameter", ApiRefused)],
)
def test_a_problem_is_one_line(api: HttpAnswers, status: int, code: str, kind: type[Exception]) -> None:
    api.refuses(status, code, "why\nit is so")
    with pytest.raises(kind) as error:
        ask("/v1/gaps", url=api.url)
    assert str(error.value) == "why it is so"
    if isinstance(error.value, ApiRefused):
        assert (error.value.status, error.value.code) == (status, code)


def test_what_may_be_there_later_is_unavailable(api: HttpAnswers) -> None:
    api.refuses(503, "unavailable", "the record is being asked too much")
    with pytest.raises(ApiUnavailable, match=f"^{api.url}: the record is being asked too much$"):
        ask("/v1/gaps", url=api.url)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"code": 1}', b""])
def test_an_answer_of_somebody_else_is_told_by_its_status(api: HttpAnswers, body: bytes) -> None:
    api.status, api.body = 403, body
    with pytest.raises(ApiRefused, match=f"^{api.url}: 403 Forbidden; is it the physics API\\?$"):
        ask("/v1/gaps", url=api.url)


def test_an_answer_of_another_kind_is_none_of_the_apis(api: HttpAnswers) -> None:
    api.kind = "text/html"
    with pytest.raises(ApiRefused, match=f"^{api.url} answers with text/html; is it the physics API\\?$"):
        ask("/v1/gaps", url=api.url)


@pytest.mark.parametrize(("status", "is_wrong"), [(400, True), (422, True), (404, False), (403, False)])
def test_a_request_may_be_wrong_or_find_nothing(status: int, is_wrong: bool) -> None:
    assert ApiRefused(status, "code", "why").is_wrong == is_wrong


def test_a_path_that_the_server_does_not_know_names_the_server(api: HttpAnswers) -> None:
    api.refuses(404, "not_found", "GET /v1/gaps")
    with pytest.raises(ApiRefused, match=f"^{api.url}: GET /v1/gaps$"):
        ask("/v1/gaps", url=api.url)


@pytest.mark.parametrize("url", ["localhost:8001", "ws://h", "http://user:secret@h:port"])
def test_a_url_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="COTTAGE_API_URL") as error:
        ask("/v1/gaps", url=url)
    assert "secret" not in str(error.value)


def test_where_nobody_listens_it_is_unavailable() -> None:
    url = f"http://user:secret@127.0.0.1:{free_port()}"
    with pytest.raises(ApiUnavailable, match=r"user:\*\*\*@127.*Connection refused") as error:
        ask("/v1/gaps", url=url)
    assert "secret" not in str(error.value)


def _says_nothing(connection: socket.socket) -> None:
    while connection.recv(65_536):
        pass


def _drips(connection: socket.socket) -> None:
    """Always in time for the next part, and never done."""
    connection.settimeout(0.02)
    connection.sendall(HEAD)
    for _part in range(900):
        try:
            connection.sendall(b"x")
            while connection.recv(65_536):
                pass
            return
        except TimeoutError:
            continue
        except OSError:
            return


@pytest.mark.parametrize("serve", [_says_nothing, _drips])
def test_a_server_that_hangs_is_waited_for_no_longer_than_said(serve: Callable[[socket.socket], None]) -> None:
    with raw_server(serve) as url, pytest.raises(ApiUnavailable, match=f"^{url} does not answer within 0.3 s$"):
        ask("/v1/gaps", url=url, timeout=0.3)


def test_no_time_is_too_little_time() -> None:
    with raw_server(_says_nothing) as url, pytest.raises(ApiUnavailable, match=f"^{url} does not answer within 0 s$"):
        ask("/v1/gaps", url=url, timeout=0)


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", HEAD + b"x"])
def test_an_answer_that_is_cut_off_or_none_is_unavailable(said: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(said)

    with raw_server(serve) as url, pytest.raises(ApiUnavailable, match=f"^{url}: .+") as error:
        ask("/v1/gaps", url=url)
    assert "\n" not in str(error.value)
