"""The endpoints that answer from the record: history in buckets, regimes, changes, gaps, and past states.

Parameters are checked here; what is asked for is read by the history engine, a process of its own.
"""

import asyncio
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import WithJsonSchema

from cottage.api_client import ARROW
from cottage.errors import HistoryRefusal
from cottage.record.bucketing import FIELDS, USUAL_FIELDS
from cottage.record.history_span import DURATION_PATTERN, MOST_POINTS, HistorySpan, duration
from cottage.record.manifest import HEAD_PATTERN
from cottage.record.proof import check_head, wanted_version
from cottage.record.proof_page import HTML, POLICY
from cottage.state import REGIMES
from services.physics import schemas
from services.physics.authorization import allowed, limits_of, one_allowed
from services.physics.history_process import HistoryProcess
from services.physics.parameters import Symbol, Symbols, TheseSymbols, known_query, symbol_names

router = APIRouter(prefix="/v1")

KNOWN_SECONDS = 10.0
"""How long an answer waits for a version that its asker has. A flush of the recorder, and its look whether Redis has
that version, are over by then."""
_AGAIN_SECONDS = 0.25

_A_TIME = "RFC 3339 with its zone (a + is %2B), or seconds since 1970"
_Text = Annotated[str | None, WithJsonSchema({"type": "string"})]
_Duration = Annotated[str | None, WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN})]

VERSION_PATTERN = "^[0-9]{1,16}-[0-9]{1,16}$"


def _query(description: str, example: str, alias: str | None = None) -> Any:
    return Query(alias=alias, description=description, openapi_examples={example: {"value": example}})


At = Annotated[_Text, _query(f"a past state: what held then, by Redis's clock; {_A_TIME}", "2025-12-21T14:31:07Z")]
ExactVersion = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "pattern": VERSION_PATTERN}),
    _query("a past state: exactly this version, as epoch-seq", "1766318400000-4711"),
]
Known = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "pattern": VERSION_PATTERN}),
    _query(
        f"a version of the symbol that the asker has, as epoch-seq: the answer waits until the record has it, "
        f"{KNOWN_SECONDS:g} s at most",
        "1766318400000-4711",
    ),
]
From = Annotated[_Text, _query(f"the begin; {_A_TIME}", "2025-12-21T14:00:00Z", "from")]
To = Annotated[_Text, _query(f"the end, exclusive; {_A_TIME}", "2025-12-21T15:00:00Z", "to")]
Last = Annotated[
    _Duration, _query("instead of from and to: so long before the newest; 1h if none of them is given", "10m")
]
Since = Annotated[_Duration, _query("the same as last", "10m")]
Step = Annotated[_Duration, _query("the length of a bucket", "1m")]
Points = Annotated[
    int | None,
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MOST_POINTS}),
    Query(ge=1, le=MOST_POINTS, description="into how many buckets the time is divided, instead of step"),
]
Fields = Annotated[
    _Text, _query(f"comma-separated, of {', '.join(FIELDS)}; {','.join(USUAL_FIELDS)} without it", "price,regime")
]
TimedBy = Annotated[
    Literal["at", "written"],
    Query(description="by which time samples fall into buckets: the market's, or when Redis wrote their version"),
]
Source = Annotated[_Text, _query("the source whose rows count; without it that of the symbol's newest row", "replay")]
Run = Annotated[
    int | None,
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 2**53, "format": "int64"}),
    Query(ge=0, le=2**53, description="which run of the source, as an answer names it; without it the newest"),
]
Kind = Annotated[
    Literal["regime", "freshness"] | None,
    WithJsonSchema({"type": "string", "enum": ["regime", "freshness"]}),
    Query(description="these changes alone"),
]
NewRegime = Annotated[
    schemas.Regime | None,
    WithJsonSchema({"type": "string", "enum": sorted(REGIMES)}),
    Query(description="changes to this regime alone"),
]

_TIME = ("from", "to", "last")
_CHOSEN = ("by", "source", "run")
_POINTS = (*_TIME, "step", "points", "fields", *_CHOSEN)


def _time(since: From = None, until: To = None, last: Last = None) -> dict[str, Any]:
    HistorySpan.asked(since, until, last)
    return {"from": since, "to": until, "last": last}


def _chosen(by: TimedBy = "at", source: Source = None, run: Run = None) -> dict[str, Any]:
    return {"by": by, "source": source, "run": run}


AskedTime = Annotated[dict[str, Any], Depends(_time)]
AskedRun = Annotated[dict[str, Any], Depends(_chosen)]


def _points(
    span: AskedTime, chosen: AskedRun, step: Step = None, points: Points = None, fields: Fields = None
) -> dict[str, Any]:
    HistorySpan.asked(span["from"], span["to"], span["last"], step, points)
    names = list(dict.fromkeys(name for name in (fields or "").split(",") if name))
    for name in names:
        if name not in FIELDS:
            raise HistoryRefusal("bad_parameter", f"no field {name[:40]!r}; there are {', '.join(FIELDS)}")
    return {**span, **chosen, "step": step, "points": points, "fields": names}


AskedPoints = Annotated[dict[str, Any], Depends(_points)]


def _history_responses(model: Any) -> dict[int | str, dict[str, Any]]:
    answers = schemas.responses(model, 400, 404, 422, 503)
    answers[200]["content"] = {ARROW: {"schema": {"type": "string", "format": "binary"}}}
    return answers


def _proof_responses() -> dict[int | str, dict[str, Any]]:
    answers = schemas.responses(schemas.ProofAnswer, 400, 404, 422, 503)
    answers[200]["content"] = {HTML: {"schema": {"type": "string"}}}
    return answers


@router.get(
    "/history/{symbol:path}/regimes",
    summary="The regimes of one symbol, from when to when",
    responses=schemas.responses(schemas.RegimeSpellsAnswer, 400, 404, 422, 503),
    dependencies=[known_query(*_TIME, *_CHOSEN)],
)
async def regime_spells(request: Request, symbol: Symbol, span: AskedTime, chosen: AskedRun) -> Response:
    """Also the one that began before, and the one that holds: its `until` is null."""
    return await _answer(request, "regimes", {**span, **chosen, "symbol": one_allowed(request, symbol)})


@router.get(
    "/history/{symbol:path}",
    summary="One symbol in buckets of time",
    responses=_history_responses(schemas.HistoryAnswer),
    dependencies=[known_query(*_POINTS, "known")],
)
async def history(request: Request, symbol: Symbol, points: AskedPoints, known: Known = None) -> Response:
    """Each point is of the samples in [time, time + step) and of nothing else; steps are counted from 1970 on.
    Without a sample all of it is null. A point never holds two sources, or two runs of one. `until` is the newest
    version in the answer: whoever subscribed before, and says with `known` what came first, goes on with the updates
    after it, and misses none. With `Accept: application/vnd.apache.arrow.stream` it comes as an Arrow table."""
    question = {**points, "symbols": [one_allowed(request, symbol)], "single": True, "known": known}
    if wanted_version(known, name="known") is not None and (points["from"] or points["to"]):
        raise HistoryRefusal("bad_parameter", "known is about the newest: leave out from and to")
    deadline = time.monotonic() + KNOWN_SECONDS
    while True:
        try:
            return await _answer(request, "points", question)
        except HistoryRefusal as refusal:
            if refusal.code != "not_yet" or time.monotonic() > deadline:
                raise
            await asyncio.sleep(_AGAIN_SECONDS)


@router.get(
    "/history",
    summary="Many symbols in buckets of time",
    responses=_history_responses(schemas.HistoriesAnswer),
    dependencies=[known_query("symbols", *_POINTS)],
)
async def histories(request: Request, points: AskedPoints, symbols: TheseSymbols) -> Response:
    """As the history of one symbol, for each of these; `missing` are those of which the record has no row."""
    return await _answer(request, "points", {**points, "symbols": allowed(request, symbol_names(symbols))})


@router.get(
    "/changes",
    summary="Which symbols changed regime or freshness",
    responses=schemas.responses(schemas.ChangesAnswer, 400, 404, 422, 503),
    dependencies=[known_query("symbols", "since", *_TIME, "kind", "regime")],
)
async def changes(
    request: Request,
    span: AskedTime,
    symbols: Symbols = None,
    since: Since = None,
    kind: Kind = None,
    regime: NewRegime = None,
) -> Response:
    """The newest first, by when they were recorded. A change of the freshness of all symbols has `*` for a symbol."""
    if since is not None:
        if span["last"] is not None:
            raise HistoryRefusal("bad_parameter", "since and last are the same: give one of them")
        duration(since, "since")
        if span["from"] is not None or span["to"] is not None:
            raise HistoryRefusal("bad_parameter", "since counts back from the newest event: leave out from and to")
        span = _time(last=since)
    named = _named(request, symbols)
    return await _answer(request, "changes", {**span, **named, "kind": kind, "regime": regime})


@router.get(
    "/gaps",
    summary="Where data are missing, and which hops were out",
    responses=schemas.responses(schemas.GapsAnswer, 400, 404, 422, 503),
    dependencies=[known_query("symbols", *_TIME)],
)
async def gaps(request: Request, span: AskedTime, symbols: Symbols = None) -> Response:
    """The newest first, by when they were recorded. `missed`: versions that exist and are not in the record, with its
    cause; the other kinds are of the market's data."""
    return await _answer(request, "gaps", {**span, **_named(request, symbols)})


KeptHead = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "pattern": HEAD_PATTERN}),
    _query("a head of the record's chain that was kept elsewhere, such as from the recorder's log", "0" * 64),
]
Widening = Annotated[
    float,
    WithJsonSchema({"type": "number", "minimum": 0.01, "maximum": 100}),
    Query(ge=0.01, le=100, description="FEYNMAN_INTERVAL_WIDENING of then"),
]


@router.get(
    "/proof/{symbol:path}",
    summary="Whether a recorded state can be believed",
    responses=_proof_responses(),
    dependencies=[known_query("at", "version", "head", "widening")],
)
async def proof(
    request: Request,
    symbol: Symbol,
    at: At = None,
    version: ExactVersion = None,
    head: KeptHead = None,
    widening: Widening = 1.0,
) -> Response:
    """The state, the samples that it stands on, and whether it comes out again when it is computed from the record
    now; the versions, files and manifests of the record that this rests on, and whether these are whole. Without `at`
    and `version` it is the newest state. With `Accept: text/html` it is a page that prints. A token that is not for
    all symbols learns whether files and manifests are whole, and no more of them: others' rows are in them too."""
    wanted_version(version, at)
    check_head(head)
    is_page = HTML in request.headers.get("accept", "")
    name, is_limited = one_allowed(request, symbol), limits_of(request) is not None
    question = {"symbol": name, "at": at, "version": version, "head": head, "widening": widening}
    response = await _answer(request, "proof", {**question, "page": is_page, "limited": is_limited})
    if is_page:
        response.headers["Content-Security-Policy"] = POLICY
    return response


async def past_state(request: Request, symbol: str, at: str | None, version: str | None) -> Response:
    """A state of the record. Raises HistoryRefusal, InvalidName."""
    wanted_version(version, at)
    thresholds = list(request.app.state.thresholds)
    question = {"symbol": one_allowed(request, symbol), "at": at, "version": version, "thresholds": thresholds}
    return await _answer(request, "state", question)


def _named(request: Request, symbols: str | None) -> dict[str, Any]:
    """Which symbols an answer is about: those that were named, or all, within the patterns of the sender's token."""
    if symbols is not None:
        return {"symbols": allowed(request, symbol_names(symbols))}
    return {"symbols": None, "within": limits_of(request)}


async def _answer(request: Request, ask: str, question: dict[str, Any]) -> Response:
    engine: HistoryProcess = request.app.state.history
    is_arrow = ask == "points" and ARROW in request.headers.get("accept", "")
    media, body = await engine.ask({"ask": ask, "arrow": is_arrow, **question})
    return Response(body, media_type=media)
