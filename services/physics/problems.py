"""Answers every error of the API, its own and the framework's, as `application/problem+json` (RFC 9457).

Each has a `code` for programs:

| code | status | when |
|---|---|---|
| `bad_symbol` | 400 | what was given for a symbol cannot be one; `detail` names it |
| `too_many_symbols` | 400 | more than 500 were named |
| `bad_parameter` | 422 | a query parameter that is unknown, repeated, or has a value of the wrong kind |
| `token_in_url` | 400 | the URL has a `token` or `access_token` |
| `unauthorized` | 401 | no token came, or none that is good; `WWW-Authenticate` says how to show one |
| `not_allowed` | 403 | symbols were named that the token is not for, whether or not there are such |
| `no_such_symbol` | 404 | Redis has no such state or snapshot, whatever its age might be |
| `unavailable` | 503 | no state fresh enough (`max_age_ms`), or no snapshot or record that can be had now |
| `no_record` | 404 | no record is where `RECORDER_DIR` says: no recorder has run, or it writes elsewhere |
| `not_recorded` | 404 | a time, a source, a run or a version that the record does not have |
| `too_many_points` | 400 | more than 5,000 points of one symbol, or 200,000 in all |
| `too_much` | 400 | a question to the record that takes more memory than there is for it |
| `too_slow` | 503 | a question to the record that took too long and was ended |
| `not_yet` | 503 | the record does not have the version as yet that the asker says is known |
| `busy` | 503 | other questions to the record come first |
| `not_found`, `method_not_allowed`, … | 404, 405, … | the framework's own, by the status's phrase |
| `internal_server_error` | 500 | a fault of ours; the log has its traceback, the answer does not |
"""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from common.web import asgi
from cottage.errors import HistoryRefusal, InvalidName, NoSuchState, StateUnavailable

RETRY_SECONDS = 1


_STATUSES = {
    "bad_parameter": 422,
    "too_many_points": 400,
    "too_much": 400,
    "no_record": 404,
    "not_recorded": 404,
    "no_such_symbol": 404,
    "busy": 503,
    "not_yet": 503,
    "too_slow": 503,
    "unavailable": 503,
}
"""Of the codes of a HistoryRefusal. Any other is a fault of ours."""


class Refusal(Exception):
    """An answer that is a problem."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code


def install(app: FastAPI) -> None:
    """Answer every exception with a problem."""
    ours = (Refusal, HistoryRefusal, InvalidName, StateUnavailable)
    for kind in (*ours, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    match error:
        case Refusal(status=status, code=code):
            return problem(request, status, code, str(error))
        case HistoryRefusal(code=code) if code in _STATUSES:
            return problem(request, _STATUSES[code], code, str(error))
        case InvalidName():
            return problem(request, 400, "bad_symbol", str(error))
        case NoSuchState():
            return problem(request, 404, "no_such_symbol", str(error))
        case StateUnavailable():
            return problem(request, 503, "unavailable", str(error))
        case RequestValidationError():
            complaints = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
            return problem(request, 422, "bad_parameter", "; ".join(complaints))
        case HTTPException(status_code=status, headers=headers):
            detail = f"{request.method} {request.url.path}"[:200]
            return problem(request, status, _code(status), detail, headers)
    return problem(request, 500, _code(500), "a fault of this service; its log says more")


def problem(
    request: Request, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    instance = quote(request.scope["path"], safe="/:@!$&'()*+,;=~")
    body = asgi.problem(HTTPStatus(status), detail, code, instance)
    retry = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}
    return Response(body, status, {**(headers or {}), **retry}, media_type=asgi.PROBLEM)


def _code(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "_")
