"""The endpoints of the HTTP API, read only: physics states, regimes and market snapshots."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, FastAPI, Query, Request, Response
from pydantic import WithJsonSchema
from starlette.types import ASGIApp

from common import logs
from common.auth.authentication import Authentication
from common.web import asgi
from cottage import __version__
from cottage.errors import InvalidMessage, RedisError
from cottage.freshness import USUAL, Thresholds
from cottage.freshness import unfed as is_unfed
from cottage.log import Throttled
from cottage.reader.physics_reader import PhysicsReader
from cottage.reader.reading import Reading, Readings
from cottage.state import REGIMES
from cottage.store import MarketSnapshots
from services.physics import history_api, metrics, problems, schemas, swagger
from services.physics.authorization import AuthorizationMiddleware, allowed, one_allowed, visible
from services.physics.history_process import HistoryProcess
from services.physics.middleware import EdgeMiddleware
from services.physics.parameters import Symbol, Symbols, known_query, symbol_names
from services.physics.problems import Refusal

LONGEST_AGE_MS = 86_400_000

throttled = Throttled(logs.get_logger())
router = APIRouter(prefix="/v1")


def build(
    reader: PhysicsReader,
    snapshots: MarketSnapshots,
    history: HistoryProcess,
    thresholds: Thresholds = USUAL,
    authentication: Authentication | None = None,
    *,
    open_documents: bool = True,
) -> ASGIApp:
    """The ASGI application. `thresholds`: by which past states are assessed; the reader has its own.
    `authentication`: judges the tokens of requests; None if nobody needs one. `open_documents`: whether the OpenAPI
    document and its page need none in any case."""
    app = FastAPI(
        title="Curiosity Cottage physics",
        version=__version__,
        description="The newest physics state of each symbol, with how far it may be trusted. Read only. "
        f"Every error is `{asgi.PROBLEM}` (RFC 9457) with a `code` for programs.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.openapi_version = "3.0.3"  # the newest that the packaged Swagger UI reads
    app.openapi = lambda: _openapi(app, has_tokens=authentication is not None)  # type: ignore[method-assign]  # the way that FastAPI documents
    app.state.reader = reader
    app.state.snapshots = snapshots
    app.state.history = history
    app.state.thresholds = thresholds
    app.include_router(router)
    app.include_router(history_api.router)
    swagger.install(app)
    problems.install(app)
    return EdgeMiddleware(AuthorizationMiddleware(app, authentication, open_documents=open_documents))


# Left out is what they may be, not null, as OpenAPI 3.0 would have to be told.
MaxAge = Annotated[
    int | None,
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": LONGEST_AGE_MS}),
    Query(ge=0, le=LONGEST_AGE_MS, description="refuse (503) a state that is older or a fallback"),
]
Unfed = Annotated[
    bool,
    WithJsonSchema({"type": "boolean"}),
    Query(description="false: leave out the symbols that no feed brings any more; `unfed` then names them"),
]


def _folded(readings: Readings, unfed: bool) -> tuple[dict[str, Reading], dict[str, list[str]]]:
    """The readings; without those that no feed brings any more unless `unfed`, and the field that names these."""
    if unfed:
        return dict(readings.states), {}
    names = [symbol for symbol, each in readings.states.items() if is_unfed(each.freshness, each.state.source)]
    left = set(names)
    return {symbol: each for symbol, each in readings.states.items() if symbol not in left}, {"unfed": sorted(names)}


async def _all(request: Request) -> Readings:
    """The readings of all symbols of which the sender may know."""
    reader: PhysicsReader = request.app.state.reader
    readings = await reader.all()
    states = {symbol: readings.states[symbol] for symbol in visible(request, readings.states)}
    return Readings(states, (), readings.complete)


@router.get(
    "/physics/{symbol:path}",
    summary="One state, with its freshness",
    responses=schemas.responses(schemas.OneStateAnswer, 400, 404, 422, 503),
    dependencies=[known_query("max_age_ms", "at", "version")],
)
async def physics_state(
    request: Request,
    symbol: Symbol,
    max_age_ms: MaxAge = None,
    at: history_api.At = None,
    version: history_api.ExactVersion = None,
) -> Response:
    """While Redis does not answer: the last state that was read, aged, else the fail-safe vector, whose `source` is
    `fallback`. With `max_age_ms` nothing comes but a state that is known to be that young: 503 means that it may be
    there later, 404 that Redis answers and has none. With `at` or `version` it is a past one, of the record: `at`
    gives what Redis had last written at that time by its own clock, with the freshness that a reader would have told
    had every hop been well, and the `outages` of hops at that time beside it."""
    if at is not None or version is not None:
        if max_age_ms is not None:
            raise Refusal(422, "bad_parameter", "max_age_ms is about the present: leave it out with at and version")
        return await history_api.past_state(request, symbol, at, version)
    reader: PhysicsReader = request.app.state.reader
    symbol = one_allowed(request, symbol)
    max_age = None if max_age_ms is None else max_age_ms / 1000
    reading = await reader.get(symbol, max_age=max_age)
    if reading is None:
        raise Refusal(404, "no_such_symbol", f"there is no physics state of {symbol}")
    return _json(reading.as_dict())


@router.get(
    "/physics",
    summary="Many states in one round trip",
    responses=schemas.responses(schemas.PhysicsStatesAnswer, 400, 422),
    dependencies=[known_query("symbols", "unfed")],
)
async def physics_states(request: Request, symbols: Symbols = None, unfed: Unfed = True) -> Response:
    reader: PhysicsReader = request.app.state.reader
    if symbols is None:
        readings = await _all(request)
    else:
        readings = await reader.many(allowed(request, symbol_names(symbols)))
    shown, named = _folded(readings, unfed)
    states = {symbol: reading.as_dict() for symbol, reading in shown.items()}
    return _json({"states": states, "missing": readings.missing, "complete": readings.complete, **named})


@router.get(
    "/regimes",
    summary="Symbols by regime",
    responses=schemas.responses(schemas.RegimesAnswer, 422),
    dependencies=[known_query("unfed")],
)
async def regimes(request: Request, unfed: Unfed = True) -> Response:
    readings = await _all(request)
    by_regime: dict[str, list[str]] = {regime: [] for regime in sorted(REGIMES)}
    not_live = []
    shown, named = _folded(readings, unfed)
    for symbol, reading in sorted(shown.items()):
        by_regime[reading.state.regime].append(symbol)
        if reading.freshness.status != "live":
            not_live.append(symbol)
    return _json({"regimes": by_regime, "not_live": not_live, "complete": readings.complete, **named})


@router.get(
    "/market/{symbol:path}",
    summary="The market snapshot",
    responses=schemas.responses(schemas.MarketSnapshotAnswer, 400, 404, 422, 503),
    dependencies=[known_query()],
)
async def market_snapshot(request: Request, symbol: Symbol) -> Response:
    """It expires 60 s after its feed last wrote it; then the answer is 404."""
    symbol = one_allowed(request, symbol)
    reader: PhysicsReader = request.app.state.reader
    snapshots: MarketSnapshots = request.app.state.snapshots
    if reader.problem is not None:  # a hung server costs its timeout once, not every caller
        raise Refusal(503, "unavailable", "Redis does not answer")
    try:
        snapshot = await snapshots.get(symbol, lambda _symbol, error: metrics.LEFT_OUT.labels(error.reason).inc())
    except InvalidMessage as error:
        metrics.BAD_SNAPSHOTS.labels(error.reason).inc()
        throttled.warning("snapshot_dropped", error.reason, symbol=symbol, reason=error.reason, error=error.detail)
        raise Refusal(503, "unavailable", f"the snapshot of {symbol} cannot be trusted: {error.reason}") from error
    except RedisError as error:
        throttled.warning("snapshot_not_read", type(error).__name__, symbol=symbol, error=str(error))
        raise Refusal(503, "unavailable", "Redis does not answer") from error
    if snapshot is None:
        raise Refusal(404, "no_such_symbol", f"there is no market snapshot of {symbol}, or not in the last 60 s")
    return _json({"symbol": snapshot.symbol, **snapshot.to_hash()})


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def _openapi(app: FastAPI, *, has_tokens: bool) -> dict[str, Any]:
    """FastAPI's document, with errors under the media type that they are sent with, and with tokens where they are
    needed."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        for operations in document["paths"].values():
            for status, response in operations["get"]["responses"].items():
                if status != "200":
                    response["content"] = {asgi.PROBLEM: response["content"]["application/json"]}
        if has_tokens:
            schemas.describe_tokens(document)
        for schema in document["components"]["schemas"].values():
            for described in schema["properties"].values():
                described.pop("default", None)  # of what is left out, not of what is sent
    assert app.openapi_schema is not None
    return app.openapi_schema
