"""Who may ask the API for what: ASGI middleware that judges the token of each request, and checks for the endpoints.

A token comes as `Authorization: Bearer`, and never in the URL, which proxies and browsers write down. Whoever names
symbols beyond its grant gets 403 before anything is looked up, whether or not there are such; all else that is
answered is of the granted symbols alone. Without keys (common/auth/settings.py) nobody is asked.
"""

from collections.abc import Iterable, Sequence

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from common import logs
from common.auth.authentication import Authentication, TokenRefused
from common.auth.presented import bearers, in_url
from cottage import keys
from cottage.grant import ANYBODY, Grant
from cottage.log import Throttled
from services.physics import swagger
from services.physics.problems import Refusal, problem

NEVER_ASKED = frozenset({"/docs", "/openapi.json"})

throttled = Throttled(logs.get_logger())


class AuthorizationMiddleware:
    """Puts a Grant into `request.state.grant`, or refuses the request."""

    def __init__(self, app: ASGIApp, authentication: Authentication | None, *, open_documents: bool = True) -> None:
        """`authentication`: None if nobody is asked. `open_documents`: whether /docs and the OpenAPI document need no
        token."""
        self._app = app
        self._authentication = authentication
        self._open_documents = open_documents

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            request.state.grant = self._grant(request)
        except Refusal as refusal:
            answer = problem(request, refusal.status, refusal.code, str(refusal))
        except TokenRefused as refused:
            answer = _unauthorized(request, refused)
        else:
            await self._app(scope, receive, send)
            return
        await answer(scope, receive, send)

    def _grant(self, request: Request) -> Grant:
        """What the sender may ask. Raises Refusal and TokenRefused."""
        if in_url(f"{request.scope['path']}?{request.scope['query_string'].decode('latin-1')}"):
            raise Refusal(400, "token_in_url", "a token belongs into the header Authorization, and in no URL")
        if self._authentication is None or (self._open_documents and _is_document(request.scope["path"])):
            return ANYBODY
        return self._authentication.grant(_bearer(request.headers.getlist("authorization")))


def _is_document(path: str) -> bool:
    return path in NEVER_ASKED or path.startswith(f"{swagger.ASSETS}/")


def _bearer(headers: Sequence[str]) -> str:
    """The token in the headers. Raises TokenRefused if there is none, or more than one."""
    found = bearers(headers)
    if len(found) > 1:
        raise TokenRefused("two_tokens")
    return found.pop() if found else ""


def _unauthorized(request: Request, refused: TokenRefused) -> Response:
    peer = request.client.host if request.client else "unknown"
    throttled.warning(
        "token_refused",
        f"{peer} {refused.reason}",
        peer=peer,
        reason=refused.reason,
        sub=refused.principal or None,
    )
    challenge, detail = 'Bearer realm="cottage"', "a token is needed: Authorization: Bearer …"
    if refused.reason != "missing":
        challenge += f', error="invalid_token", error_description="{refused.reason}"'
        detail = str(refused)
    return problem(request, 401, "unauthorized", detail, {"WWW-Authenticate": challenge})


def grant_of(request: Request) -> Grant:
    """What the sender of a request may ask."""
    grant: Grant = request.state.grant
    return grant


def one_allowed(request: Request, symbol: str) -> str:
    """The symbol of a path. Raises InvalidName, and Refusal where the sender may not ask for it."""
    return allowed(request, [keys.symbol(symbol)])[0]


def allowed(request: Request, symbols: list[str]) -> list[str]:
    """The symbols that a request names. Raises Refusal where the sender may not ask for all of them."""
    grant = grant_of(request)
    if not all(symbol in grant.symbols for symbol in symbols):
        throttled.warning("symbols_not_allowed", grant.principal, sub=grant.principal)
        raise Refusal(403, "not_allowed", "the token is not for these symbols, or not for all of them")
    if len(symbols) > grant.max_symbols:
        raise Refusal(400, "too_many_symbols", f"{len(symbols)} symbols; this token may name {grant.max_symbols}")
    return symbols


def limits_of(request: Request) -> list[str] | None:
    """The patterns to which an answer about all symbols is limited; None if it is not."""
    symbols = grant_of(request).symbols
    return None if symbols.everything else symbols.written()


def visible(request: Request, symbols: Iterable[str]) -> list[str]:
    """Those of the symbols of which the sender may know."""
    known = grant_of(request).symbols
    return [symbol for symbol in symbols if symbol in known]
