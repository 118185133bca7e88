"""Asks the physics API over HTTP, with the standard library alone. Its problems (RFC 9457) become CottageErrors."""

import base64
import os
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import orjson

from cottage.errors import (
    ApiForbidden,
    ApiRefused,
    ApiUnauthorized,
    ApiUnavailable,
    InvalidName,
    SettingsError,
)
from cottage.fields import load_object
from cottage.protocol import MAX_TOKEN_BYTES
from cottage.token_file import Token, token_of
from cottage.urls import http_server, redacted
from cottage.variables import value_of

API_URL = "http://127.0.0.1:8001"
"""Where `make run` has the API."""
URL_VARIABLE = "COTTAGE_API_URL"
TIMEOUT = 30.0
"""How many seconds an answer may take where nobody says: a long one of the record takes a few."""

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"

_REFUSALS: dict[int, type[ApiRefused]] = {
    HTTPStatus.UNAUTHORIZED: ApiUnauthorized,
    HTTPStatus.FORBIDDEN: ApiForbidden,
}
_READ_BYTES = 1 << 16
_LEAST_TIMEOUT = 0.001  # 0 would mean to a socket that nothing is waited for, not even the connection


def api_url(environment: Mapping[str, str] = os.environ) -> str:
    """Where the API is asked unless a URL is given: COTTAGE_API_URL, else that of `make run`."""
    return value_of(environment, URL_VARIABLE) or API_URL


def ask(
    path: str,
    query: Mapping[str, str] | None = None,
    *,
    url: str | None = None,
    accept: str = JSON,
    timeout: float = TIMEOUT,
    token: Token | None = None,
) -> bytes:
    """GET a path of the API, such as `/v1/physics/SPY`, and return the body of its answer.

    url: of the API; what stands in it from /v1 on is left aside, so it may be that of an endpoint. A user and a
    password in it are sent (Basic). Default: `api_url()`. timeout: seconds until all of the answer must be there.
    token: for an API that asks for one, or who is asked for it; default: that of COTTAGE_TOKEN (`token_of`).
    Raises SettingsError for a URL or a token that is none; ApiUnavailable where nobody answers in time, or with 5xx;
    InvalidName and ApiRefused for the problem that the API answered with, ApiUnauthorized and ApiForbidden for 401
    and 403.
    """
    asked = api_url() if url is None else url
    connection, base, headers = _connection(asked, timeout)
    headers |= _shown(token_of() if token is None else token, headers)
    target = base + quote(path) + (f"?{urlencode(query, safe=',:')}" if query else "")
    shown = redacted(asked)
    try:
        response, body = _exchange(connection, target, {"Accept": accept, **headers}, time.monotonic() + timeout)
    except TimeoutError as error:
        raise ApiUnavailable(f"{shown} does not answer within {timeout:g} s") from error
    except (OSError, HTTPException) as error:
        why = _line(getattr(error, "strerror", None) or str(error)) or type(error).__name__
        raise ApiUnavailable(f"{shown}: {why}; is the physics API there?") from error
    finally:
        connection.close()
    if response.status != HTTPStatus.OK:
        raise _problem(shown, response, body)
    if (kind := response.headers.get_content_type()) != accept:
        raise ApiRefused(response.status, "", f"{shown} answers with {kind}; is it the physics API?")
    return body


def ask_object(
    path: str,
    query: Mapping[str, str] | None = None,
    *,
    url: str | None = None,
    timeout: float = TIMEOUT,
    token: Token | None = None,
) -> dict[str, Any]:
    """The JSON object that is the answer. See `ask`; raises InvalidMessage too, for an answer that is none."""
    return load_object(ask(path, query, url=url, timeout=timeout, token=token))


def _connection(url: str, timeout: float) -> tuple[HTTPConnection, str, dict[str, str]]:
    """A connection to the server of a URL, what all paths there begin with, and the header that says who asks. Raises
    SettingsError."""
    try:
        parts = urlsplit(http_server(url))
    except ValueError as error:
        raise SettingsError(f"the URL of the API ({URL_VARIABLE}) {error}") from error
    connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    assert parts.hostname is not None
    headers = {}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    timeout = max(timeout, _LEAST_TIMEOUT)
    return connect(parts.hostname, parts.port, timeout=timeout), parts.path.partition("/v1")[0].rstrip("/"), headers


def _shown(token: Token | None, headers: Mapping[str, str]) -> dict[str, str]:
    """The header that shows a token. Raises SettingsError for what can be none, without showing it."""
    text = token() if callable(token) else token
    if not text:
        return {}
    if "Authorization" in headers:
        raise SettingsError(f"a token, and a user in the URL of the API ({URL_VARIABLE}): leave one of them out")
    if not (text.isascii() and text.isprintable() and " " not in text and len(text) <= MAX_TOKEN_BYTES):
        raise SettingsError(f"a token has no blanks and at most {MAX_TOKEN_BYTES} characters, all of them ASCII")
    return {"Authorization": f"Bearer {text}"}


def _exchange(
    connection: HTTPConnection, target: str, headers: Mapping[str, str], deadline: float
) -> tuple[HTTPResponse, bytes]:
    connection.request("GET", target, headers=dict(headers))
    parts = []
    with connection.getresponse() as response:
        while part := response.read1(_READ_BYTES):
            parts.append(part)
            if time.monotonic() > deadline:  # the connection's own timeout is one for each part
                raise TimeoutError
        if response.length:
            raise HTTPException("the answer was cut off")
    return response, b"".join(parts)


def _problem(shown: str, response: HTTPResponse, body: bytes) -> Exception:
    """The error that an answer means: the problem that it tells, or only its status."""
    try:
        told = orjson.loads(body)
        code, detail = str(told["code"]), _line(str(told["detail"]))
    except (ValueError, TypeError, KeyError):
        code, detail = "", f"{response.status} {response.reason}; is it the physics API?"
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ApiUnavailable(f"{shown}: {detail}")
    if code == "bad_symbol":
        return InvalidName(detail)
    refused = _REFUSALS.get(response.status, ApiRefused)
    plain = code in ("", "not_found") or refused is ApiUnauthorized
    return refused(response.status, code, f"{shown}: {detail}" if plain else detail)


def _line(text: str) -> str:
    return " ".join(text.split())
