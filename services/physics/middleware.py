"""The ASGI middleware of the API: it adds headers to every answer, and counts and times it."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.physics import metrics


class EdgeMiddleware:
    """ASGI middleware, around all others: it sees the answer to a crash as well.

    `no-store`: a cached state is a stale one that says it is live.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"cache-control", b"no-store")]
                route = _route(scope)
                metrics.REQUESTS.labels(route, str(message["status"])).inc()
                metrics.REQUEST_SECONDS.labels(route).observe(time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, sending)


def _route(scope: Scope) -> str:
    """The route's template: few words, whatever is asked for."""
    route = scope.get("route")
    if route is not None:
        return str(route.path_format)
    return "other" if "endpoint" in scope else "none"  # the OpenAPI document and the page's files
